"""SimCLR as a factorisation of G, free and linear, and its graph step."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import Best, Objective, disagreement, loss_gap, minimise


def gram_objective(G: Array, X: Array | None = None) -> Objective:
    """||G - Z Z^T||_F^2 and gradient, at Z or at W where Z = X W; G need not be symmetric."""

    def at(point: Array) -> tuple[float, Array]:
        Z = point if X is None else X @ point
        residual = G - Z @ Z.T
        gradient = -2 * (residual + residual.T) @ Z
        return float((residual**2).sum()), gradient if X is None else X.T @ gradient

    return at


def _gram_instance(rng: np.random.Generator) -> tuple[Array, Array, Array, int]:
    """A graph, its eigenvalues, its eigenvectors, and a k up to the positive ones with no near-tie at the
    cut.
    """
    while True:
        n = int(rng.integers(8, 13))
        G = relation_graph(rng, n, heavy=bool(rng.integers(2)))
        values, vectors = cf.extremal_eigenpairs(G, n, "largest")
        k = int(rng.integers(1, (values > 0).sum() + 1))
        if separated(values, k) and values[k - 1] > 0.02 * values[0]:
            return G, values, vectors, k


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
    instances=16,
)
def simclr_mds(rng: np.random.Generator, instances: int) -> Outcome:
    """min ||G - Z Z^T||_F^2 over (N, K) is ||G||^2 - sum_{i <= K} (lambda_i)_+^2, at Z* = U_K
    (Lambda_K)_+^(1/2).

    Eigenvalues of G in algebraic order, largest first. Classical multidimensional scaling of the induced
    distances would factor H G H, another subspace (its angle is in `detail`); here G itself is the Gram
    matrix. Measured: the larger of loss gap and largest principal angle, against random restarts. Controls:
    the claim sum_{i > K} lambda_i^2 with K above the number of positive eigenvalues; and the K eigenvalues
    largest in magnitude, negative ones with zero scale.
    """
    gap, angle, centred_angle = 0.0, 0.0, 0.0
    kept, magnitude = np.inf, np.inf
    for _ in range(instances):
        G, values, vectors, k = _gram_instance(rng)
        n, positive, size = values.size, int((values > 0).sum()), float((values**2).sum())
        result = cf.simclr(G, k)
        best = minimise(gram_objective(G), (n, k), rng)
        itself = abs(cf.simclr_objective(result.embedding, G) - result.loss) / size
        one_gap, one_angle = disagreement(result, best, size, centre=False)
        gap, angle = max(gap, one_gap, itself), max(angle, one_angle)
        centring = np.eye(n) - 1 / n
        _, classical = cf.extremal_eigenpairs(centring @ G @ centring, k, "largest")
        centred_angle = max(centred_angle, cf.largest_angle(classical, result.embedding))

        whole = Best(cf.simclr(G, n).loss, vectors, 0.0)
        kept = min(kept, loss_gap(0.0, whole, size))
        magnitude = min(magnitude, max(_by_magnitude(G, values, vectors, k) for k in range(1, positive + 1)))
    detail = {"loss gap": gap, "principal angle": angle, "angle to centred scaling": centred_angle}
    return Outcome(
        max(gap, angle), {"negative ones kept": kept, "ordered by magnitude": magnitude}, detail=detail
    )


def _linear_instance(rng: np.random.Generator) -> tuple[Array, Array, int]:
    """A graph, features (some rank-deficient, none centred), and a k with no near-tie at the cut."""
    while True:
        n, d = int(rng.integers(12, 18)), int(rng.integers(4, 7))
        G = relation_graph(rng, n, heavy=bool(rng.integers(2)))
        X = rng.standard_normal((n, d)) @ np.diag(rng.uniform(0.3, 2.0, d)) + 1.0
        if rng.random() < 0.5:
            X[:, -1] = X[:, 0] - X[:, 1]
        values = cf.simclr(G, d, X=X).eigenvalues
        values = values[np.isfinite(values)]
        k = int(rng.integers(1, max(2, (values > 0).sum() + 1)))
        if values[k - 1] > 0.02 * values[0] and separated(values, k):
            return G, X, k


@check(
    paper="balestriero2022",
    statement="simclr-linear",
    kind="optimum",
    title="SimCLR with a linear network factors G compressed to the range of X",
    control="eigenvectors of the unwhitened X^T G X at their best scale",
    tolerance=1e-6,
    instances=12,
)
def simclr_linear(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = X W, X = U S V^T compact: W* = V S^-1 Q (Lambda)_+^(1/2), the top K of U^T G U = Q Lambda Q^T.

    Gram-matching form; X (N, D), some rank-deficient. Measured: the larger of loss gap (relative to ||G||^2)
    and largest principal angle of X W*, against random restarts over W. Control: the loss of X V for the top
    eigenvectors V of X^T G X, with the one scale that suits it best.
    """
    gap, angle, control = 0.0, 0.0, np.inf
    for _ in range(instances):
        G, X, k = _linear_instance(rng)
        d = X.shape[1]
        result, size = cf.simclr(G, k, X=X), float((G**2).sum())
        best = minimise(gram_objective(G, X), (d, k), rng, scale=0.3)
        best = Best(best.loss, X @ best.point, best.spread)
        itself = abs(cf.simclr_objective(result.embedding, G) - result.loss) / size
        one_gap, one_angle = disagreement(result, best, size, centre=False)
        gap, angle = max(gap, one_gap, itself), max(angle, one_angle)

        _, top = cf.extremal_eigenpairs(X.T @ G @ X, k, "largest")
        gram = X @ top @ top.T @ X.T
        scale = max(0.0, float((G * gram).sum() / (gram**2).sum()))
        unwhitened = float(((G - scale * gram) ** 2).sum())
        control = min(control, loss_gap(unwhitened, Best(result.loss, X, 0.0), size))
    detail = {"loss gap": gap, "principal angle": angle}
    return Outcome(max(gap, angle), {"unwhitened": control}, detail=detail)


