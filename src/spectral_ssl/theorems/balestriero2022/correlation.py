"""What whitened Barlow Twins turns into: kernel canonical correlation analysis, discriminant analysis."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.cross_decomposition import CCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.barlow import objective, pair_rows
from spectral_ssl.theorems.balestriero2022.linear import gaussian_classes
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import loss_gap, minimise


def _gram_correlations(G: Array, kernel: Array) -> tuple[Array, Array]:
    """All correlations rho, largest first, and the embeddings (N, rank): K G K a = rho K D K a, K centred by
    degree-weighted means on both sides, on K's range.
    """
    degree = G.sum(axis=1)
    centring = np.eye(len(G)) - degree / degree.sum()
    centred = centring @ kernel @ centring.T
    values, vectors = scipy.linalg.eigh(centred)
    Z = centred @ vectors[:, values > 1e-10 * values[-1]]
    rho, weights = scipy.linalg.eigh(Z.T @ G @ Z, Z.T @ (degree[:, None] * Z))
    return rho[::-1], Z @ weights[:, ::-1]


def _kernel_instance(rng: np.random.Generator, *, two_headed: bool) -> tuple[Array, Array, Array]:
    """A 0/1 graph, points x (N, 2) and their quadratic kernel, the first three correlations apart.

    `two_headed`: the negative correlation, if any, is weaker than the second.
    """
    while True:
        n = int(rng.integers(14, 20))
        G = (relation_graph(rng, n, density=0.3) > 0).astype(np.float64)
        x = rng.standard_normal((n, 2))
        if two_headed:  # points smooth along the edges have no strong negative correlation
            x = np.linalg.matrix_power(np.eye(n) + G / G.sum(axis=1)[:, None], 4) @ x
            x /= x.std(axis=0)
        kernel = (1 + x @ x.T) ** 2
        rho, _ = _gram_correlations(G, kernel)
        distinct = len(rho) == 5 and separated(rho, 1, 0.1) and separated(rho, 2, 0.1)
        if distinct and (not two_headed or abs(rho[-1]) < rho[1] - 0.05):
            return G, x, kernel


def _scikit_learn(left: Array, right: Array, features: Array, k: int) -> Array:
    """Embedding (N, k) of `features` by scikit-learn's canonical correlation analysis of the pairs' rows."""
    fitted = CCA(n_components=k, scale=False, max_iter=100_000, tol=1e-24).fit(left, right)
    return np.asarray(features @ fitted.x_rotations_)


@check(
    paper="balestriero2022",
    statement="barlow-kernel-cca",
    kind="optimum",
    title="Whitened Barlow Twins in the kernel regime is kernel canonical correlation analysis of the pairs",
    control="the linear network's embedding; columns normalised only",
    tolerance=1e-6,
    instances=6,
)
def barlow_kernel_cca(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = Phi(x) W with Z_l^T Z_l = Z_r^T Z_r = I the least loss, alpha >= 1, is sum_{k <= K} (1 -
    rho_k)^2, at the K algebraically largest pairs of K G K a = rho K D K a on the kernel matrix's range.

    barlow-cca in feature space: K = Phi Phi^T centred by degree-weighted means, Z = K a. The kernel is
    RANK-DEFICIENT, (1 + x^T y)^2 in two dimensions, rank 6 and 5 once centred: a strictly positive definite
    one reaches every Z. No ridge is needed, nor used, which kernel canonical correlation analysis otherwise
    is. 0/1 graphs, K = 2, alpha 1 or 3.

    Measured: the larger of loss gap (over K) and largest principal angle, between the closed form and three
    others: random restarts over W, the generalised problem on the Gram matrix, and, on the half of the
    instances where |rho_min| < rho_K, as the two-headed form needs, scikit-learn's CCA on explicit features
    of the pairs' rows. Controls: the
    loss of the linear network on x; the mean gap by which restarts with column normalisation only (alpha =
    1) get below the least whitened loss.
    """
    gap, angle, theirs, linear, loose, k = 0.0, 0.0, 0.0, np.inf, 0.0, 2
    for index in range(instances):
        two_headed = index % 2 == 0
        G, x, kernel = _kernel_instance(rng, two_headed=two_headed)
        alpha = float(rng.choice([1.0, 3.0]))
        result = cf.barlow_twins(G, k, alpha, kernel)
        degree = G.sum(axis=1)
        centred = result.embedding - degree @ result.embedding / degree.sum()
        rho, dual = _gram_correlations(G, kernel)
        gap = max(gap, abs(float(((1 - rho[:k]) ** 2).sum()) - result.loss) / k)
        angle = max(angle, cf.largest_angle(dual[:, :k], centred))

        products = np.stack([np.sqrt(2) * x[:, 0] * x[:, 1], *(x**2).T], axis=1)
        explicit = np.hstack([np.sqrt(2) * x, products])
        features = cf.span(explicit - degree @ explicit / degree.sum(), 1e-12) * np.sqrt(len(x))
        left, right = pair_rows(G, features)
        best = minimise(objective(left, right, alpha, whiten=True), (5, k), rng, restarts=3)
        gap = max(gap, loss_gap(result.loss, best, k))
        angle = max(angle, cf.largest_angle(features @ best.point, centred, 1e-4))
        if two_headed:
            theirs = max(theirs, cf.largest_angle(_scikit_learn(left, right, features, k), centred))
        linear = min(linear, (cf.barlow_twins(G, k, alpha, x).loss - result.loss) / k)
        normalised = minimise(objective(left, right, 1.0, whiten=False), (5, k), rng, restarts=3)
        loose += (result.loss - normalised.loss) / k / instances
    detail = {"loss gap": gap, "principal angle": angle, "principal angle to scikit-learn's": theirs}
    return Outcome(
        max(gap, angle, theirs), {"linear network": linear, "column normalisation": loose}, detail=detail
    )


