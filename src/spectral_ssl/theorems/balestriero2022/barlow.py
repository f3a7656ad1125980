"""Barlow Twins on the pairs of a graph: the pairs themselves, and canonical correlation analysis."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import Best, Objective, disagreement, from_torch, loss_gap, minimise


def pair_rows(G: Array, values: Array) -> tuple[Array, Array]:
    """The two views' rows: for each non-zero G_ij, values_i and values_j scaled by sqrt(G_ij)."""
    rows, columns = np.nonzero(G)
    root = np.sqrt(G[rows, columns])[:, None]
    return root * values[rows], root * values[columns]


@check(
    paper="balestriero2022",
    statement="pairs-from-graph",
    kind="identity",
    title="Two views rebuilt from any graph have its degrees and its weights as moments",
    control="weights ignored",
    tolerance=1e-12,
    instances=150,
)
def pairs_from_graph(rng: np.random.Generator, instances: int) -> Outcome:
    """Z_l^T Z_l = Z_r^T Z_r = Z^T D Z and Z_l^T Z_r = Z^T G Z for one row a non-zero of G, scaled by
    sqrt(G_ij).

    So any graph, not only one of V views, gives Barlow Twins its pairs; a 0/1 graph needs no scaling. Nodes
    without an edge are in no pair and vanish. Relative residual over 0/1 and weighted graphs, some with an
    isolated node. Control: weighted graphs, rows not scaled.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        n, k = int(rng.integers(4, 15)), int(rng.integers(1, 6))
        G = relation_graph(rng, n, heavy=bool(rng.integers(2)))
        if rng.random() < 0.3:
            G[0] = G[:, 0] = 0
        Z = rng.standard_normal((n, k))

        def residual(graph: Array, scaled: Array, Z: Array = Z) -> float:
            left, right = pair_rows(scaled, Z)
            second, cross = Z.T @ (graph.sum(axis=1)[:, None] * Z), Z.T @ graph @ Z
            errors = [left.T @ left - second, right.T @ right - second, left.T @ right - cross]
            return float(max(np.linalg.norm(error) for error in errors) / np.linalg.norm(second))

        binary = (G > 0).astype(np.float64)
        worst = max(worst, residual(G, G), residual(binary, binary))
        control = min(control, residual(G, binary))
    return Outcome(worst, {"weights ignored": control})


def objective(left: Array, right: Array, alpha: float, *, whiten: bool) -> Objective:
    """Barlow Twins' loss at W for two views' rows, whitened or with columns normalised only."""
    first, second = torch.from_numpy(left), torch.from_numpy(right)

    def loss(W: torch.Tensor) -> torch.Tensor:
        one, two = first @ W, second @ W
        if whiten:
            # Both views share Z^T D Z. Whitening by its Cholesky factor reaches every whitened W.
            factor = torch.linalg.cholesky(one.T @ one)
            one = torch.linalg.solve_triangular(factor, one.T, upper=False).T
            two = torch.linalg.solve_triangular(factor, two.T, upper=False).T
        else:
            one, two = one / one.norm(dim=0), two / two.norm(dim=0)
        correlation = one.T @ two
        diagonal = correlation.diagonal()
        return (1 - diagonal).square().sum() + alpha * (correlation.square().sum() - diagonal.square().sum())

    return from_torch(loss)


def _instance(rng: np.random.Generator) -> tuple[Array, Array, Array, int]:
    """A graph, features centred by degree-weighted means, distinct correlations in descending order, and
    K.
    """
    while True:
        n, d, k = int(rng.integers(12, 18)), int(rng.integers(4, 6)), int(rng.integers(2, 4))
        G = relation_graph(rng, n, density=0.3, heavy=bool(rng.integers(2)))
        X = rng.standard_normal((n, d)) + 1
        if rng.random() < 0.5:  # features smooth along the edges have no strong negative correlation
            X = np.linalg.matrix_power(np.eye(n) + G / G.sum(axis=1)[:, None], 4) @ X
        X -= G.sum(axis=1) @ X / G.sum()
        rho = scipy.linalg.eigh(X.T @ G @ X, X.T @ (G.sum(axis=1)[:, None] * X), eigvals_only=True)[::-1]
        if separated(rho, k, 0.1) and rho[0] - rho[k - 1] > 0.1:
            return G, X, np.asarray(rho), k


@check(
    paper="balestriero2022",
    statement="barlow-cca",
    kind="optimum",
    title="Whitened Barlow Twins is canonical correlation analysis of the pairs",
    control="columns normalised only: an optimiser finds a lower loss",
    tolerance=1e-6,
    instances=8,
)
def barlow_cca(rng: np.random.Generator, instances: int) -> Outcome:
    """Z_l = X_l W, Z_r = X_r W, centred and whitened (Z_l^T Z_l = Z_r^T Z_r = I): for alpha >= 1 the least
    loss is sum_{k <= K} (1 - rho_k)^2, at the K algebraically largest pairs of X^T G X w = rho X^T D X w.

    Means are weighted by degree, which is the mean over the pairs' rows. The trace of C^2 is at most the sum
    of its squared entries, and by interlacing no whitened W has larger correlations. Two-headed canonical
    correlation analysis ranks |rho| instead: the same subspace exactly when |rho_min| < rho_K, which is
    checked by the singular vectors of the whitened cross-moment matrix. Measured: the larger of loss gap
    (over K) and largest principal angle, alpha 1 or 3. Control: with column normalisation only (alpha = 1)
    random restarts get below that loss; the mean gap.
    """
    gap, angle, agreeing, control = 0.0, 0.0, 0, 0.0
    for _ in range(instances):
        G, X, rho, k = _instance(rng)
        # The optimiser's features: the same span, well conditioned.
        features = cf.span(X, 1e-12) * np.sqrt(len(X))
        left, right = pair_rows(G, features)
        alpha = float(rng.choice([1.0, 3.0]))
        result = cf.barlow_twins(G, k, alpha, X)
        best = minimise(objective(left, right, alpha, whiten=True), (X.shape[1], k), rng, restarts=3)
        best = Best(best.loss, features @ best.point, best.spread)
        one_gap, one_angle = disagreement(result, best, k, centre=False)
        gap = max(gap, one_gap, loss_gap(float(((1 - rho[:k]) ** 2).sum()), best, k))
        gap = max(gap, abs(cf.barlow_twins_objective(result.embedding, G, alpha) - result.loss) / k)
        angle = max(angle, one_angle)
        if abs(rho[-1]) < rho[k - 1] - 0.02:
            angle = max(angle, cf.largest_angle(features @ _two_headed(left, right, k), result.embedding))
            agreeing += 1
        loose = minimise(objective(left, right, 1.0, whiten=False), (X.shape[1], k), rng, restarts=3)
        control += (result.loss - loose.loss) / k / instances
    detail = {"loss gap": gap, "principal angle": angle, "instances that are two-headed CCA": agreeing}
    return Outcome(max(gap, angle), {"column normalisation": control}, detail=detail)


def _two_headed(left: Array, right: Array, k: int) -> Array:
    """Weights (D, k) of classical canonical correlation analysis: singular vectors of the whitened
    cross-moments.
    """
    whitener = np.linalg.inv(np.linalg.cholesky(left.T @ left)).T
    vectors = np.linalg.svd(whitener.T @ left.T @ right @ whitener)[0]
    return whitener @ vectors[:, :k]
