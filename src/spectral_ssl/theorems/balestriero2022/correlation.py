"""What whitened Barlow Twins turns into: kernel canonical correlation analysis, discriminant analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.cross_decomposition import CCA

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.barlow import (
    loose,
    loosens,
    objective,
    orthonormal,
    pair_correlations,
    pair_rows,
)
from spectral_ssl.theorems.balestriero2022.cases import (
    class_graph,
    discriminant_axes,
    gaussian_classes,
    labelled,
    planar,
    smooth,
    tied,
)
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import Best, minimise


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


def _two_headed_instance(rng: np.random.Generator) -> tuple[Array, Array]:
    """A 0/1 graph and points x (N, 2), smooth along its edges so that no negative correlation is strong: the first
    three of their quadratic kernel's correlations apart, and the second above the negative ones in size.
    """
    while True:
        n = int(rng.integers(14, 20))
        G = (relation_graph(rng, n, density=0.3) > 0).astype(np.float64)
        x = smooth(G, rng.standard_normal((n, 2)))
        x /= x.std(axis=0)
        rho, _ = _gram_correlations(G, (1 + x @ x.T) ** 2)
        distinct = len(rho) == 5 and separated(rho, 1, 0.1) and separated(rho, 2, 0.1)
        if distinct and loosens(rho) and abs(rho[-1]) < rho[1] - 0.05:
            return G, x


def _scikit_learn(left: Array, right: Array, features: Array, k: int) -> Array:
    """Embedding (N, k) of `features` by scikit-learn's canonical correlation analysis of the pairs' rows."""
    fitted = CCA(n_components=k, scale=False, max_iter=100_000, tol=1e-24).fit(left, right)
    return np.asarray(features @ fitted.x_rotations_)


def _explicit(x: Array, degree: Array) -> Array:
    """Basis (N, 5) of the quadratic kernel's features of x (N, 2), centred by degree-weighted means."""
    products = np.stack([np.sqrt(2) * x[:, 0] * x[:, 1], *(x**2).T], axis=1)
    features = np.hstack([np.sqrt(2) * x, products])
    return cf.span(features - degree @ features / degree.sum(), 1e-10) * np.sqrt(len(x))


@check(
    paper="balestriero2022",
    statement="barlow-kernel-cca",
    kind="optimum",
    title="Whitened Barlow Twins in the kernel regime is kernel canonical correlation analysis of the pairs",
    control="the linear network's embedding; columns normalised only",
    tolerance=1e-6,
    instances=20,
)
def barlow_kernel_cca(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = Phi(x) W with Z_l^T Z_l = Z_r^T Z_r = I the least loss, alpha >= 1, is sum_{k <= K} (1 -
    rho_k)^2, at the K algebraically largest pairs of K G K a = rho K D K a on the kernel matrix's range.

    barlow-cca in feature space: K = Phi Phi^T centred by degree-weighted means, Z = K a. The kernel is
    RANK-DEFICIENT, (1 + x^T y)^2 in two dimensions, rank 6 and 5 once centred: a strictly positive definite
    one reaches every Z. No ridge is needed, nor used, which kernel canonical correlation analysis otherwise
    is. x are Gaussian points, or two principal components of pixels for the graphs of real images; K up to 5,
    alpha 1 or 3.

    Measured: the larger of loss gap (over K) and largest principal angle, between the closed form and three
    others: random restarts of three optimisers over W, on all families; the generalised problem on the Gram
    matrix; and, on 0/1 graphs where |rho_min| < rho_K, as the two-headed form needs, scikit-learn's CCA on
    explicit features of the pairs' rows, K = 2 (its centring is unweighted, hence 0/1). The loss alone where rho
    ties at the cut. Controls, on those 0/1 graphs: the loss of the linear network on x; the smallest gap by which
    optimisers with column normalisation only (alpha = 1, rho_1 + rho_2 not 1, see `barlow.loosens`) get below the
    least whitened loss.
    """
    found, theirs, linear, below = Optimum(), 0.0, np.inf, []
    for index, (family, G, x) in enumerate(planar(rng, instances)):
        kernel, degree = (1 + x @ x.T) ** 2, G.sum(axis=1)
        k, alpha = int(rng.integers(1, 6)), float(rng.choice([1.0, 3.0]))
        result, features = cf.barlow_twins(G, k, alpha, kernel), _explicit(x, degree)
        centred = result.embedding - degree @ result.embedding / degree.sum()
        correlations, dual = _gram_correlations(G, kernel)
        ties = tied(correlations, k)
        left, right = pair_rows(G, features)
        best = minimise(objective(left, right, alpha, whiten=True), (5, k), rng, restarts=2, same=orthonormal)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        itself = abs(float(((1 - correlations[:k]) ** 2).sum()) - result.loss) / k
        result = replace(result, embedding=centred)
        found.see(family, result, best, k, centre=False, tied=ties, itself=itself)
        if not ties:
            found.angle.see(family, cf.largest_angle(dual[:, :k], centred))
        if index % 2 == 0:
            G, x = _two_headed_instance(rng)
            kernel, features = (1 + x @ x.T) ** 2, _explicit(x, G.sum(axis=1))
            result = cf.barlow_twins(G, 2, X=kernel)
            centred = result.embedding - G.sum(axis=1) @ result.embedding / G.sum()
            classical = _scikit_learn(*pair_rows(G, features), features, 2)
            theirs = max(theirs, cf.largest_angle(classical, centred))
            linear = min(linear, (cf.barlow_twins(G, 2, X=x).loss - result.loss) / 2)
            below.append(loose(G, features, 2, rng))
    detail = found.detail() | {
        "principal angle to scikit-learn's": theirs,
        "column normalisation: gap": float(np.mean(below)),
    }
    controls = {"linear network": linear, "column normalisation": min(below)}
    return Outcome(max(found.value, theirs), controls, detail=detail)


def _weights(X: Array, k: int, G: Array) -> Array:
    """The whitened optimum's weights (D, k)."""
    if G.diagonal().any():  # the pairs between two equal views of every sample
        both = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), G)
        return np.asarray(cf.barlow_twins(both, k, X=np.vstack([X, X])).weights)
    return np.asarray(cf.barlow_twins(G, k, X=X).weights)


