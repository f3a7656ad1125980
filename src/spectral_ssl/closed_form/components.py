"""Eigenpairs of a graph's matrix from those of its connected components, of which only as many are solved as
can matter.

Lanczos finds one vector of an eigenvalue that many components share; solved apart they cannot be missed, and the
graph of views, a small complete graph for each sample, is nearly free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from spectral_ssl.closed_form.result import Array
from spectral_ssl.closed_form.solvers import Problem, solve
from spectral_ssl.closed_form.validate import Matrix
from spectral_ssl.data.graph import connected_components

SMALL = 64
"""Components up to this size are compared in batches of one size."""

CHUNK = 2**22
"""Entries of the dense blocks that are in memory at once."""


class Eigenpairs(NamedTuple):
    """Eigenvalues (k,), eigenvectors (N, k), and the solver's name, as `Result.solver` has it."""

    values: Array
    vectors: Array
    solver: str


class Components(NamedTuple):
    """The components of a graph: `labels` (N,); the nodes of component c are order[starts[c]:][:sizes[c]]."""

    labels: NDArray[np.intp]
    sizes: NDArray[np.intp]
    starts: NDArray[np.intp]
    order: NDArray[np.intp]

    @classmethod
    def of(cls, graph: Matrix) -> Components:
        """Connected components by the non-zero entries."""
        count, labels = connected_components(graph)
        sizes = np.bincount(labels, minlength=count)
        return cls(labels, sizes, np.cumsum(sizes) - sizes, np.argsort(labels, kind="stable"))

    def nodes(self, component: int) -> NDArray[np.intp]:
        """The nodes of one component, ascending."""
        return self.order[self.starts[component] :][: self.sizes[component]]


def solve_components(
    matrix: Matrix, parts: Components, chosen: NDArray[np.intp], k: int, null: Array | None = None
) -> Eigenpairs:
    """The k smallest pairs (fewer if there are fewer) in the union of the chosen components' spectra.

    null (N,): on each component a positive null vector of it, which is left out.
    """
    found, names = [], set()
    for component in chosen:
        nodes = parts.nodes(component)
        most = min(k, nodes.size - (null is not None))
        if not most:
            continue
        block = matrix if parts.sizes.size == 1 else matrix[nodes][:, nodes]
        own = None if null is None else null[nodes] / np.linalg.norm(null[nodes])
        values, vectors, name = solve(Problem(block, own), most)
        names.add(name)
        found.append((values, nodes, vectors))
    values = np.concatenate([part[0] for part in found]) if found else np.zeros(0)
    best = np.argsort(values, kind="stable")[:k]
    vectors = np.zeros((matrix.shape[0], best.size))
    first = np.cumsum([0] + [part[0].size for part in found])
    for column, index in enumerate(best):
        place = int(np.searchsorted(first, index, side="right")) - 1
        vectors[found[place][1], column] = found[place][2][:, index - first[place]]
    if parts.sizes.size == 1:
        return Eigenpairs(values[best], vectors, names.pop())
    return Eigenpairs(values[best], vectors, "+".join(["components", *sorted(names - {"dense"})]))


def candidates(matrix: Matrix, parts: Components, k: int) -> NDArray[np.intp]:
    """Components of a symmetric matrix in which some k smallest eigenpairs of it lie.

    The smallest eigenvalue of a component lies between Gershgorin's bound and the quotients of the unit vectors
    and of the constant one: components that are worse than k others, or no better, need not be solved. Of
    the small ones that are left, those are taken that have the k smallest of their eigenvalues.
    """
    if parts.sizes.size == 1:
        return np.zeros(1, dtype=np.intp)
    order, starts = parts.order, parts.starts
    diagonal, sums = matrix.diagonal(), np.asarray(matrix.sum(axis=1)).ravel()
    radius = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(diagonal)
    lower = np.minimum.reduceat((diagonal - radius)[order], starts)
    upper = np.minimum(
        np.minimum.reduceat(diagonal[order], starts), np.add.reduceat(sums[order], starts) / parts.sizes
    )
    kept = np.arange(upper.size)
    if upper.size > k:
        rank = np.argsort(upper, kind="stable")
        bound = upper[rank[k - 1]]
        kept = np.union1d(rank[:k], np.flatnonzero(lower < bound - 1e-13 * np.abs(lower).max()))
    if kept.size <= k:
        return kept
    small = kept[parts.sizes[kept] <= SMALL]
    values, owners = _batched_values(matrix, parts, small, k)
    best = np.argsort(values, kind="stable")[:k]
    return np.union1d(kept[parts.sizes[kept] > SMALL], owners[best])


def _batched_values(
    matrix: Matrix, parts: Components, chosen: NDArray[np.intp], k: int
) -> tuple[Array, NDArray[np.intp]]:
    """The k smallest eigenvalues, at least, of the chosen components, and the component of each."""
    values: list[Array] = [np.zeros(0)]
    owners = [np.zeros(0, dtype=np.intp)]
    for size in np.unique(parts.sizes[chosen]):
        alike = chosen[parts.sizes[chosen] == size]
        take = int(min(k, size))
        for some in np.array_split(alike, -(-alike.size * size * size // CHUNK)):
            nodes = parts.order[parts.starts[some][:, None] + np.arange(size)]
            found: Array = np.linalg.eigvalsh(_blocks(matrix, nodes))[:, :take].ravel().astype(np.float64)
            best = np.argsort(found, kind="stable")[:k]
            values.append(found[best])
            owners.append(some[best // take])
    return np.concatenate(values), np.concatenate(owners)


def _blocks(matrix: Matrix, nodes: NDArray[np.intp]) -> Array:
    """The dense blocks (c, s, s) of the components with these nodes (c, s)."""
    place = np.zeros(matrix.shape[0], dtype=np.intp)
    place[nodes] = np.arange(nodes.shape[1])
    entries = sp.coo_array(matrix[nodes.ravel()])
    blocks = np.zeros((*nodes.shape, nodes.shape[1]))
    block, row = np.divmod(entries.row, nodes.shape[1])
    blocks[block, row, place[entries.col]] = entries.data
    return blocks
