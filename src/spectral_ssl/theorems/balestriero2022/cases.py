"""The instances of this paper's checks: graphs by family, with features for the linear networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form import Result
from spectral_ssl.theorems import real
from spectral_ssl.theorems.families import RELATIONS
from spectral_ssl.theorems.instances import Array, separated

ORDER = (
    "weighted",
    "complete",
    "digits",
    "regular",
    "power-law",
    "disconnected",
    "near-degenerate",
    "factors",
    "linked views",
    "block",
)
"""All families, so that the first three are a generic graph, one whose eigenvalues tie, and one of real images."""

REAL = ("digits", "factors")
CELL = 4
"""Side of a cell of pixels whose mean is one feature, px: four features a channel."""


NEAR = 0.02
"""Eigenvalues this share of the largest apart are told apart by an optimiser."""


def graphs(
    rng: np.random.Generator,
    instances: int,
    sizes: tuple[int, int] = (8, 13),
    without: tuple[str, ...] = (),
    *,
    connected: bool = False,
) -> Iterator[tuple[str, Array]]:
    """`instances` relation graphs with their families' names, the families in turn less those `without`.

    n from `sizes`, upper end excluded. `connected`: drawn again until it is in one piece, as all families but
    "disconnected" soon are.
    """
    names = [name for name in ORDER if name not in without]
    for index in range(instances):
        name = names[index % len(names)]
        while True:
            G = RELATIONS[name](rng, int(rng.integers(*sizes)))
            if not connected or connected_components(G, directed=False, return_labels=False) == 1:
                break
        yield name, G


def linear(
    rng: np.random.Generator, instances: int, sizes: tuple[int, int] = (14, 20)
) -> Iterator[tuple[str, Array, Array]]:
    """As `graphs`, with features X (n, D), not centred, D < n.

    Gaussian ones about a mean, every other time of rank D - 1 and a hundred thousand times as large; of real
    images the mean pixels of four quarters a channel.
    """
    names = [ORDER[index % len(ORDER)] for index in range(instances)]
    for index, name in enumerate(names):
        n = int(rng.integers(*sizes))
        if name in REAL:
            views, G = real.viewed(name, n, generator=rng)
            yield name, G, pooled(views)
            continue
        G, d = RELATIONS[name](rng, n), int(rng.integers(4, 7))
        X = rng.standard_normal((n, d)) @ np.diag(rng.uniform(0.5, 2.0, d)) + 2 * rng.standard_normal(d)
        if index % 2:  # far from 1, so that a rank tolerance must be relative
            X[:, -1] = X[:, 0] - X[:, 1]
            X *= 1e5
        yield name, G, X


def misvalued(name: str, result: Result, G: Array, **options: Any) -> float:
    """How far the closed form's own objective at its embedding is from its loss, G dense and sparse."""
    values = [cf.objective(name, result.embedding, graph, **options) for graph in (G, csr_array(G))]
    return max(abs(value - result.loss) for value in values)


def pooled(views: Array) -> Array:
    """Mean pixels (n, C * cells) of images (n, C, side, side), by cells of `CELL` pixels a side."""
    n, channels, side, _ = views.shape
    cells = views.reshape(n, channels, side // CELL, CELL, side // CELL, CELL)
    return np.asarray(cells.mean(axis=(3, 5)).reshape(n, -1))


def planar(rng: np.random.Generator, instances: int) -> Iterator[tuple[str, Array, Array]]:
    """As `linear`, with points x (n, 2): the first two principal components of its features, at variance 1.

    From the second round of families on they are smooth along the edges, and have no strong negative correlation.
    """
    for index, (name, G, X) in enumerate(linear(rng, instances)):
        x = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[0][:, :2]
        if index >= len(ORDER):
            x = smooth(G, x)
        yield name, G, (x - x.mean(axis=0)) / x.std(axis=0)


def smooth(G: Array, X: Array) -> Array:
    """X averaged four times with its neighbours' means."""
    return np.asarray(np.linalg.matrix_power(np.eye(len(G)) + G / G.sum(axis=1)[:, None], 4) @ X / 2**4)


LABELLED = ("Gaussian", "digits", "factors")
"""Families of features with classes."""


def labelled(
    rng: np.random.Generator, index: int, classes: int, *, balanced: bool
) -> tuple[str, Array, NDArray[np.int64]]:
    """Features (n, D) of some classes, sorted by class, of the family that is `index`'s turn, D >= classes.

    Gaussian classes of covariances of their own, or mean pixels of real images. Not balanced: class sizes between
    1 : 2 and 1 : 3.
    """
    name = LABELLED[index % len(LABELLED)]
    sizes = [16] * classes if balanced else [int(size) for size in rng.permutation([8, 25, 12, 17])[:classes]]
    if name == "Gaussian":
        return name, *gaussian_classes(rng, sizes, int(rng.integers(classes, 7)), 1.0)
    pixels, labels, _ = real.images(name, 60 * classes, generator=rng, classes=classes)
    X = pooled(pixels.transpose(0, 3, 1, 2) / 255.0)
    chosen = np.concatenate([np.flatnonzero(labels == c)[:size] for c, size in enumerate(sizes)])
    return name, X[chosen], labels[chosen]


def gaussian_classes(
    rng: np.random.Generator, sizes: list[int], d: int, spread: float
) -> tuple[Array, NDArray[np.int64]]:
    """Gaussian classes; `spread` > 0 gives each a covariance of its own, up to that factor in each
    direction.
    """
    parts = []
    for size in sizes:
        scale = np.exp(rng.uniform(-spread, spread, d))
        rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
        parts.append((rng.standard_normal((size, d)) * scale) @ rotation + 1.5 * rng.standard_normal(d))
    return np.vstack(parts), np.repeat(np.arange(len(sizes)), sizes)


def class_graph(labels: NDArray[np.int64], *, by_size: bool, own: bool = False) -> Array:
    """G_ij = 1 over the class's size, or 1, for samples of one class; `own`: the diagonal kept, each sample a
    pair with itself.
    """
    onehot = np.eye(int(labels.max()) + 1)[labels]
    G = np.asarray((onehot / onehot.sum(axis=0) if by_size else onehot) @ onehot.T)
    return G if own else G - np.diag(np.diag(G))


def discriminant_axes(X: Array, labels: NDArray[np.int64], k: int) -> Array:
    """scikit-learn's discriminant axes (D, k), the best first."""
    return np.asarray(LinearDiscriminantAnalysis(solver="eigen").fit(X, labels).scalings_[:, :k])


def tied(values: NDArray[np.floating[Any]], k: int, end: float | None = None) -> bool:
    """Whether the best k dimensions do not determine a subspace that an optimiser can be held to.

    values: all eigenvalues, descending (negated where the smallest are the best). end: where a dimension's scale
    vanishes, 0 for a Gram factor, a threshold for VICReg. The last of the k that are above `end` must be apart from
    the next, and none of the k near `end`, where the objective is of fourth order.
    """
    if end is not None:
        size = max(float(np.abs(values).max()), abs(end))
        if bool((np.abs(values[:k] - end) < NEAR * size).any()):
            return True
        above = int((values > end).sum())
        if k > above:
            return above == 0  # the optimum is 0, which has no subspace
    return not separated(values.astype(np.float64), k, NEAR)