def _graph_step(Z: Array, temperature: float) -> tuple[Array, Array]:
    """Distances -CoSim (N, N), and the row-wise softmax of off-diagonal similarities over the temperature."""
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    similarity = unit @ unit.T
    logits = np.where(np.eye(len(Z), dtype=bool), -np.inf, similarity / temperature)
    return -similarity, softmax(logits, axis=1)


def _stationarity(P: Array, distance: Array, temperature: float) -> float:
    """Distance of P from a point where d + tau log P is one number along each row, off the diagonal (KKT)."""
    n = len(P)
    off = ~np.eye(n, dtype=bool)
    multipliers = (distance[off] + temperature * np.log(P[off])).reshape(n, n - 1)
    return float(np.ptp(multipliers, axis=1).max())


@check(
    paper="balestriero2022",
    statement="simclr-graph-step",
    kind="optimum",
    title="SimCLR's softmax is the entropic graph nearest to the embedding's similarities",
    control="a softmax at twice the temperature",
    tolerance=1e-9,
    instances=60,
)
def simclr_graph_step(rng: np.random.Generator, instances: int) -> Outcome:
    """Ghat(Z), the softmax over off-diagonal cosine similarities, minimises <P, d> + tau sum P (log P - 1), d
    = -CoSim.

    Over right-stochastic P with zero diagonal; the excluded index is i = j (printed once as its opposite).
    The problem is strictly convex, so feasibility and one multiplier a row (KKT) prove the unique minimum.
    Measured: the largest of row sums' error, diagonal, KKT residual, and how far any of 20 random feasible
    directions goes down.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        n, k = int(rng.integers(4, 12)), int(rng.integers(2, 6))
        temperature = float(rng.uniform(0.1, 1.0))
        Z = rng.standard_normal((n, k))
        distance, P = _graph_step(Z, temperature)
        infeasible = max(float(np.abs(P.sum(axis=1) - 1).max()), float(np.abs(np.diag(P)).max()))
        worst = max(worst, infeasible, _stationarity(P, distance, temperature))
        off = ~np.eye(n, dtype=bool)

        def value(Q: Array, distance: Array = distance, off: Array = off, tau: float = temperature) -> float:
            q = Q[off]
            return float(q @ distance[off] + tau * (q * (np.log(q) - 1)).sum())

        for _ in range(20):
            other = np.where(off, rng.gamma(1.0, size=(n, n)) + 1e-6, 0.0)
            other /= other.sum(axis=1, keepdims=True)
            step = 10.0 ** rng.uniform(-4, 0)
            worst = max(worst, value(P) - value((1 - step) * P + step * other))
        control = min(control, _stationarity(_graph_step(Z, 2 * temperature)[1], distance, temperature))
    return Outcome(worst, {"softmax at 2 tau": control})
