"""Barlow Twins on the pairs of a graph: the pairs themselves, and canonical correlation analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.linalg
from scipy.linalg import sqrtm

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.cases import ORDER, graphs, linear, misvalued, smooth, tied
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.instances import Array, separated
from spectral_ssl.theorems.optimise import Best, Objective, minimise

Pull = tuple[Array, Callable[[Array], tuple[Array, Array]]]
"""A correlation matrix, and its backward pass."""


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
    without an edge are in no pair and VANISH: changing their embedding changes no moment (`detail`). Relative
    residual over graphs of all families, those of real images among them, each weighted and with its weights set
    to 1, every fourth with an isolated node; K below, at and above N. Control: rows not scaled, weights that
    differ (on the other graphs one factor would do).
    """
    worst, control, isolated = Worst(), np.inf, 0.0
    for index, (family, G) in enumerate(graphs(rng, instances, (4, 15))):
        n = len(G)
        k = (int(rng.integers(1, 6)), n, n + 3)[index % 3]
        Z = rng.standard_normal((n, k))
        if index % 4 == 3:
            G[0] = G[:, 0] = 0
            moved = Z + np.outer(np.eye(n)[0], rng.standard_normal(k))
            isolated = max(isolated, float(np.abs(_moments(G, Z) - _moments(G, moved)).max()))

        binary = (G > 0).astype(np.float64)
        worst.see(family, _residual(G, G, Z), _residual(binary, binary, Z))
        if np.ptp(G[G > 0]) > 0.1 * G.max():
            control = min(control, _residual(G, binary, Z))
    detail = worst.detail() | {"change by an isolated node": isolated}
    return Outcome(max(worst.value, isolated), {"weights ignored": control}, detail=detail)


def _moments(G: Array, Z: Array) -> Array:
    """Z_l^T Z_l, Z_r^T Z_r and Z_l^T Z_r (3, K, K) of the pairs' rows."""
    left, right = pair_rows(G, Z)
    return np.stack([left.T @ left, right.T @ right, left.T @ right])


def _residual(G: Array, scaled: Array, Z: Array) -> float:
    """Of the moments of `scaled`'s pairs to what G's should be, relative to Z^T D Z."""
    second, cross = Z.T @ (G.sum(axis=1)[:, None] * Z), Z.T @ G @ Z
    errors = _moments(scaled, Z) - np.stack([second, second, cross])
    return float(np.linalg.norm(errors, axis=(1, 2)).max() / np.linalg.norm(second))


def objective(left: Array, right: Array, alpha: float, *, whiten: bool) -> Objective:
    """Barlow Twins' loss and gradient at W for two views' rows, whitened or with columns normalised only.

    left, right: rows (P, D) whose second moments are one matrix A and whose cross moment B is symmetric, as those
    of `pair_rows`. Whitening by the Cholesky factor of W^T A W reaches every whitened W.
    """
    A, B = left.T @ left, left.T @ right

    def at(W: Array) -> tuple[float, Array]:
        half, cross = A @ W, B @ W
        second, moment = W.T @ half, W.T @ cross
        correlation, pull = (_whitened if whiten else _normalised)(second, moment)
        diagonal = np.diag(correlation)
        value = ((1 - diagonal) ** 2).sum() + alpha * ((correlation**2).sum() - (diagonal**2).sum())
        slope = 2 * alpha * correlation  # in each entry of the correlation
        np.fill_diagonal(slope, -2 * (1 - diagonal))
        by_second, by_moment = pull(slope)
        return float(value), 2 * (half @ by_second + cross @ by_moment)

    return at


def orthonormal(W: Array) -> Array:
    """The same whitened rows, by the same Cholesky factor up to signs, from weights that are not nearly dependent."""
    return np.asarray(np.linalg.qr(W)[0])


