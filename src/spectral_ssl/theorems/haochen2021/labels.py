"""A linear head from finitely many labels (Theorem 5.1): the size it has to have, and how fast it is learnt."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, augmentation_weights, kernel

SLACK = 1e-9
"""Share of the bound that rounding may take."""

SIZES = (100, 400, 1600, 6400)
"""Numbers of labels of which the excess loss's exponent is fitted."""


def _head_norm(w: Array, k: int, classes: int, rng: np.random.Generator) -> tuple[float, float]:
    """||B*||_F^2 of the w-weighted least squares onto random labels, and gamma_k."""
    result = cf.spectral(w, k)
    labels = rng.integers(classes, size=len(w))
    if rng.random() < 0.5:  # labels by the sign of the last eigenvector ask for its direction most
        labels = (result.embedding[:, -1] < 0).astype(np.int64)
    targets = np.sqrt(w.sum(axis=1))[:, None] * np.eye(classes)[labels]
    head = np.linalg.lstsq(result.embedding, targets, rcond=None)[0]
    return float((head**2).sum()), float(result.eigenvalues[-1])


@check(
    paper="haochen2021",
    statement="theorem-5.1",
    kind="bound",
    title="The best linear head has squared norm at most 1 / gamma_k",
    control="a bound that does not grow as gamma_k falls, on graphs with gamma_k near 0",
    tolerance=0.0,
    instances=200,
)
def theorem_5_1(rng: np.random.Generator, instances: int) -> Outcome:
    """||B*||_F^2 <= 1 / gamma_k for the w-weighted least-squares head on a minimiser's f, any labelling of
    the nodes.

    The constant behind the number of labels in Theorem 5.1 (its rate: theorem-5.1-labels). Proof: F = V
    Gamma^(1/2) gives B* = Gamma^(-1/2) V^T u, and the columns of u = sqrt(w) 1[label = c] have squares that
    sum to 1. Measured: violations; `detail` has the largest share of the
    bound. Control: ||B*||^2 <= 2 instead, on graphs whose gamma_k is below 0.02; counted are the graphs that
    break it.
    """
    violations, control, share = 0, 0, 0.0
    for _ in range(instances):
        n, k = int(rng.integers(6, 14)), int(rng.integers(1, 6))
        norm, gamma = _head_norm(augmentation_weights(rng, 2 * n, n), k, 3, rng)
        violations += int(norm > (1 + SLACK) / gamma)
        share = max(share, norm * gamma)
        # Kernels close to one distribution: all eigenvalues but the first are near 0.
        p = rng.dirichlet(np.full(n, 200.0), size=2 * n)
        norm, gamma = _head_norm(augmentation_graph(p).w, k + 1, 3, rng)
        control += int(gamma < 0.02 and norm > 2)
    return Outcome(violations, {"no gamma_k": control}, detail={"largest ||B||^2 gamma_k": share})


def bounded_head(f: Array, targets: Array, radius: float) -> Array:
    """B (k, classes) of least squares subject to ||B||_F^2 <= radius: ridge regression with the ridge that
    fits.
    """
    left, singular, right = np.linalg.svd(f, full_matrices=False)
    projected = left.T @ targets

    def scaled(ridge: float) -> Array:
        return np.asarray((singular / (singular**2 + ridge))[:, None] * projected)

    ridge, most = 0.0, float((singular[0] * np.linalg.norm(projected)) / np.sqrt(radius))
    if (scaled(0.0) ** 2).sum() > radius:
        ridge = brentq(lambda value: (scaled(value) ** 2).sum() - radius, 0.0, most)
    return right.T @ scaled(ridge)


@check(
    paper="haochen2021",
    statement="theorem-5.1-labels",
    kind="rate",
    title="A head of squared norm at most 1 / gamma_k is learnt from n labels with excess below order n^-1/2",
    control="a norm of at most 1/2, whatever gamma_k",
    expected=-1.0,
    tolerance=0.2,
    instances=300,
)
def theorem_5_1_labels(rng: np.random.Generator, instances: int) -> Outcome:
    """B least squares over ||B||_F^2 <= 1 / gamma_k from n labelled augmentations: E ||y - f(x) B||^2 exceeds
    that of the best head without a bound by at most order n^-1/2.

    The dependence on n in Theorem 5.1, f being the population's minimiser and y the one-hot label of the
    image that x was drawn from. The ball holds the best head (theorem-5.1), and has a Rademacher complexity
    of order n^-1/2 that grows with k, r and 1 / gamma_k; constants and that growth are not checked. As the
    class has finite dimension the excess falls faster, as n^-1. The excess of B is the sum of gamma_i ||B_i -
    B*_i||^2, since E f^T f is the diagonal of gamma.

    3 classes, k = 4, labels lost with probability 0.1. Measured: the fitted exponent of the mean excess over
    `instances` draws a size, n = 100 to 6400. Control: a ball that does not grow as gamma_k falls, in which
    the excess stays.
    """
    k, labels, node_labels = 4, np.repeat(np.arange(3), 8), np.repeat(np.arange(3), 6)
    p = kernel(rng, labels, node_labels, 0.1)
    w = augmentation_graph(p).w
    result, root = cf.spectral(w, k), np.sqrt(w.sum(axis=1))[:, None]
    f, onehot = result.embedding / root, np.eye(3)[labels]
    best = np.linalg.lstsq(result.embedding, p.T @ onehot / len(labels) / root, rcond=None)[0]
    joint = p.ravel() / len(labels)

    def exponent(radius: float, repeats: int) -> tuple[float, float]:
        means = []
        for n in SIZES:
            excess = []
            for _ in range(repeats):
                images, nodes = np.divmod(rng.choice(joint.size, size=n, p=joint), p.shape[1])
                head = bounded_head(f[nodes], onehot[images], radius)
                excess.append(float(result.eigenvalues @ ((head - best) ** 2).sum(axis=1)))
            means.append(np.mean(excess))
        return float(np.polyfit(np.log(SIZES), np.log(means), 1)[0]), float(means[-1])

    measured, last = exponent(1 / float(result.eigenvalues[-1]), instances)
    detail = {"gamma_k": float(result.eigenvalues[-1]), f"mean excess, n = {SIZES[-1]}": last}
    return Outcome(measured, {"norm at most 1/2": exponent(0.5, 20)[0]}, detail=detail)
