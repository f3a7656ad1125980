"""SimCLR as a factorisation of G, free and linear."""

from __future__ import annotations

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.cases import graphs, linear, misvalued, tied
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum
from spectral_ssl.theorems.families import dimension
from spectral_ssl.theorems.instances import Array, relation_graph
from spectral_ssl.theorems.optimise import Best, Objective, loss_gap, minimise


def gram_objective(G: Array, X: Array | None = None) -> Objective:
    """||G - Z Z^T||_F^2 and gradient, at Z or at W where Z = X W; G need not be symmetric."""

    def at(point: Array) -> tuple[float, Array]:
        Z = point if X is None else X @ point
        residual = G - Z @ Z.T
        gradient = -2 * (residual + residual.T) @ Z
        return float((residual**2).sum()), gradient if X is None else X.T @ gradient

    return at


def _indefinite(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A graph with its eigenvalues and eigenvectors, some negative eigenvalue larger than a positive one."""
    while True:
        G = relation_graph(rng, int(rng.integers(8, 13)))
        values, vectors = cf.extremal_eigenpairs(G, len(G), "largest")
        if -values[-1] > 1.1 * values[values > 0].min():
            return G, values, vectors


def _by_magnitude(G: Array, values: Array, vectors: Array, k: int) -> float:
    """Excess loss, relative to ||G||^2, of the k eigenvalues largest in magnitude, negative ones at scale
    zero.
    """
    order = np.argsort(-np.abs(values))[:k]
    claimed = vectors[:, order] * np.sqrt(np.maximum(values[order], 0))
    return (cf.simclr_objective(claimed, G) - cf.simclr(G, k).loss) / float((values**2).sum())


@check(
    paper="balestriero2022",
    statement="simclr-mds",
    kind="optimum",
    title="SimCLR's Gram-matching optimum is Torgerson's factorisation of G, uncentred",
    control="negative eigenvalues kept, or eigenvalues ordered by magnitude",
    tolerance=1e-6,
    instances=40,
)
def simclr_mds(rng: np.random.Generator, instances: int) -> Outcome:
    """min ||G - Z Z^T||_F^2 over (N, K) is ||G||^2 - sum_{i <= K} (lambda_i)_+^2, at Z* = U_K
    (Lambda_K)_+^(1/2).

    Eigenvalues of G in algebraic order, largest first; K up to N, so that it exceeds the number of positive
    eigenvalues too. Classical multidimensional scaling of the induced distances would factor H G H, another
    subspace (its largest angle is in `detail`); here G itself is the Gram matrix. Measured: the larger of loss gap
    (relative to ||G||^2) and largest principal angle, against random restarts of three optimisers on all
    families; the loss alone where the eigenvalue at the cut ties. Controls: the claim sum_{i > K} lambda_i^2 with K
    above the number of positive eigenvalues; and the K eigenvalues largest in magnitude, negative ones with zero
    scale, on graphs where the two orders differ (on a complete one they do not).
    """
    found, centred_angle = Optimum(), 0.0
    kept, magnitude = np.inf, np.inf
    for family, G in graphs(rng, instances):
        n = len(G)
        values, k, size = np.linalg.eigvalsh(G)[::-1], dimension(rng, n), float((G**2).sum())
        result = cf.simclr(G, k)
        best = minimise(gram_objective(G), (n, k), rng, restarts=2)
        itself = misvalued("simclr", result, G) / size
        ties = tied(values, k, 0.0)
        found.see(family, result, best, size, centre=False, tied=ties, itself=itself)
        if not ties:
            centring = np.eye(n) - 1 / n
            _, classical = cf.extremal_eigenpairs(centring @ G @ centring, k, "largest")
            centred_angle = max(centred_angle, cf.largest_angle(classical, result.embedding))

        other, values, vectors = _indefinite(rng)
        whole = Best(cf.simclr(other, len(other)).loss, vectors, 0.0)
        kept = min(kept, loss_gap(0.0, whole, float((values**2).sum())))
        positive = int((values > 0).sum())
        excesses = (_by_magnitude(other, values, vectors, k) for k in range(1, positive + 1))
        magnitude = min(magnitude, max(excesses))
    detail = found.detail() | {"angle to centred scaling": centred_angle}
    return Outcome(
        found.value, {"negative ones kept": kept, "ordered by magnitude": magnitude}, detail=detail
    )


@check(
    paper="balestriero2022",
    statement="simclr-linear",
    kind="optimum",
    title="SimCLR with a linear network factors G compressed to the range of X",
    control="eigenvectors of the unwhitened X^T G X at their best scale",
    tolerance=1e-6,
    instances=40,
)
def simclr_linear(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = X W, X = U S V^T compact: W* = V S^-1 Q (Lambda)_+^(1/2), the top K of U^T G U = Q Lambda Q^T.

    Gram-matching form; X (N, D), D < N, some rank-deficient, pixels for the graphs of real images; K up to D.
    Measured: the larger of loss gap (relative to ||G||^2) and largest principal angle of X W*, against random
    restarts of three optimisers in an orthonormal basis of X's columns, on all families; the loss alone where the
    eigenvalue at the cut ties. Control: the loss of X V for the top eigenvectors V of X^T G X, with the one scale
    that suits it best, on weighted graphs whose K compressed eigenvalues are positive and apart.
    """
    found, control = Optimum(), np.inf
    for index, (family, G, X) in enumerate(linear(rng, instances)):
        d, size = X.shape[1], float((G**2).sum())
        k = d if index % 4 == 1 else int(rng.integers(1, min(d, 5) + 1))  # d is above the rank there
        result, features = cf.simclr(G, k, X=X), cf.span(X, 1e-10)
        best = minimise(gram_objective(G, features), (features.shape[1], k), rng, restarts=2)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        itself = misvalued("simclr", result, G) / size
        values = np.linalg.eigvalsh(features.T @ G @ features)[::-1]
        ties = tied(values, k, 0.0)
        found.see(family, result, best, size, centre=False, tied=ties, itself=itself)
        control = min(control, _unwhitened(rng))
    return Outcome(found.value, {"unwhitened": control}, detail=found.detail())


def _unwhitened(rng: np.random.Generator) -> float:
    """Excess loss, relative to ||G||^2, of the top eigenvectors of X^T G X at the best scale, K = 2."""
    while True:
        _, G, X = next(linear(rng, 1))
        result = cf.simclr(G, 2, X=X)
        if result.eigenvalues[1] > 0.1 * result.eigenvalues[0]:
            break
    _, top = cf.extremal_eigenpairs(X.T @ G @ X, 2, "largest")
    gram = X @ top @ top.T @ X.T
    scale = max(0.0, float((G * gram).sum() / (gram**2).sum()))
    return (float(((G - scale * gram) ** 2).sum()) - result.loss) / float((G**2).sum())
