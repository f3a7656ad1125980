"""What linear and kernel VICReg turn into: discriminant analysis, kernel projections; and Laplacian
eigenmaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import SpectralEmbedding, spectral_embedding

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.vicreg import objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import Best, disagreement, minimise

TINY = 1e-3
"""An invariance weight, over the largest eigenvalue, at which every scale c_k is close to 1."""


def _same_class(labels: NDArray[np.int64], *, by_size: bool) -> Array:
    """G_ij = 1 for samples of one class, or 1 over the class's size; zero diagonal."""
    onehot = np.eye(int(labels.max()) + 1)[labels]
    weights = onehot / onehot.sum(axis=0) if by_size else onehot
    G = weights @ onehot.T
    np.fill_diagonal(G, 0.0)
    return np.asarray(G)


def gaussian_classes(
    rng: np.random.Generator, sizes: list[int], d: int, spread: float
) -> tuple[Array, NDArray[np.int64]]:
    """Gaussian classes; `spread` > 0 gives each a covariance of its own, up to that factor in each
    direction.
    """
    parts = []
    for size in sizes:
        scale = np.exp(rng.uniform(-spread, spread, d))
        rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
        parts.append((rng.standard_normal((size, d)) * scale) @ rotation + 1.5 * rng.standard_normal(d))
    return np.vstack(parts), np.repeat(np.arange(len(sizes)), sizes)


def _discriminant_angle(X: Array, labels: NDArray[np.int64], k: int, *, by_size: bool) -> float:
    """Largest angle between VICReg's linear weights on the class graph and scikit-learn's discriminant
    axes.
    """
    G = _same_class(labels, by_size=by_size)
    weights = cf.vicreg(G, k, invariance=TINY / G.sum(axis=1).max(), X=X).weights
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(X, labels).scalings_[:, :k]
    return cf.largest_angle(np.asarray(weights), theirs)


@check(
    paper="balestriero2022",
    statement="lda",
    kind="optimum",
    title="With a graph from labels, linear VICReg finds the discriminant directions",
    control="0/1 graph, unbalanced classes with covariances of their own",
    tolerance=1e-6,
    instances=30,
)
def lda(rng: np.random.Generator, instances: int) -> Outcome:
    """G from labels, K <= C - 1, within-class scatter invertible: the weights' span is Fisher's discriminant
    space.

    Exact for G_ij = 1/n_class with any sizes, X^T L X being the within-class scatter and X^T H X the total
    one, and for a 0/1 graph with balanced classes, where they differ by a factor. Measured: largest principal
    angle to scikit-learn's LinearDiscriminantAnalysis. Control: the 0/1 graph weighs large classes more, so
    that unbalanced classes with different covariances end elsewhere.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        classes, d = int(rng.integers(3, 5)), int(rng.integers(4, 7))
        k = classes - 1
        unbalanced = [int(size) for size in rng.permutation([8, 20, 90, 40])[:classes]]
        X, labels = gaussian_classes(rng, unbalanced, d, 1.0)
        worst = max(worst, _discriminant_angle(X, labels, k, by_size=True))
        control = min(control, _discriminant_angle(X, labels, k, by_size=False))
        X, labels = gaussian_classes(rng, [20] * classes, d, 1.0)
        worst = max(worst, _discriminant_angle(X, labels, k, by_size=False))
    return Outcome(worst, {"unbalanced 0/1 graph": control})


@check(
    paper="balestriero2022",
    statement="kernel-lpp",
    kind="optimum",
    title="VICReg in the kernel regime is kernel locality preserving projections",
    control="the linear network's embedding",
    tolerance=1e-6,
    instances=8,
)
def kernel_lpp(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = K A, K the kernel matrix: (K L K) a = lambda (K H K) a on the range of H K, with the shrinkage
    c_k.

    The kernel is RANK-DEFICIENT, (1 + x^T y)^2 in two dimensions, of rank 6; a strictly positive definite one
    reaches every Z and would repeat vicreg-optimum. Measured: the larger of loss gap and largest principal
    angle, against random restarts over A's six features. Control: the loss of the linear network on x.
    """
    gap, angle, control = 0.0, 0.0, np.inf
    for _ in range(instances):
        while True:
            n, k = int(rng.integers(14, 20)), int(rng.integers(1, 4))
            G, x = relation_graph(rng, n), rng.standard_normal((n, 2))
            kernel = (1 + x @ x.T) ** 2
            gamma = 0.3 / float(G.sum(axis=1).mean())
            if separated(cf.vicreg(G, 5, X=kernel).eigenvalues, k):
                break
        result = cf.vicreg(G, k, 1.0, gamma, X=kernel)
        features = cf.span(kernel, 1e-10) * np.sqrt(n)
        best = minimise(objective(G, gamma, float(n - 1), features), (features.shape[1], k), rng)
        best = Best(best.loss, features @ best.point, best.spread)
        one_gap, one_angle = disagreement(result, best, k, centre=True)
        gap, angle = max(gap, one_gap), max(angle, one_angle)
        control = min(control, (cf.vicreg(G, k, 1.0, gamma, X=x).loss - result.loss) / k)
    return Outcome(
        max(gap, angle), {"linear network": control}, detail={"loss gap": gap, "principal angle": angle}
    )