def _whitened(second: Array, moment: Array) -> Pull:
    """L^-1 M L^-T for S = L L^T, and what turns a (symmetric) slope in it into slopes in S and M."""
    inverse = np.linalg.inv(np.linalg.cholesky(second))
    correlation = inverse @ moment @ inverse.T

    def pull(slope: Array) -> tuple[Array, Array]:
        # dC = -X C - C X^T + L^-1 dM L^-T, X = L^-1 dL the lower half of L^-1 dS L^-T, its diagonal halved.
        lower = np.tril(-2 * slope @ correlation)
        lower[np.diag_indices_from(lower)] /= 2
        return inverse.T @ ((lower + lower.T) / 2) @ inverse, inverse.T @ slope @ inverse

    return correlation, pull


def _normalised(second: Array, moment: Array) -> Pull:
    """M_kl / sqrt(S_kk S_ll), and what turns a (symmetric) slope in it into slopes in S and M."""
    root = np.sqrt(np.diag(second))
    correlation = moment / np.outer(root, root)

    def pull(slope: Array) -> tuple[Array, Array]:
        return np.diag(-(slope * correlation).sum(axis=1) / root**2), slope / np.outer(root, root)

    return correlation, pull


def _distinct(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A weighted graph, its degree-centred features' orthonormal basis, and correlations of which the first two
    are apart from each other and from the third.
    """
    while True:
        _, G, X = next(linear(rng, 1))
        features = _centred_basis(G, X)
        rho = pair_correlations(G, features)
        if separated(rho, 1, 0.1) and separated(rho, 2, 0.1) and loosens(rho):
            return G, features, rho


def _centred_basis(G: Array, X: Array) -> Array:
    """Basis (N, r) of X centred by degree-weighted means, well conditioned for optimisers."""
    degree = G.sum(axis=1)
    return cf.span(X - degree @ X / degree.sum(), 1e-10) * np.sqrt(len(X))


def pair_correlations(G: Array, X: Array) -> Array:
    """All rho of X^T G X w = rho X^T D X w, largest first."""
    second = X.T @ (G.sum(axis=1)[:, None] * X)
    return np.asarray(scipy.linalg.eigh(X.T @ G @ X, second, eigvals_only=True)[::-1])


SUM = 0.1
"""How far rho_1 + rho_2 must be from 1 where column normalisation is to get below the whitened loss."""


def loosens(rho: Array) -> bool:
    """Whether columns normalised only get clearly below the whitened loss, alpha = 1, K = 2.

    At z_1 = u_1 + a u_2, z_2 = u_2 + b u_1, both normalised, the loss changes by 2 (p + q) a^2 + 2 (p - q) b^2 + 4
    p a b with p = rho_1 rho_2, q = (rho_1 - rho_2) (1 - rho_1 - rho_2): of determinant -4 q^2, a saddle unless q = 0.
    """
    return bool(abs(1 - rho[0] - rho[1]) > SUM)


def loose(G: Array, features: Array, k: int, rng: np.random.Generator) -> float:
    """How far, over K, optimisers get below the least whitened loss with columns normalised only, alpha = 1."""
    left, right = pair_rows(G, features)
    best = minimise(objective(left, right, 1.0, whiten=False), (features.shape[1], k), rng, restarts=2)
    return (float(((1 - pair_correlations(G, features)[:k]) ** 2).sum()) - best.loss) / k


def _diagonal_only(G: Array, features: Array) -> float:
    """The loss at the optimum with C_kk^2 for C_kl^2 in the off-diagonal sum, over the loss, K = 2, alpha = 1."""
    rho = pair_correlations(G, features)[:2]
    return float((((1 - rho) ** 2).sum() + (rho**2).sum()) / ((1 - rho) ** 2).sum())


@check(
    paper="balestriero2022",
    statement="barlow-cca",
    kind="optimum",
    title="Whitened Barlow Twins is canonical correlation analysis of the pairs",
    control="columns normalised only: an optimiser finds a lower loss",
    tolerance=1e-6,
    instances=20,
)
def barlow_cca(rng: np.random.Generator, instances: int) -> Outcome:
    """Z_l = X_l W, Z_r = X_r W, centred and whitened (Z_l^T Z_l = Z_r^T Z_r = I): for alpha >= 1 the least
    loss is sum_{k <= K} (1 - rho_k)^2, at the K algebraically largest pairs of X^T G X w = rho X^T D X w.

    Means are weighted by degree, which is the mean over the pairs' rows. The trace of C^2 is at most the sum
    of its squared entries, and by interlacing no whitened W has larger correlations. Two-headed canonical
    correlation analysis ranks |rho| instead: the same subspace exactly when |rho_min| < rho_K, which is
    checked by the singular vectors of the whitened cross-moment matrix.

    Measured: the larger of loss gap (over K) and largest principal angle, alpha 1 or 3, against random restarts
    of three optimisers, on all families, X being pixels for those of real images, K up to D; the loss alone
    where rho ties at the cut. Control: with column normalisation only (alpha = 1, K = 2, rho_1 and rho_2
    distinct and their sum not 1, see `loosens`) optimisers get below that loss; the smallest gap. `detail` has
    the loss at the optimum with C_kk^2 in the off-diagonal sum, as misprinted for C_kl^2, over the loss, in the
    mean: 1 if they were the same.
    """
    found, agreeing, gaps, misprints = Optimum(), 0, [], []
    for index, (family, G, X) in enumerate(linear(rng, instances)):
        if index >= len(ORDER):  # features smooth along the edges have no strong negative correlation
            X = smooth(G, _centred_basis(G, X)[:, :4])
        features = _centred_basis(G, X)
        rho, d = pair_correlations(G, features), features.shape[1]
        k, alpha = int(rng.integers(1, min(d, 5) + 1)), float(rng.choice([1.0, 3.0]))
        left, right = pair_rows(G, features)
        result, ties = cf.barlow_twins(G, k, alpha, X), tied(rho, k)
        best = minimise(objective(left, right, alpha, whiten=True), (d, k), rng, restarts=2, same=orthonormal)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        degree = G.sum(axis=1)
        centred = result.embedding - degree @ result.embedding / degree.sum()
        itself = max(
            abs(float(((1 - rho[:k]) ** 2).sum()) - result.loss),
            misvalued("barlow_twins", result, G, alpha=alpha),
            _misvalued_anywhere(G, X[:, :k], rng),
        )
        found.see(
            family, replace(result, embedding=centred), best, k, centre=False, tied=ties, itself=itself / k
        )
        if not ties and abs(rho[-1]) < rho[k - 1] - 0.02:
            found.angle.see(family, cf.largest_angle(features @ _two_headed(left, right, k), centred))
            agreeing += 1
        other, basis, _ = _distinct(rng)
        gaps.append(loose(other, basis, 2, rng))
        misprints.append(_diagonal_only(other, basis))
    detail = found.detail() | {
        "instances that are two-headed CCA": agreeing,
        "column normalisation: gap": float(np.mean(gaps)),
        "misprint: C_kk off the diagonal": float(np.mean(misprints)),
    }
    return Outcome(found.value, {"column normalisation": min(gaps)}, detail=detail)


def _misvalued_anywhere(G: Array, Z: Array, rng: np.random.Generator) -> float:
    """How far the closed form's objective is from its definition at an embedding that is neither centred nor white."""
    alpha, degree = float(rng.uniform(1, 3)), G.sum(axis=1)
    Z = Z + rng.standard_normal(Z.shape) * Z.std()
    centred = Z - degree @ Z / degree.sum()
    white = centred @ np.linalg.inv(np.real(sqrtm(centred.T @ (degree[:, None] * centred))))
    errors = white.T @ G @ white - np.eye(Z.shape[1])
    diagonal = np.diag(errors)
    defined = (diagonal**2).sum() + alpha * ((errors**2).sum() - (diagonal**2).sum())
    return abs(cf.barlow_twins_objective(Z, G, alpha) - float(defined))


def _two_headed(left: Array, right: Array, k: int) -> Array:
    """Weights (D, k) of classical canonical correlation analysis: singular vectors of the whitened
    cross-moments.
    """
    whitener = np.linalg.inv(np.linalg.cholesky(left.T @ left)).T
    vectors = np.linalg.svd(whitener.T @ left.T @ right @ whitener)[0]
    return whitener @ vectors[:, :k]
