"""Small graphs of real images, for the checks: handwritten digits and procedural factors.

No file is read: scikit-learn holds the digits, and the factors are drawn. The pipeline measures its own data
sets at their full size; here are subsets small enough for an optimiser.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits

from spectral_ssl.data.families import Family, coarsen, compose, family_kernel, shifts
from spectral_ssl.data.graph import views_graph
from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.data.render import nuisances, render
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.theorems.instances import Array

SIZE = 8
"""Side of the images, px."""

LINK = 0.3
"""Weight of a link to a nearest neighbour, beside 1 between two views of one image."""

NEIGHBOURS = 2

AUGMENTATIONS = {"digits": "digits_affine", "factors": "factors"}

CLASSES, IMAGES = 3, 24
"""Of a kernel: so few that its points can be told apart and meet."""


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    bunch = load_digits()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64)


def images(
    name: str, n: int, *, generator: np.random.Generator, classes: int = 10
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """n images (n, 8, 8, C) of the first `classes` classes, their classes (n,), and factors (n, F): F = 0 for digits.

    Digits are drawn without replacement; a factors image has any combination, its class being the shape.
    """
    if name == "digits":
        pixels, labels = _digits()
        chosen = generator.choice(np.flatnonzero(labels < classes), n, replace=False)
        return pixels[chosen][..., None], labels[chosen], np.zeros((n, 0), np.int64)
    codes = generator.integers(0, 4, (n, 4))
    codes[:, 0] = generator.integers(0, min(classes, 4), n)
    stream = torch.Generator().manual_seed(int(generator.integers(2**31)))
    drawn = render(torch.from_numpy(codes), nuisances(n, SIZE, stream), SIZE)
    return (drawn * 255).round().byte().permute(0, 2, 3, 1).numpy(), codes[:, 0], codes


def viewed(name: str, n: int, *, generator: np.random.Generator) -> tuple[Array, Array]:
    """Normalised pixels (n, C, 8, 8) of two views of each of n // 2 images, and their relation graph (n, n).

    G: 1 within a pair, `LINK` between nearest neighbours in pixels. Rows as in `data.graph.views_graph`; views by
    the augmentation that the pipeline trains with.
    """
    samples = n // 2
    pixels, _, codes = images(name, samples, generator=generator)
    batch = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    augment = get_augmentation(AUGMENTATIONS[name], SIZE, batch.shape[1])
    stream = torch.Generator().manual_seed(int(generator.integers(2**31)))
    known = torch.from_numpy(codes) if codes.shape[1] else None
    views = torch.cat([augment(batch, generator=stream, factors=known) for _ in range(2)]).double().numpy()
    near = neighbours_graph(views.reshape(len(views), -1), NEIGHBOURS)
    return views, np.asarray(sparse.csr_array(views_graph(samples, 2) + LINK * near).toarray())


def relation_graph(name: str, n: int, *, generator: np.random.Generator) -> Array:
    """The graph of `viewed`."""
    return viewed(name, n, generator=generator)[1]


def _family(name: str) -> Family:
    """Shifts by a pixel, seen as blocks of few grey levels, so that augmentations of different images meet.

    16 blocks, dark or light, for digits; 4 blocks of 8 levels for factors, whose ground is grey all over.
    """
    coarse = coarsen(2, pooling=2) if name == "digits" else coarsen(8, pooling=4)
    return compose(shifts(1), coarse)


def kernel(name: str, *, generator: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """p(x | image) (images, points), enumerated, and the images' classes, of a few images of three classes."""
    pixels, labels, _ = images(name, IMAGES, generator=generator, classes=CLASSES)
    grey = np.rint(pixels.mean(axis=-1)).astype(np.uint8)
    return np.asarray(family_kernel(grey, _family(name)).kernel.toarray()), labels
