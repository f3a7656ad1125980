"""The empirical loss from finitely many images: unbiased, and how fast it converges (Theorem 4.1)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import tasks
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.rates import Rate, fit_samples

SIZES = (20, 40, 80, 160, 320)
"""Numbers of images of which the deviation's exponent is fitted."""

LOSSES, BIASED, REPEATS = 4000, 20000, 2000
"""Losses whose mean is compared, those of a control, and those of each size whose deviation is fitted."""

NEAR = 0.12
"""How far an exponent's interval may reach from the exponent expected."""

ROUNDING = 1e-12


def _moments(p: Array, f: Array) -> tuple[Array, Array]:
    """For each image: ||E f||^2 (images,) and E[f f^T] (images, k, k), over its augmentations."""
    means = p @ f
    return (means**2).sum(axis=1), np.einsum("ix,xa,xb->iab", p, f, f)


def _losses(drawn: np.ndarray, positive: Array, second: Array, negatives: str = "distinct") -> Array:
    """Empirical losses (repeats,) of images `drawn` (repeats, n): -2 mean ||E f||^2 + mean over i, j of E
    (f^T f')^2.

    negatives: "distinct" images i != j, "all" with i = j kept, or "positives": two augmentations of ONE
    image.
    """
    n = drawn.shape[1]
    total = second[drawn].sum(axis=1)
    everything = (total**2).sum(axis=(1, 2))
    same = (second**2).sum(axis=(1, 2))[drawn].sum(axis=1)
    repulsion = {
        "distinct": (everything - same) / (n * (n - 1)),
        "all": everything / n**2,
        "positives": same / n,
    }[negatives]
    return np.asarray(-2 * positive[drawn].mean(axis=1) + repulsion)


def _exponent(p: Array, f: Array, draws: int, rng: np.random.Generator) -> Rate:
    """Exponent in n of the standard deviation of the empirical loss, images drawn with replacement."""
    moments = _moments(p, f)
    samples = [_losses(rng.integers(len(p), size=(draws, n)), *moments) for n in SIZES]
    return fit_samples(SIZES, samples, rng, lambda losses: float(losses.std()))


def minimiser(w: Array, k: int) -> Array:
    """f (nodes, k) of least population loss."""
    return cf.spectral(w, k).embedding / np.sqrt(w.sum(axis=1))[:, None]


def standard_errors(
    p: Array, f: Array, w: Array, draws: int, rng: np.random.Generator, negatives: str
) -> float:
    """Distance of the mean of so many empirical losses, `SIZES[0]` images each, from the loss on the graph.

    0 where the losses do not vary and agree with it.
    """
    losses = _losses(rng.integers(len(p), size=(draws, SIZES[0])), *_moments(p, f), negatives)
    exact, away = cf.spectral_contrastive_loss(f, w), float(losses.mean())
    error = float(losses.std(ddof=1) / np.sqrt(draws))
    if error < ROUNDING * abs(exact):
        return 0.0 if abs(away - exact) < ROUNDING * abs(exact) else np.inf
    return abs(away - exact) / error


@check(
    paper="haochen2021",
    statement="theorem-4.1",
    kind="monte-carlo",
    title="The empirical loss is unbiased, and deviates as n^-1/2 for a fixed f",
    control="negatives drawn as positive pairs; i = j kept",
    tolerance=4.0,
    instances=9,
)
def theorem_4_1(rng: np.random.Generator, instances: int) -> Outcome:
    """The mean of the loss over n images is the population's for a FIXED f, and its deviation falls as
    n^-1/2.

    Section 4: -(2/n) sum_i ||E f||^2 + 1/(n (n-1)) sum_{i != j} E (f(x_i)^T f(x_j))^2, images drawn
    independently, augmentations in expectation, at a Gaussian f. Measured: standard errors between the mean of
    4000 losses (n = 20) and the loss on the graph, the largest over a population of 40 images on 12 nodes and
    one of each family of tasks in turn; infinite if an interval of a fitted exponent (n = 20 to 320, in
    `detail`) reaches farther than 0.12 from the exponent expected.

    The exponent is -1/2 for a generic f. It is -1 where each image's first-order contribution, -2 ||E f||^2 +
    2 E f^T S f with S = E f f^T, is the same: at the minimiser when the kept eigenvalues are all 1, so that f
    is constant on components and S = I. At the minimiser of a connected graph it is -1/2 still. Controls, on the
    first population (where all images have one kernel they are no others): the repulsion between two
    augmentations of one image; the repulsion with i = j, biased by O(1/n).
    """
    k, kernels = 3, rng.dirichlet(np.full(12, 0.5), size=40)
    graph = augmentation_graph(kernels)
    p = kernels[:, graph.kept]
    f = rng.standard_normal((graph.kept.size, k))
    worst = Worst()
    worst.see("random kernels", standard_errors(p, f, graph.w, LOSSES, rng, "distinct"))
    for family, task in tasks(rng, instances):
        generic = rng.standard_normal((len(task.w), k))
        occurring = task.p[:, task.p.sum(axis=0) > 0]
        worst.see(family, standard_errors(occurring, generic, task.w, LOSSES, rng, "distinct"))

    blocks = block_diag(*(rng.dirichlet(np.full(3, 0.5), size=size) for size in (4, 8, 12, 16)))
    pure = augmentation_graph(blocks)
    found = {
        "exponent for a generic f": (_exponent(p, f, REPEATS, rng), -0.5),
        "exponent at a connected graph's minimiser": (
            _exponent(p, minimiser(graph.w, k), REPEATS, rng),
            -0.5,
        ),
        "exponent at the minimiser on components": (
            _exponent(blocks[:, pure.kept], minimiser(pure.w, 4), REPEATS, rng),
            -1.0,
        ),
    }
    near = all(abs(rate.farthest(exponent) - exponent) <= NEAR for rate, exponent in found.values())
    detail = {key: value for name, (rate, _) in found.items() for key, value in rate.detail(name).items()}
    controls = {
        "negatives as positives": standard_errors(p, f, graph.w, BIASED, rng, "positives"),
        "i = j kept": standard_errors(p, f, graph.w, BIASED, rng, "all"),
    }
    return Outcome(worst.value if near else np.inf, controls, detail=detail | worst.detail())
