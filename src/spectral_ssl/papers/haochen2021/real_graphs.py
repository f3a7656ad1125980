"""Augmentation graphs of a tier's images, every augmentation enumerated: several families on two data sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from spectral_ssl.data.families import Family, coarsen, compose, family_kernel, shifts
from spectral_ssl.data.render import FACTORS, LEVELS, render
from spectral_ssl.data.sources import Dataset, load
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.stages.views import subset

GREY_LEVELS = (
    2,
    3,
    4,
)  # grey levels that are told apart: the more, the fewer augmentations of two images meet
BLOCKS = 4  # blocks across the image, whose mean grey is what is seen
COARSEST = 2  # blocks across, for a graph of a handful of points
CODES = np.array(list(itertools.product(range(LEVELS), repeat=len(FACTORS))))
"""Every combination of the factors (256, 4): the images that can be drawn anew."""

REDRAWN: dict[str, dict[str, float]] = {
    "all but the shape redrawn": {"colour": 1, "texture": 1, "position": 1},
    "all redrawn, the shape by 5 %": {"shape": 0.05, "colour": 1, "texture": 1, "position": 1},
    "half redrawn, the shape by 5 %": {"shape": 0.05, "colour": 0.5, "texture": 0.5, "position": 0.5},
    "only the shape redrawn": {"shape": 1},
}
"""The chance of each factor to be drawn anew, uniformly over its levels; a factor that is not named is kept."""

# What images of equal factors differ in, at the middle of its range: such images are one point.
MIDDLE = {"shift": 0.0, "scale": 1.0, "angle": 0.0, "brightness": 0.85, "background": 0.725, "phase": 0.0}


class Instance(NamedTuple):
    """`kernel` p(x | image) (images, points) of the images of classes `labels` (images,)."""

    name: str
    kernel: sparse.csr_array
    labels: NDArray[np.int64]


def instances(inputs: Inputs) -> Iterator[Instance]:
    """The tier's own images in grey under shifts, then those drawn from factors, where the tier has any."""
    tier = inputs.context.tier
    for slug in tier.datasets:
        dataset = load(inputs.context.layout.data(slug))
        if slug == tier.data.slug:
            images, labels = grey(dataset, tier.views.images)
            for levels in GREY_LEVELS:
                kernel = family_kernel(images, shifted_blocks(images, levels)).kernel
                yield Instance(f"{slug}: {levels} grey levels", kernel, labels)
            kernel = family_kernel(images, shifted_blocks(images, 2, COARSEST)).kernel
            yield Instance(f"{slug}: 2 grey levels, {COARSEST}x{COARSEST} blocks", kernel, labels)
        if dataset.meta["factors"] == list(FACTORS):
            yield from _drawn_anew(slug, dataset, tier.views.images)


def grey(dataset: Dataset, images: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Training images that have a class, at most so many, in grey (n, H, W) and their classes; a margin that the
    blocks would not cover is cut off.
    """
    index, labels = _chosen(dataset, images)
    values = np.asarray(dataset.train_images[index]).mean(axis=-1)
    side = values.shape[1] - values.shape[1] % _pooling(values.shape[1], BLOCKS)
    return np.rint(values[:, :side, :side]).astype(np.uint8), labels


def shifted_blocks(images: NDArray[np.uint8], levels: int, blocks: int = BLOCKS) -> Family:
    """Shifts by up to a pixel, seen as so many blocks across of so many grey levels."""
    return compose(shifts(1), coarsen(levels, pooling=_pooling(images.shape[1], blocks)))


def redraw(chances: Mapping[str, float]) -> NDArray[np.float64]:
    """p(code | code) (256, 256): each factor by itself is drawn anew with its chance, uniformly over its levels."""
    kernel = np.ones((1, 1))
    for name in FACTORS:
        chance = chances.get(name, 0.0)
        kernel = np.kron(kernel, (1 - chance) * np.eye(LEVELS) + chance / LEVELS).astype(np.float64)
    return kernel


def pictures(size: int) -> NDArray[np.uint8]:
    """The image of every code, without what else images differ in: (256, size, size, 3)."""
    n = len(CODES)
    still = {
        name: torch.full((n, 2) if name in ("shift", "phase") else (n,), value)
        for name, value in MIDDLE.items()
    }
    drawn = render(torch.from_numpy(CODES), still | {"noise": torch.zeros(n, 3, size, size)}, size)
    return drawn.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _drawn_anew(slug: str, dataset: Dataset, images: int) -> Iterator[Instance]:
    index, labels = _chosen(dataset, images)
    codes = np.asarray(dataset.train_factors[index])
    rows = codes @ (LEVELS ** np.arange(len(FACTORS))[::-1])
    for name, chances in REDRAWN.items():
        yield Instance(f"{slug}: {name}", sparse.csr_array(redraw(chances)[rows]), labels)
    drawn = pictures(dataset.train_images.shape[1])
    pooled = coarsen(GREY_LEVELS[-1], pooling=_pooling(drawn.shape[1], 2 * BLOCKS))
    seen = family_kernel(drawn, pooled).kernel
    name, chances = next(iter(REDRAWN.items()))
    kernel = sparse.csr_array(redraw(chances)[rows]) @ seen
    yield Instance(f"{slug}: {name}, in blocks of {GREY_LEVELS[-1]} levels", kernel, labels)


def _chosen(dataset: Dataset, images: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    index = subset(dataset, min(images, len(dataset.train_labels)))
    labels = np.asarray(dataset.train_labels)[index]
    return index[labels >= 0], labels[labels >= 0]


def _pooling(size: int, blocks: int) -> int:
    """A block's side for images of this size, px."""
    return max(1, size // blocks)
