"""A linear head learnt from finitely many labels (Theorem 5.1): how fast, and on what that depends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import tasks
from spectral_ssl.theorems.instances import Array, kernel
from spectral_ssl.theorems.rates import Rate, fit_samples

SIZES = (100, 400, 1600, 6400)
"""Numbers of labels of which the excess loss's exponent is fitted."""

MIDDLE = 1600
"""The number of labels where k, r or gamma_k varies."""

DIMENSIONS, CLASSES, MIXTURES = (2, 4, 8, 16), (2, 3, 4, 6), (0.0, 0.2, 0.4, 0.6)
"""k, r, and the shares of the mean kernel in every image's: gamma_2 ... gamma_k fall as (1 - share)^2."""

DRAWS = 25
"""Of each size, an instance."""

SLACK = 0.2
"""What the exponents in k, r and 1 / gamma_k may exceed 1 by, as the rate's tolerance."""

FAMILIES = 9
"""Graphs, one of each family, on which the bound is checked."""

POSITIVE = 1e-6
"""Eigenvalues of A below this count as zero."""

RANK = 1e-10
"""Singular values below this share of the largest are zero."""


def bounded_head(f: Array, targets: Array, radius: float) -> Array:
    """B (k, classes) of least squares subject to ||B||_F^2 <= radius: ridge regression with the ridge that
    fits; of least norm where f (n, k) lacks rank, few labels having missed a component.
    """
    left, singular, right = np.linalg.svd(f, full_matrices=False)
    seen = singular > RANK * singular[0]
    left, singular, right = left[:, seen], singular[seen], right[seen]
    projected = left.T @ targets

    def scaled(ridge: float) -> Array:
        return np.asarray((singular / (singular**2 + ridge))[:, None] * projected)

    ridge, most = 0.0, float((singular[0] * np.linalg.norm(projected)) / np.sqrt(radius))
    if (scaled(0.0) ** 2).sum() > radius:
        ridge = brentq(lambda value: (scaled(value) ** 2).sum() - radius, 0.0, most)
    return right.T @ scaled(ridge)


class Labelled:
    """Augmentations with the label of their image, seen through the minimiser's f (nodes, k).

    mass: (nodes, classes), Pr[x, y]. gamma: (k,). best: (k, classes), B*. limit: of n times the mean excess.
    """

    def __init__(self, p: Array, labels: NDArray[np.int64], k: int) -> None:
        graph = augmentation_graph(p)
        self.mass = p[:, graph.kept].T @ np.eye(int(labels.max()) + 1)[labels] / len(labels)
        degree = self.mass.sum(axis=1)
        result, root = cf.spectral(graph.w, k), np.sqrt(degree)[:, None]
        self.gamma, self.f = result.eigenvalues, result.embedding / root
        self.best = np.linalg.lstsq(result.embedding, self.mass / root, rcond=None)[0]
        scores = self.f @ self.best
        residual = 1 - 2 * scores + (scores**2).sum(axis=1, keepdims=True)  # ||e_c - f_x B*||^2
        self.limit = float(((self.mass * residual).sum(axis=1) @ self.f**2 / self.gamma).sum())
        radius = 1 / float(self.gamma[-1])
        fourth = float(degree @ (self.f**2).sum(axis=1) ** 2)
        self.bound = 4 * np.sqrt(radius * self.gamma.sum()) + np.sqrt(2 * fourth) * radius

    def excess(self, n: int, draws: int, rng: np.random.Generator, radius: float | None = None) -> Array:
        """Excess losses (draws,) of least squares in the ball (default: 1 / gamma_k), n labels each."""
        radius = 1 / float(self.gamma[-1]) if radius is None else radius
        found = []
        for drawn in rng.multinomial(n, self.mass.ravel() / self.mass.sum(), size=draws):
            counts = drawn.reshape(self.mass.shape)
            seen = np.sqrt(counts.sum(axis=1, keepdims=True))
            # Least squares on n rows is that on the nodes' means, each weighted by its rows.
            targets = np.divide(counts, seen, out=np.zeros(counts.shape), where=seen > 0)
            head = bounded_head(seen * self.f, targets, radius)
            found.append(float(self.gamma @ ((head - self.best) ** 2).sum(axis=1)))
        return np.array(found)


def _images(rng: np.random.Generator, classes: int, nodes: int) -> tuple[Array, NDArray[np.int64]]:
    """A kernel, 8 images and so many nodes a class, that leaves the class with probability 0.1; labels."""
    labels = np.repeat(np.arange(classes), 8)
    return kernel(rng, labels, np.repeat(np.arange(classes), nodes), 0.1), labels


def _growth(
    sizes: Sequence[float], designs: Sequence[Labelled], draws: int, rng: np.random.Generator
) -> tuple[Rate, float]:
    """Exponent of the mean excess in something that the designs differ in, and that of its limit."""
    samples = [one.excess(MIDDLE, draws, rng) for one in designs]
    limits = np.log([one.limit for one in designs])
    return fit_samples(sizes, samples, rng), float(np.polyfit(np.log(sizes), limits, 1)[0])


