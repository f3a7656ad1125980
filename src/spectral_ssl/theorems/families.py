"""Families of graphs that a statement is tried on, random and from real images, each by its name.

A statement that holds on Gaussian-weighted graphs may fail on a complete or a disconnected one. Checks cycle
through these and report their worst case family by family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, toeplitz

from spectral_ssl.data.augmentation_graph import augmentation_graph, label_error
from spectral_ssl.theorems import real
from spectral_ssl.theorems.instances import Array, kernel, relation_graph

NEAR = 1e-3
"""Relative noise on the weights of a near-degenerate graph: its eigenvalues differ by about as much."""


def complete(rng: np.random.Generator, n: int) -> Array:
    """Equal weights between all pairs: every eigenvalue but one ties."""
    return rng.uniform(0.5, 2.0) * (np.ones((n, n)) - np.eye(n))


def regular(rng: np.random.Generator, n: int) -> Array:
    """A connected weighted circulant graph, nodes shuffled: equal degrees, eigenvalues in pairs."""
    half = rng.uniform(0.1, 1.0, n // 2)
    row = np.concatenate([[0.0], half, half[: n - 1 - n // 2][::-1]])
    order = rng.permutation(n)
    return np.asarray(toeplitz(row)[np.ix_(order, order)])


def block(rng: np.random.Generator, n: int) -> Array:
    """Two or three blocks, weights between them a tenth of those within."""
    part = np.arange(n) % int(rng.integers(2, 4))
    return relation_graph(rng, n, 0.8) * np.where(part[:, None] == part, 1.0, 0.1)


def power_law(rng: np.random.Generator, n: int) -> Array:
    """Pareto weights, so that degrees have a heavy tail."""
    return relation_graph(rng, n, heavy=True)


def disconnected(rng: np.random.Generator, n: int) -> Array:
    """Two or three components of weighted edges, of two nodes at least."""
    count = int(rng.integers(2, 4)) if n >= 6 else 2
    sizes = np.full(count, n // count)
    sizes[: n % count] += 1
    return np.asarray(block_diag(*(relation_graph(rng, int(size)) for size in sizes)))


def weighted(rng: np.random.Generator, n: int) -> Array:
    """Half of all pairs with uniform weights: distinct eigenvalues."""
    return relation_graph(rng, n)


def near_degenerate(rng: np.random.Generator, n: int) -> Array:
    """A complete graph with noise on its weights: eigenvalues that nearly tie."""
    noise = np.triu(rng.standard_normal((n, n)), 1)
    return complete(rng, n) * (1 + NEAR * (noise + noise.T))


def linked_views(rng: np.random.Generator, n: int) -> Array:
    """Two views a sample (weight 1) and a few weak links between samples."""
    samples = n // 2
    pairs = np.kron(np.ones((2, 2)) - np.eye(2), np.eye(samples))
    graph = 0.1 * relation_graph(rng, n, 0.3)
    graph[: 2 * samples, : 2 * samples] += pairs
    return graph


def digits(rng: np.random.Generator, n: int) -> Array:
    """Two views of each of n // 2 handwritten digits, linked to their nearest neighbours in pixels."""
    return real.relation_graph("digits", n, generator=rng)


def factors(rng: np.random.Generator, n: int) -> Array:
    """The same of procedural images whose shape, colour, texture and position vary."""
    return real.relation_graph("factors", n, generator=rng)


RELATIONS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "complete": complete,
    "regular": regular,
    "block": block,
    "power-law": power_law,
    "disconnected": disconnected,
    "weighted": weighted,
    "near-degenerate": near_degenerate,
    "linked views": linked_views,
    "digits": digits,
    "factors": factors,
}
"""Relation graphs G (n, n) by family, n >= 4: symmetric, non-negative, zero diagonal, no isolated node. The last
two have n // 2 * 2 nodes.
"""