def _class_graph(labels: NDArray[np.int64], *, by_size: bool, own: bool) -> Array:
    """G_ij = 1 over the class's size, or 1, for samples of one class; `own`: the diagonal kept, each sample a
    pair with itself.
    """
    onehot = np.eye(int(labels.max()) + 1)[labels]
    G = np.asarray((onehot / onehot.sum(axis=0) if by_size else onehot) @ onehot.T)
    return G if own else G - np.diag(np.diag(G))


def _angle(X: Array, labels: NDArray[np.int64], k: int, G: Array) -> float:
    """Largest angle between the whitened optimum's weights (D, k) and scikit-learn's discriminant axes."""
    if G.diagonal().any():  # the pairs between two equal views of every sample
        weights = cf.barlow_twins(np.kron([[0.0, 1.0], [1.0, 0.0]], G), k, X=np.vstack([X, X])).weights
    else:
        weights = cf.barlow_twins(G, k, X=X).weights
    return cf.largest_angle(np.asarray(weights), _discriminant_axes(X, labels, k))


def _discriminant_axes(X: Array, labels: NDArray[np.int64], k: int) -> Array:
    """scikit-learn's discriminant axes (D, k), the best first."""
    return np.asarray(LinearDiscriminantAnalysis(solver="eigen").fit(X, labels).scalings_[:, :k])


@check(
    paper="balestriero2022",
    statement="barlow-lda",
    kind="optimum",
    title="With pairs from labels, linear whitened Barlow Twins finds the discriminant directions",
    control="0/1 graph with unbalanced classes; columns normalised only",
    tolerance=1e-6,
    instances=8,
)
def barlow_lda(rng: np.random.Generator, instances: int) -> Outcome:
    """G from labels, K <= C - 1, within-class scatter S_w invertible: the weights' span is Fisher's
    discriminant space.

    Exact for G_ij = 1/n_class with any sizes where each sample is also paired with itself, or a sample's one
    view with its own other view: then D = I, X^T G X is the between-class scatter S_b and X^T D X = S_w + S_b
    (X centred), and S_b w = rho (S_w + S_b) w has Fisher's directions in Fisher's order, which is Bartlett's
    canonical correlation with the classes' indicators.

    The paper's G has a zero diagonal. VICReg does not see the difference, L = D - G being free of the
    diagonal; Barlow Twins does, by its constraint: X^T L X w = (1 - rho) X^T D X w keeps X^T L X = S_w, but
    D_ii = 1 - 1/n_class weighs a class's scatter by its size. Balanced classes make that one factor, rho
    becoming (rho - 1/n) / (1 - 1/n) in the same order, and the zero diagonal is exact; unbalanced ones with
    covariances of their own end elsewhere. No weight g for each class repairs it: it gives n g in L and
    (n - 1) g in D, and for two different rho both would have to be equal over the classes. So the printed
    form, G from labels, differs.

    Measured: largest principal angle to scikit-learn's LinearDiscriminantAnalysis, of the closed form and of
    random restarts, and the restarts' loss gap (over K) to sum (1 - rho)^2 by scikit-learn's directions.
    Printed: zero diagonal, unbalanced classes, at the instance where it is nearest. Controls: the 0/1 graph on
    the unbalanced classes, each sample paired with itself; restarts with column normalisation only.
    """
    angle, gap, printed, control, loose = 0.0, 0.0, np.inf, np.inf, 0.0
    for _ in range(instances):
        classes, d = int(rng.integers(3, 5)), int(rng.integers(4, 7))
        k = int(rng.integers(2, classes))
        X, labels = gaussian_classes(rng, [20] * classes, d, 1.0)
        angle = max(angle, _angle(X, labels, k, _class_graph(labels, by_size=True, own=False)))

        sizes = [int(size) for size in rng.permutation([8, 25, 12, 17])[:classes]]
        X, labels = gaussian_classes(rng, sizes, d, 1.0)
        G = _class_graph(labels, by_size=True, own=True)
        angle = max(angle, _angle(X, labels, k, G))
        printed = min(printed, _angle(X, labels, k, _class_graph(labels, by_size=True, own=False)))
        control = min(control, _angle(X, labels, k, _class_graph(labels, by_size=False, own=True)))

        centred = X - X.mean(axis=0)
        theirs = centred @ _discriminant_axes(X, labels, k)
        rho = np.diag(theirs.T @ G @ theirs) / np.diag(theirs.T @ theirs)
        features = cf.span(centred) * np.sqrt(len(X))
        left, right = pair_rows(G, features)
        best = minimise(objective(left, right, 1.0, whiten=True), (d, k), rng, restarts=2)
        gap = max(gap, loss_gap(float(((1 - rho) ** 2).sum()), best, k))
        angle = max(angle, cf.largest_angle(features @ best.point, theirs, 1e-4))
        normalised = minimise(objective(left, right, 1.0, whiten=False), (d, k), rng, restarts=2)
        loose += (best.loss - normalised.loss) / k / instances
    detail = {"principal angle": angle, "loss gap": gap}
    controls = {"unbalanced 0/1 graph": control, "column normalisation": loose}
    return Outcome(max(angle, gap), controls, printed=printed, detail=detail)