def _bounds(rng: np.random.Generator, draws: int) -> Worst:
    """Mean excess over its bound by family, at few and many labels."""
    worst = Worst()
    for family, task in tasks(rng, FAMILIES):
        gamma = cf.spectral(task.w, min(6, len(task.w))).eigenvalues
        one = Labelled(task.p, task.labels, int((gamma > POSITIVE).sum()))
        for n in (SIZES[0], SIZES[2]):
            worst.see(family, float(one.excess(n, draws, rng).mean()) / (one.bound / np.sqrt(n)))
    return worst


@check(
    paper="haochen2021",
    statement="theorem-5.1-labels",
    kind="rate",
    title="A head of squared norm at most 1 / gamma_k is learnt from n labels with excess below order n^-1/2",
    control="a norm of at most 1/2, whatever gamma_k",
    expected=-1.0,
    tolerance=0.2,
    instances=10,
)
def theorem_5_1_labels(rng: np.random.Generator, instances: int) -> Outcome:
    """B least squares over ||B||_F^2 <= R = 1 / gamma_k from n labelled augmentations: E ||y - f(x) B||^2
    exceeds that of the best head B* without a bound by at most (4 sqrt(R sum gamma_i) + R sqrt(2 E ||f||^4)) /
    sqrt(n) in the mean.

    Theorem 5.1's dependence on n, k, r and gamma_k, f being the population's minimiser and y the one-hot label
    of the image that x was drawn from. Proof of the bound: B* is in the ball (theorem-5.1; soft labels have
    norm at most 1 too), so the excess is at most the difference at B and B* of the population's loss less the
    sample's, 2 <B* - B, c - c_n> + <B B^T - B* B*^T, G - G_n> with c = E f^T y and G = E f^T f = diag(gamma).
    ||B - B*|| is at most 2 sqrt(R), ||B B^T - B* B*^T||_F at most sqrt(2) R, E ||c - c_n||^2 at most E ||f||^2
    / n = sum gamma_i / n, E ||G - G_n||_F^2 at most E ||f||^4 / n. So it grows at most as k^(1/2) and 1 /
    gamma_k, E ||f||^4 given.

    What happens is better, as the class has finite dimension: n times the mean excess tends to sum_i E [||y - f
    B*||^2 f_i^2] / gamma_i, at most k times the largest noise E [||y - f B*||^2 | x] and hardly dependent on r.
    So the bound is loose (its share that is reached is in `detail`), its ball is mostly not active, and its own
    exponents are not seen: with k also 1 / gamma_k grows here, and the exponent in k is that of both. The
    excess of B is the sum of gamma_i ||B_i - B*_i||^2.

    Measured: the end of the bootstrap interval of the exponent in n, n = 100 to 6400, that is farther from -1,
    over 25 draws a size and instance (3 classes, k = 4, labels lost with probability 0.1). Infinite if a mean
    excess exceeds its bound (one graph of each family, k up to 6, n = 100 and 1600), or if at n = 1600 the
    exponent in k (2 to 16), r (2 to 6) or 1 / gamma_k (which the mean kernel, mixed into each image's, raises by
    up to 6 and leaves the eigenvectors alone) reaches above 1.2. `detail`: all exponents with intervals, and those
    of the limit. Control: a ball that does not grow as gamma_k falls, in which the excess stays.
    """
    draws = DRAWS * instances
    p, labels = _images(rng, 3, 6)
    one = Labelled(p, labels, 4)
    samples = [one.excess(n, draws, rng) for n in SIZES]
    rate = fit_samples(SIZES, samples, rng)
    narrow = fit_samples(SIZES, [one.excess(n, DRAWS, rng, 0.5) for n in SIZES], rng)

    wide, wide_labels = _images(rng, 3, 12)
    in_k = _growth(DIMENSIONS, [Labelled(wide, wide_labels, k) for k in DIMENSIONS], draws, rng)
    in_r = _growth(CLASSES, [Labelled(*_images(rng, r, 6), 8) for r in CLASSES], draws, rng)
    mixed = [Labelled((1 - part) * p + part * p.mean(axis=0), labels, 4) for part in MIXTURES]
    in_gamma = _growth([1 / float(other.gamma[-1]) for other in mixed], mixed, draws, rng)
    tightness = _bounds(rng, DRAWS)

    within = all(found.high <= 1 + SLACK for found, _ in (in_k, in_r, in_gamma))
    measured = rate.farthest(-1.0) if within and tightness.value <= 1 else np.inf
    detail = rate.detail("exponent in n")
    for name, (found, limit) in {"k": in_k, "r": in_r, "1 / gamma_k": in_gamma}.items():
        detail |= found.detail(f"exponent in {name}") | {f"the limit's in {name}": limit}
    detail |= {"n times the excess over its limit": float(samples[-1].mean()) * SIZES[-1] / one.limit}
    detail |= {"tightness": tightness.value} | tightness.detail()
    return Outcome(measured, {"norm at most 1/2": narrow.exponent}, detail=detail)
