"""Learning from finitely many images: the population loss of the empirical minimiser (Theorem 4.1)."""

from __future__ import annotations

import numpy as np
import scipy.optimize

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.haochen2021.sampling import minimiser
from spectral_ssl.theorems.instances import Array, separated
from spectral_ssl.theorems.optimise import Objective

SIZES = (80, 240, 720, 2160)
"""Numbers of images drawn, of which the excess loss's exponent is fitted."""

IMAGES, NODES, DIMENSION = 40, 12, 3

BOUND = 10.0
"""Largest entry of f: Theorem 4.1 is about classes of bounded f, and a small sample's loss has no minimum."""

SLACK = 1e-9
"""What rounding may take from an excess loss of zero."""


def _population(rng: np.random.Generator) -> tuple[Array, Array]:
    """A kernel p (images, nodes) and its w, gamma_k apart from the next: near a tie small samples swap them."""
    while True:
        p = rng.dirichlet(np.full(NODES, 0.5), size=IMAGES)
        graph = augmentation_graph(p)
        gamma = cf.spectral(graph.w, DIMENSION + 1).eigenvalues
        if graph.kept.size == NODES and separated(gamma, DIMENSION, 0.05):
            return p, graph.w


def empirical_loss(p: Array, counts: Array, *, negatives: str = "distinct") -> Objective:
    """-(2/n) sum_i ||E f(x_i)||^2 + 1/(n (n-1)) sum_{i != j} E (f(x_i)^T f(x_j))^2 and gradient, at f (nodes, k).

    Args:
        p: augmentation kernel (images, nodes).
        counts: how often each image was drawn (images,), n in all.
        negatives: "distinct" draws, or "positives": two augmentations of ONE draw.
    """
    n = counts.sum()
    pairs, singles = (1 / (n * (n - 1)), -1 / (n * (n - 1))) if negatives == "distinct" else (0.0, 1 / n)
    drawn = counts[:, None] * p

    def at(f: Array) -> tuple[float, Array]:
        means, second = p @ f, np.einsum("ix,xa,xb->iab", p, f, f)
        total = np.einsum("i,iab->ab", counts, second)
        repulsion = pairs * (total**2).sum() + singles * (counts @ (second**2).sum(axis=(1, 2)))
        value = -2 / n * (counts @ (means**2).sum(axis=1)) + repulsion
        own = np.einsum("ix,iab,xb->xa", drawn, second, f)
        gradient = -4 / n * drawn.T @ means + 4 * pairs * drawn.sum(axis=0)[:, None] * (f @ total)
        return float(value), gradient + 4 * singles * own

    return at


def _minimise(objective: Objective, starts: list[Array]) -> Array:
    """The best end of bounded L-BFGS from `starts`."""
    shape, ends = starts[0].shape, []

    def flat(vector: Array) -> tuple[float, Array]:
        value, gradient = objective(vector.reshape(shape))
        return value, gradient.ravel()

    for start in starts:
        bounds = [(-BOUND, BOUND)] * start.size
        ends.append(scipy.optimize.minimize(flat, start.ravel(), jac=True, method="L-BFGS-B", bounds=bounds))
    return np.asarray(min(ends, key=lambda end: end.fun).x.reshape(shape))


def _exponent(excess: dict[int, list[float]]) -> float:
    means = [np.mean(values) for values in excess.values()]
    return float(np.polyfit(np.log(list(excess)), np.log(means), 1)[0])


@check(
    paper="haochen2021",
    statement="theorem-4.1-excess",
    kind="rate",
    title="The empirical minimiser's population loss exceeds the least one by less than order n^-1/2",
    control="negatives drawn as positive pairs",
    expected=-1.0,
    tolerance=0.2,
    instances=30,
)
def theorem_4_1_excess(rng: np.random.Generator, instances: int) -> Outcome:
    """For a class of bounded f, L(f_hat) - min L is at most of the order of its Rademacher complexity at n / 2
    images, plus n^-1/2.

    Theorem 4.1 in the excess loss: f_hat minimises the empirical loss over n images drawn independently,
    augmentations in expectation, L is the population's. The class is every f on 12 nodes that 40 images share,
    entries at most 10: of finite dimension, with a complexity of order n^-1/2. The bound is then n^-1/2, and
    what happens is better: n^-1, as for any such minimiser whose loss has a curvature in all directions but
    the rotations of f, the excess being a quadratic form in a deviation of order n^-1/2. Neither the
    theorem's constants nor classes of unbounded complexity are checked.

    Measured: the fitted exponent of the mean excess over `instances` draws a size, n = 80 to 2160, from two
    starts (the population's minimiser and a random one). NaN if an excess is negative. Control: the exponent
    where the repulsion is between two augmentations of one image: the excess stays.
    """
    p, w = _population(rng)
    best = minimiser(w, DIMENSION)
    least = cf.spectral_contrastive_loss(best, w)
    excess: dict[str, dict[int, list[float]]] = {}
    for negatives in ("distinct", "positives"):
        excess[negatives] = {n: [] for n in SIZES}
        # One loss does not depend on the draws much: a few are enough for the control.
        for n in SIZES * (instances if negatives == "distinct" else 3):
            counts = np.bincount(rng.integers(IMAGES, size=n), minlength=IMAGES).astype(np.float64)
            objective = empirical_loss(p, counts, negatives=negatives)
            f = _minimise(objective, [best, rng.standard_normal(best.shape)])
            excess[negatives][n].append(cf.spectral_contrastive_loss(f, w) - least)
    measured = _exponent(excess["distinct"])
    if min(min(values) for values in excess["distinct"].values()) < -SLACK:
        measured = np.nan
    detail = {f"mean excess, n = {n}": float(np.mean(values)) for n, values in excess["distinct"].items()}
    controls = {"negatives as positives": _exponent(excess["positives"])}
    return Outcome(measured, controls, detail=detail | {"least loss": least})