class Task(NamedTuple):
    """Images with classes, an augmentation kernel, and the Bayes labelling of the nodes.

    p: (images, nodes), p(x | image). labels: (images,). node_labels: (nodes,) of least error alpha.
    w: (nodes, nodes) augmentation-graph weights, images equally likely.
    """

    p: Array
    labels: NDArray[np.int64]
    node_labels: NDArray[np.int64]
    w: Array
    alpha: float

    @classmethod
    def of(cls, p: Array, labels: NDArray[np.int64]) -> Task:
        """The task of a kernel whose every node is reached."""
        found = label_error(p, None, labels)
        return cls(p, labels, found.labels, np.asarray(augmentation_graph(p).w), found.alpha)


def _leaking(leak: tuple[float, ...]) -> Callable[[np.random.Generator], Task]:
    def task(rng: np.random.Generator) -> Task:
        classes = int(rng.integers(2, 5))
        labels, nodes = np.repeat(np.arange(classes), 8), np.repeat(np.arange(classes), 6)
        return Task.of(kernel(rng, labels, nodes, float(rng.choice(leak))), labels)

    return task


def _uniform(rng: np.random.Generator) -> Task:
    classes = int(rng.integers(2, 4))
    return Task.of(np.full((6 * classes, 8), 1 / 8), np.repeat(np.arange(classes), 6))


def _regular(rng: np.random.Generator) -> Task:
    """A ring of nodes, each image reaching three neighbouring ones; classes are arcs."""
    n, classes = int(rng.integers(12, 19)), int(rng.integers(2, 4))
    p = sum(np.roll(np.eye(n), step, axis=1) for step in (-1, 0, 1)) / 3
    return Task.of(np.asarray(p), np.arange(n) * classes // n)


def _power_law(rng: np.random.Generator) -> Task:
    """A few nodes that most images reach, and many that few do."""
    classes = int(rng.integers(2, 4))
    labels, nodes = np.repeat(np.arange(classes), 8), np.repeat(np.arange(classes), 5)
    p = kernel(rng, labels, nodes, 0.02) * (rng.pareto(1.0, nodes.size) + 0.05)
    return Task.of(p / p.sum(axis=1, keepdims=True), labels)


def _near_degenerate(rng: np.random.Generator) -> Task:
    """Kernels so alike that all eigenvalues but the first are near zero."""
    return Task.of(rng.dirichlet(np.full(8, 200.0), size=16), np.repeat(np.arange(2), 8))


TASKS: dict[str, Callable[[np.random.Generator], Task]] = {
    "complete": _uniform,
    "regular": _regular,
    "block": _leaking((0.002, 0.01, 0.03)),
    "power-law": _power_law,
    "disconnected": _leaking((0.0,)),
    "weighted": _leaking((0.1, 0.3)),
    "near-degenerate": _near_degenerate,
    "digits": lambda rng: Task.of(*real.kernel("digits", generator=rng)),
    "factors": lambda rng: Task.of(*real.kernel("factors", generator=rng)),
}
"""Augmentation kernels with labelled images by family; the last two enumerate augmentations of real images."""


def relation_graphs(
    rng: np.random.Generator, instances: int, sizes: tuple[int, int] = (8, 13)
) -> Iterator[tuple[str, Array]]:
    """`instances` graphs with their families' names, the families in turn; n from `sizes`, upper end excluded."""
    names = list(RELATIONS)
    for index in range(instances):
        name = names[index % len(names)]
        yield name, RELATIONS[name](rng, int(rng.integers(*sizes)))


def tasks(rng: np.random.Generator, instances: int) -> Iterator[tuple[str, Task]]:
    """`instances` augmentation graphs with labels, the families in turn."""
    names = list(TASKS)
    for index in range(instances):
        name = names[index % len(names)]
        yield name, TASKS[name](rng)


def dimension(rng: np.random.Generator, n: int) -> int:
    """K below N as a rule, and N itself one time in six."""
    return n if rng.random() < 1 / 6 else int(rng.integers(1, min(n, 6)))