SMALLEST = (np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]), np.array([0, 0, 1, 1, 1]))
"""Five points of two classes for which the zero diagonal turns the discriminant direction."""


def _unbalanced(rng: np.random.Generator, classes: int) -> tuple[Array, NDArray[np.int64]]:
    """Gaussian classes (n, 5) of unequal sizes and covariances, and labels (n,), such that `loosens` allows them."""
    while True:
        sizes = [int(size) for size in rng.permutation([8, 25, 12, 17])[:classes]]
        X, labels = gaussian_classes(rng, sizes, 5, 1.0)
        if loosens(pair_correlations(*_pairs(X, labels))):
            return X, labels


def _pairs(X: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """G of the labels, each sample paired with itself, and an orthonormal basis of the features, at variance 1."""
    graph = class_graph(labels, by_size=True, own=True)
    return graph, cf.span(X - X.mean(axis=0)) * np.sqrt(len(X))


@check(
    paper="balestriero2022",
    statement="barlow-lda",
    kind="optimum",
    title="With pairs from labels, linear whitened Barlow Twins finds the discriminant directions",
    control="0/1 graph with unbalanced classes; columns normalised only",
    known="differs",
    tolerance=1e-6,
    instances=18,
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

    The smallest counterexample without an isolated node has five points of two classes in the plane (with four,
    classes are balanced or S_w is singular, or one class is a single node, which has no edge): classes {(0, 1), (2,
    1)} and {(0, 0), (1, 0), (0, 3)}, where Fisher's direction is (6, 1) and the optimum's (0, 1); `detail` has the
    angle, arctan 6.

    Measured: loss gap (over K) and largest principal angle between the closed form and random restarts of three
    optimisers, and the closed form's angle to scikit-learn's LinearDiscriminantAnalysis: zero diagonal and
    balanced classes, and each sample paired with itself and unbalanced ones, in turn. The labels make the graph;
    the families are of features: Gaussian classes, mean pixels of digits and of factors images. The gap alone where
    rho ties at K < C - 1. Printed: zero diagonal, unbalanced Gaussian classes, at the instance where it is nearest.
    Controls: the 0/1 graph on these classes, each sample paired with itself; optimisers with column normalisation
    only, the smallest gap.
    """
    found, theirs, printed, control, below = Optimum(), Worst(), np.inf, np.inf, []
    for index in range(instances):
        classes, balanced = int(rng.integers(3, 5)), index // 3 % 2 == 0
        family, X, labels = labelled(rng, index, classes, balanced=balanced)
        G, k = class_graph(labels, by_size=True, own=not balanced), int(rng.integers(1, classes))
        features = cf.span(X - X.mean(axis=0), 1e-10) * np.sqrt(len(X))
        left, right = pair_rows(G, features)
        best = minimise(
            objective(left, right, 1.0, whiten=True),
            (features.shape[1], k),
            rng,
            restarts=1,
            same=orthonormal,
        )
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        rho = scipy.linalg.eigh(left.T @ right, left.T @ left, eigvals_only=True)[::-1]
        ties, weights = tied(rho, k), _weights(X, k, G)
        result = cf.Result((X - X.mean(axis=0)) @ weights, rho, float(((1 - rho[:k]) ** 2).sum()))
        found.see(family, result, best, k, centre=False, tied=ties)
        if not ties:
            theirs.see(family, cf.largest_angle(weights, discriminant_axes(X, labels, k)))

        X, labels = _unbalanced(rng, classes)
        axes, k = discriminant_axes(X, labels, classes - 1), classes - 1
        zero = _weights(X, k, class_graph(labels, by_size=True))
        printed = min(printed, cf.largest_angle(zero, axes))
        ones = _weights(X, k, class_graph(labels, by_size=False, own=True))
        control = min(control, cf.largest_angle(ones, axes))
        if index % 3 == 0:
            below.append(loose(*_pairs(X, labels), k, rng))
    X, labels = SMALLEST
    smallest = cf.largest_angle(
        _weights(X, 1, class_graph(labels, by_size=True)), discriminant_axes(X, labels, 1)
    )
    detail = found.detail() | {
        "principal angle to scikit-learn's": theirs.value,
        "principal angle of the printed form": printed,
        "column normalisation: gap": float(np.mean(below)),
        "counterexample of 5 points: angle": smallest,
    }
    controls = {"unbalanced 0/1 graph": control, "column normalisation": min(below)}
    return Outcome(max(found.value, theirs.value), controls, printed=printed, detail=detail)