def regular_graph(rng: np.random.Generator, n: int) -> Array:
    """A connected weighted circulant graph, nodes shuffled: equal degrees."""
    half = rng.uniform(0.1, 1.0, n // 2)
    row = np.concatenate([[0.0], half, half[: n - 1 - n // 2][::-1]])
    order = rng.permutation(n)
    return np.asarray(toeplitz(row)[np.ix_(order, order)])


@check(
    paper="balestriero2022",
    statement="laplacian-eigenmaps",
    kind="optimum",
    title="VICReg spans what Laplacian eigenmaps embed",
    control="irregular degrees against the normalised Laplacian",
    tolerance=1e-6,
    instances=10,
)
def laplacian_eigenmaps(rng: np.random.Generator, instances: int) -> Outcome:
    """Connected G, lambda_K < lambda_{K+1}: span(H Z*) is span(u_1 .. u_K) for every gamma with c_K > 0; Cov
    -> I as gamma -> 0.

    Quadratic variance. Measured: the largest principal angle to scikit-learn's SpectralEmbedding on regular
    graphs and to its spectral_embedding(norm_laplacian=False) on irregular ones, and |Cov - I| at gamma =
    1e-9 over lambda_K. In the control irregular graphs meet the normalised Laplacian, which is another
    problem there.
    """
    worst, covariance, control = 0.0, 0.0, np.inf
    for index in range(instances):
        regular = index % 2 == 0
        while True:
            n, k = int(rng.integers(9, 14)), int(rng.integers(1, 4))
            k = 2 * (k // 2 + 1) if regular else k  # a circulant graph's eigenvalues come in pairs
            G = regular_graph(rng, n) if regular else relation_graph(rng, n)
            values = cf.vicreg(G, n - 1).eigenvalues
            if separated(values, k):
                break
        threshold = n / ((n - 1) * values[k - 1])
        embedding = cf.vicreg(G, k, invariance=float(rng.uniform(0.01, 0.99)) * threshold).embedding
        if regular:
            theirs = SpectralEmbedding(k, affinity="precomputed", random_state=0).fit_transform(G)
        else:
            theirs = spectral_embedding(G, n_components=k, norm_laplacian=False, random_state=0)
            normalised = spectral_embedding(G, n_components=k, random_state=0)
            control = min(control, cf.largest_angle(normalised, embedding))
        worst = max(worst, cf.largest_angle(theirs, embedding))
        free = cf.vicreg(G, k, invariance=1e-9 * threshold).embedding
        covariance = max(covariance, float(np.abs(free.T @ free / (n - 1) - np.eye(k)).max()))
    detail = {"principal angle": worst, "distance of Cov from I at small gamma": covariance}
    return Outcome(max(worst, covariance), {"normalised Laplacian": control}, detail=detail)
