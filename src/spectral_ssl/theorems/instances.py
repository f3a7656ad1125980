"""Random instances that the checks are tried on: graphs, kernels, matrices; and normalisations of matrices."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.augmentation_graph import augmentation_graph

Array = NDArray[np.float64]


def relation_graph(rng: np.random.Generator, n: int, density: float = 0.5, heavy: bool = False) -> Array:
    """A connected weighted graph G (n, n), zero diagonal, distinct eigenvalues; `heavy`: power-law
    weights.
    """
    drawn = rng.pareto(1.5, (n, n)) + 0.1 if heavy else rng.uniform(0.2, 1.0, (n, n))
    upper = np.triu(drawn * (rng.random((n, n)) < density), 1)
    order = rng.permutation(n)
    for a, b in itertools.pairwise(order):
        upper[min(a, b), max(a, b)] = drawn[a, b]
    return upper + upper.T


def separated(values: Array, k: int, share: float = 0.02) -> bool:
    """Whether the k-th of the ordered eigenvalues is apart from the next by `share` of the largest magnitude.

    Where it is not, the optimum's subspace is ill-conditioned, and an optimiser's end says nothing about it.
    """
    return bool(k >= values.size or abs(values[k - 1] - values[k]) > share * np.abs(values).max())


def kernel(
    rng: np.random.Generator, labels: NDArray[np.int64], node_labels: NDArray[np.int64], leak: float
) -> Array:
    """An augmentation kernel p (images, nodes), rows summing to 1: p(x | image).

    An image reaches nodes of its own label with mass 1 - leak, spread unevenly, the others with mass leak.
    """
    own = labels[:, None] == node_labels[None, :]
    drawn = rng.gamma(1.0, size=own.shape) + 0.05
    inside, outside = drawn * own, drawn * ~own
    outside_mass = outside.sum(axis=1, keepdims=True)
    inside = inside / inside.sum(axis=1, keepdims=True)
    return (1 - leak) * inside + leak * outside / np.where(outside_mass > 0, outside_mass, 1.0)


def augmentation_weights(rng: np.random.Generator, images: int, nodes: int) -> Array:
    """w (nodes, nodes) of a random augmentation kernel, sum 1; positive semidefinite, every degree
    positive.
    """
    p = rng.gamma(0.5, size=(images, nodes)) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    return augmentation_graph(p).w


def unit_columns(matrix: Array) -> Array:
    """Columns scaled to norm 1."""
    return matrix / np.linalg.norm(matrix, axis=0)


def balance(matrix: Array) -> Array:
    """Unit columns and rows of EQUAL norm (whatever norm that turns out to be), by alternating scaling of (m, n).

    Linear convergence where no entry is zero; rows are only set equal to their root mean square, so that their
    common norm is a result and not an input.
    """
    matrix = unit_columns(matrix)
    for _ in range(10_000):
        norms = np.linalg.norm(matrix, axis=1)
        if norms.max() - norms.min() < 1e-14 * norms.max():
            break
        matrix = unit_columns(matrix * (np.sqrt((norms**2).mean()) / norms)[:, None])
    return matrix


def harmonic_frame(m: int, n: int) -> Array:
    """A real tight frame (m, n), m even and below n: unit columns, equal-norm orthogonal rows, rank m."""
    angles = 2 * np.pi * np.outer(np.arange(1, m // 2 + 1), np.arange(n)) / n
    return np.vstack([np.cos(angles), np.sin(angles)]) * np.sqrt(2 / m)


def orthogonal(rng: np.random.Generator, n: int) -> Array:
    """A Haar-random orthogonal (n, n) matrix."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))
