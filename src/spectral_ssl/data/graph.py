"""What relation graphs (Balestriero & LeCun 2022) and augmentation graphs (HaoChen et al. 2021) share.

Two objects with two conventions. A relation graph `G` (N, N) is symmetric, non-negative and has a ZERO
diagonal; `L = D - G`, `D = diag(G 1)`. An augmentation graph `w` has a positive diagonal and `sum w = 1`, its
degrees `w_x = sum_x' w_xx'` being the probabilities of the augmented points. Graphs are float64; every
function takes a dense array or any scipy sparse one and returns the kind it was given, sparse graphs as
`csr_array`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spectral_ssl.data.arrays import RERUN, read_arrays
from spectral_ssl.errors import UserError
from spectral_ssl.provenance import replacing

Graph = Any  # NDArray[np.float64] or sparse.csr_array; scipy carries no types
TOLERANCE = 1e-12
"""Of sums to 1 and, relative to the largest entry, of symmetry: float64 rounding, with room."""


def views_graph(n: int, views: int) -> sparse.csr_array:
    """The graph of `views` views of each of `n` samples: 1 between any two views of one sample, 0 elsewhere.

    Rows are ordered view by view: view v of sample i is row v * n + i, N = n * views. Balestriero & LeCun
    2022 print it as `i = arange(N).repeat_interleave(V - 1)`, `j = (i + arange(1, V).repeat(N) * n) % N`,
    `G[i, j] = 1`.

    Raises:
        UserError: fewer than one sample or two views.
    """
    if n < 1 or views < 2:
        raise UserError(
            f"a graph of {views} views of {n} samples has no pairs: expected n >= 1 and views >= 2"
        )
    others = np.ones((views, views)) - np.eye(views)
    return sparse.csr_array(sparse.kron(sparse.csr_array(others), sparse.eye_array(n), format="csr"))


def check_relation_graph(graph: Any) -> Graph:
    """The graph as float64, if it is square, finite, non-negative, of zero diagonal and symmetric.

    Symmetric means up to 1e-12 of the largest entry.

    Raises:
        UserError: it is not; the message names the first offending entry, row by row.
    """
    matrix = as_square(graph)
    entries = sparse.csr_array(matrix).tocoo()
    refuse(entries, ~np.isfinite(entries.data), "is not finite")
    refuse(entries, entries.data < 0, "is negative")
    refuse(
        entries,
        (entries.row == entries.col) & (entries.data != 0),
        "lies on the diagonal, which must be zero",
    )
    csr = sparse.csr_array(matrix)
    gaps = sparse.csr_array(csr - csr.T).tocoo()
    unequal = np.abs(gaps.data) > TOLERANCE * np.max(entries.data, initial=0.0)
    if unequal.any():
        row, column = _first(gaps, unequal)
        raise UserError(
            f"G[{row}, {column}] = {csr[row, column]:g} but G[{column}, {row}] = {csr[column, row]:g}: "
            "expected a symmetric relation graph"
        )
    return matrix


def degrees(graph: Any) -> NDArray[np.float64]:
    """Row sums (N,)."""
    return np.asarray(as_square(graph).sum(axis=1), dtype=np.float64).ravel()


def laplacian(graph: Any) -> Graph:
    """`L = D - G`, unnormalised; `sum_ij G_ij |z_i - z_j|^2 = 2 tr(Z^T L Z)` for symmetric G."""
    matrix = as_square(graph)
    if sparse.issparse(matrix):
        return sparse.csr_array(sparse.diags_array(degrees(matrix)) - matrix)
    return np.diag(degrees(matrix)) - matrix


def normalised_adjacency(w: Any) -> Graph:
    """`w_xx' / sqrt(w_x w_x')`, HaoChen et al. 2021's normalised adjacency matrix; symmetric for symmetric w.

    Raises:
        UserError: a node has no positive degree.
    """
    matrix = as_square(w)
    degree = degrees(matrix)
    if not (degree > 0).all():
        node = int(np.flatnonzero(~(degree > 0))[0])
        raise UserError(
            f"node {node} has degree {degree[node]:g}, expected a positive one: drop isolated nodes first"
        )
    scale = 1 / np.sqrt(degree)
    if sparse.issparse(matrix):
        return sparse.csr_array(sparse.diags_array(scale) @ matrix @ sparse.diags_array(scale))
    return matrix * np.outer(scale, scale)


def connected_components(graph: Any) -> tuple[int, NDArray[np.intp]]:
    """The number of connected components, and the component of each node (N,), numbered from 0."""
    csr = sparse.csr_array(as_square(graph), copy=True)
    csr.eliminate_zeros()  # a stored zero would count as an edge
    count, labels = csgraph.connected_components(csr, directed=False)
    return int(count), labels.astype(np.intp)


def save_graph(path: str | Path, graph: Any) -> None:
    """Write a graph as scipy's `.npz` (CSR, no pickle); the file appears only when complete."""
    with replacing(Path(path)) as file:
        sparse.save_npz(file, sparse.csr_array(as_square(graph)))


def load_graph(path: str | Path) -> sparse.csr_array:
    """Read a graph written by `save_graph`.

    Raises:
        UserError: the file is missing or holds no graph.
    """
    stored = read_arrays(path, ("format", "shape", "data", "indices", "indptr"))
    try:
        if stored["format"].tobytes() != b"csr":
            raise ValueError(f"it is of format {stored['format'].tobytes()!r:.20}, expected csr")
        parts = stored["data"], stored["indices"], stored["indptr"]
        matrix = sparse.csr_array(parts, shape=tuple(stored["shape"].tolist()))
        matrix.check_format(full_check=True)  # an index beyond the shape would reach beyond the arrays
        return sparse.csr_array(as_square(matrix))
    except Exception as error:  # scipy raises almost anything on arrays that do not fit each other
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{path} holds no graph ({detail}): {RERUN}") from error


def as_matrix(a: Any) -> Graph:
    """Two-dimensional float64 with rows and columns: an ndarray, or a `csr_array` without duplicates.

    Raises:
        UserError: it is no matrix.
    """
    if sparse.issparse(a):
        matrix = sparse.csr_array(a, dtype=np.float64)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()  # the caller's arrays may be shared
            matrix.sum_duplicates()
    else:
        matrix = np.asarray(a, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise UserError(f"found an array of shape {matrix.shape}, expected a matrix with rows and columns")
    return matrix


def as_square(a: Any) -> Graph:
    """`as_matrix` of as many rows as columns.

    Raises:
        UserError: it is not square.
    """
    matrix = as_matrix(a)
    if matrix.shape[0] != matrix.shape[1]:
        raise UserError(
            f"a graph of shape {matrix.shape}: expected a square matrix, a row and column for each node"
        )
    return matrix


def _first(entries: Any, wrong: NDArray[np.bool_]) -> tuple[int, int]:
    return min(zip(entries.row[wrong].tolist(), entries.col[wrong].tolist(), strict=True))


def refuse(entries: Any, wrong: NDArray[np.bool_], what: str, *, name: str = "G") -> None:
    """Raise UserError for the first, row by row, of the entries (COO) that are `wrong`, if there is one."""
    if wrong.any():
        row, column = _first(entries, wrong)
        value = entries.data[(entries.row == row) & (entries.col == column)][0]
        raise UserError(f"{name}[{row}, {column}] = {value:g} {what}: correct this entry")
