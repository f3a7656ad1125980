"""The empirical loss from finitely many images: unbiased, and how fast it converges (Theorem 4.1)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array

SIZES = (20, 40, 80, 160, 320)
"""Numbers of images of which the deviation's exponent is fitted."""


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


def _slope(images: int, positive: Array, second: Array, rng: np.random.Generator, repeats: int) -> float:
    """Exponent in n of the standard deviation of the empirical loss, images drawn with replacement."""
    spreads = []
    for n in SIZES:
        drawn = rng.integers(images, size=(repeats, n))
        spreads.append(_losses(drawn, positive, second).std())
    return float(np.polyfit(np.log(SIZES), np.log(spreads), 1)[0])


def minimiser(w: Array, k: int) -> Array:
    """f (nodes, k) of least population loss."""
    return cf.spectral(w, k).embedding / np.sqrt(w.sum(axis=1))[:, None]


@check(
    paper="haochen2021",
    statement="theorem-4.1",
    kind="monte-carlo",
    title="The empirical loss is unbiased, and deviates as n^-1/2 for a fixed f",
    control="negatives drawn as positive pairs; i = j kept",
    tolerance=4.0,
    instances=4000,
)
def theorem_4_1(rng: np.random.Generator, instances: int) -> Outcome:
    """The mean of the loss over n images is the population's for a FIXED f, and its deviation falls as
    n^-1/2.

    Section 4: -(2/n) sum_i ||E f||^2 + 1/(n (n-1)) sum_{i != j} E (f(x_i)^T f(x_j))^2, images drawn
    independently, augmentations in expectation. The population has 40 images on 12 nodes. Measured: standard
    errors between the mean of `instances` losses (n = 20) and the loss on the graph; infinite if a fitted
    exponent (in `detail`) is off by more than 0.1.

    The exponent is -1/2 for a generic f. It is -1 where each image's first-order contribution, -2 ||E f||^2 +
    2 E f^T S f with S = E f f^T, is the same: at the minimiser when the kept eigenvalues are all 1, so that f
    is constant on components and S = I. At the minimiser of a connected graph it is -1/2 still (shown in
    `detail`). Controls: the repulsion between two augmentations of one image; the repulsion with i = j,
    biased by O(1/n).
    """
    images, nodes, k = 40, 12, 3
    p = rng.dirichlet(np.full(nodes, 0.5), size=images)
    graph = augmentation_graph(p)
    p = p[:, graph.kept]
    f = rng.standard_normal((graph.kept.size, k))
    exact = cf.spectral_contrastive_loss(f, graph.w)
    positive, second = _moments(p, f)
    drawn = rng.integers(images, size=(instances, SIZES[0]))

    def deviation(negatives: str) -> float:
        losses = _losses(drawn, positive, second, negatives)
        return abs(float(losses.mean()) - exact) / float(losses.std(ddof=1) / np.sqrt(instances))

    generic = _slope(images, positive, second, rng, 400)
    connected = _slope(images, *_moments(p, minimiser(graph.w, k)), rng, 400)
    blocks = block_diag(*(rng.dirichlet(np.full(3, 0.5), size=size) for size in (4, 8, 12, 16)))
    pure = augmentation_graph(blocks)
    degenerate = _slope(images, *_moments(blocks[:, pure.kept], minimiser(pure.w, 4)), rng, 400)
    measured = deviation("distinct")
    if abs(generic + 0.5) > 0.1 or abs(connected + 0.5) > 0.1 or abs(degenerate + 1) > 0.1:
        measured = np.inf
    detail = {
        "exponent for a generic f": generic,
        "exponent at a connected graph's minimiser": connected,
        "exponent at the minimiser on components": degenerate,
    }
    controls = {"negatives as positives": deviation("positives"), "i = j kept": deviation("all")}
    return Outcome(measured, controls, detail=detail)
