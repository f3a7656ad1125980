"""What linear and kernel VICReg turn into: discriminant analysis, kernel locality preserving projections."""

from __future__ import annotations

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.cases import (
    class_graph,
    discriminant_axes,
    gaussian_classes,
    labelled,
    planar,
    tied,
)
from spectral_ssl.theorems.balestriero2022.vicreg import objective, survivors
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum
from spectral_ssl.theorems.optimise import Best, minimise

SHRINKAGE = 0.3
"""Of the largest variance that a class graph's optimum loses: gamma times the largest degree."""


@check(
    paper="balestriero2022",
    statement="lda",
    kind="optimum",
    title="With a graph from labels, linear VICReg finds the discriminant directions",
    control="0/1 graph, unbalanced classes with covariances of their own",
    tolerance=1e-6,
    instances=24,
)
def lda(rng: np.random.Generator, instances: int) -> Outcome:
    """G from labels, K <= C - 1, within-class scatter invertible: the weights' span is Fisher's discriminant
    space.

    Exact for G_ij = 1/n_class with any sizes, X^T L X being the within-class scatter and X^T H X the total one,
    and for a 0/1 graph with balanced classes, where they differ by a factor. The labels make the graph, one
    complete block a class; the families are of features: Gaussian classes, and mean pixels of digits and of
    factors images, both graphs in turn. Measured: the largest principal angle of W to scikit-learn's
    LinearDiscriminantAnalysis, and loss gap and angle of X W to random restarts of three optimisers; the gap
    alone where the eigenvalue at K < C - 1 ties. Control: the 0/1 graph weighs large classes more, so that
    unbalanced classes with different covariances end elsewhere.
    """
    found, control = Optimum(), np.inf
    for index in range(instances):
        classes, balanced = int(rng.integers(3, 5)), index // 3 % 2 == 1
        family, X, labels = labelled(rng, index, classes, balanced=balanced)
        G, k = class_graph(labels, by_size=not balanced), int(rng.integers(1, classes))
        gamma = SHRINKAGE / float(G.sum(axis=1).max())
        result = cf.vicreg(G, k, 1.0, gamma, X=X)
        features = cf.span(X - X.mean(axis=0), 1e-10) * np.sqrt(len(X))
        best = minimise(objective(G, gamma, len(X) - 1.0, features), (features.shape[1], k), rng, restarts=1)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        ties = tied(-cf.vicreg(G, features.shape[1], X=X).eigenvalues, k)
        found.see(family, result, best, k, centre=True, tied=ties)
        if not ties:
            theirs = cf.largest_angle(np.asarray(result.weights), discriminant_axes(X, labels, k))
            found.angle.see(f"{family}, scikit-learn", theirs)

        sizes = [int(size) for size in rng.permutation([8, 20, 90, 40])[:classes]]
        X, labels = gaussian_classes(rng, sizes, 5, 1.0)
        G = class_graph(labels, by_size=False)
        weights = cf.vicreg(G, classes - 1, 1.0, SHRINKAGE / G.sum(axis=1).max(), X=X).weights
        axes = discriminant_axes(X, labels, classes - 1)
        control = min(control, cf.largest_angle(np.asarray(weights), axes))
    angles = {name: value for name, value in found.angle.by_family.items() if "scikit" in name}
    detail = found.detail() | {"principal angle to scikit-learn's": max(angles.values(), default=0.0)}
    return Outcome(found.value, {"unbalanced 0/1 graph": control}, detail=detail)


@check(
    paper="balestriero2022",
    statement="kernel-lpp",
    kind="optimum",
    title="VICReg in the kernel regime is kernel locality preserving projections",
    control="the linear network's embedding",
    tolerance=1e-6,
    instances=20,
)
def kernel_lpp(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = K A, K the kernel matrix: (K L K) a = lambda (K H K) a on the range of H K, with the shrinkage
    c_k.

    The kernel is RANK-DEFICIENT, (1 + x^T y)^2 in two dimensions, of rank 6, 5 once centred; a strictly positive
    definite one reaches every Z and would repeat vicreg-optimum. x are Gaussian points, or two principal
    components of pixels for the graphs of real images; K up to 5. Measured: the larger of loss gap and largest
    principal angle, against random restarts of three optimisers over the six features, on all families; the loss
    alone where the eigenvalue at the cut ties. Control: the loss of the linear network on x, on weighted graphs.
    """
    found, control = Optimum(), np.inf
    for family, G, x in planar(rng, instances):
        n, kernel, k = len(G), (1 + x @ x.T) ** 2, int(rng.integers(1, 6))
        values = cf.vicreg(G, 5, X=kernel).eigenvalues
        gamma = survivors(rng, values, k, n / (n - 1))
        result = cf.vicreg(G, k, 1.0, gamma, X=kernel)
        features = cf.span(kernel, 1e-10) * np.sqrt(n)
        best = minimise(objective(G, gamma, float(n - 1), features), (features.shape[1], k), rng, restarts=2)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        itself = abs(cf.vicreg_objective(result.embedding, G, 1.0, gamma) - result.loss) / k
        ties = tied(-values, k, -n / ((n - 1) * gamma))
        found.see(family, result, best, k, centre=True, tied=ties, itself=itself)
        control = min(control, _linear_excess(rng))
    return Outcome(found.value, {"linear network": control}, detail=found.detail())


def _linear_excess(rng: np.random.Generator) -> float:
    """Of the linear network's loss over the kernel's, over K = 2, on a weighted graph."""
    _, G, x = next(planar(rng, 1))
    gamma = 0.3 / float(G.sum(axis=1).mean())
    losses = [cf.vicreg(G, 2, 1.0, gamma, X=X).loss for X in (x, (1 + x @ x.T) ** 2)]
    return (losses[0] - losses[1]) / 2
