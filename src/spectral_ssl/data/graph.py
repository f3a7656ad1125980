"""Relation graphs (Balestriero & LeCun 2022) and augmentation graphs (HaoChen et al. 2021).

Two objects with two conventions. A relation graph `G` (N, N) is symmetric, non-negative and has a ZERO
diagonal; `L = D - G`, `D = diag(G 1)`. An augmentation graph `w` has a positive diagonal and `sum w = 1`, its
degrees `w_x = sum_x' w_xx'` being the probabilities of the augmented points. Graphs are float64; every
function takes a dense array or any scipy sparse one and returns the kind it was given, sparse graphs as
`csr_array`.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spectral_ssl.errors import UserError

Graph = Any  # NDArray[np.float64] or sparse.csr_array; scipy carries no types
_TOLERANCE = (
    1e-12  # of sums to 1 and, relative to the largest entry, of symmetry: float64 rounding, with room
)


class AugmentationGraph(NamedTuple):
    """Weights `w` (M, M) of the augmented points that occur; `kept` (M,): their columns in the kernel."""

    w: Graph
    kept: NDArray[np.intp]


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
    matrix = _square(graph)
    entries = sparse.csr_array(matrix).tocoo()
    _refuse(entries, ~np.isfinite(entries.data), "is not finite")
    _refuse(entries, entries.data < 0, "is negative")
    _refuse(
        entries,
        (entries.row == entries.col) & (entries.data != 0),
        "lies on the diagonal, which must be zero",
    )
    csr = sparse.csr_array(matrix)
    gaps = sparse.csr_array(csr - csr.T).tocoo()
    unequal = np.abs(gaps.data) > _TOLERANCE * np.max(entries.data, initial=0.0)
    if unequal.any():
        row, column = _first(gaps, unequal)
        raise UserError(
            f"G[{row}, {column}] = {csr[row, column]:g} but G[{column}, {row}] = {csr[column, row]:g}: "
            "expected a symmetric relation graph"
        )
    return matrix


def degrees(graph: Any) -> NDArray[np.float64]:
    """Row sums (N,)."""
    return np.asarray(_square(graph).sum(axis=1), dtype=np.float64).ravel()


def laplacian(graph: Any) -> Graph:
    """`L = D - G`, unnormalised; `sum_ij G_ij |z_i - z_j|^2 = 2 tr(Z^T L Z)` for symmetric G."""
    matrix = _square(graph)
    if sparse.issparse(matrix):
        return sparse.csr_array(sparse.diags_array(degrees(matrix)) - matrix)
    return np.diag(degrees(matrix)) - matrix


def augmentation_graph(kernel: Any, prior: ArrayLike | None = None) -> AugmentationGraph:
    """HaoChen et al. 2021, section 3.1: `w_xx' = sum_i prior_i p(x | i) p(x' | i)`; `sum w = 1`.

    Points that no image of positive prior reaches have degree zero and are dropped; `kept` lists the others.

    Args:
        kernel: p(x | image), (images, points), non-negative, rows summing to 1.
        prior: probability of each image (images,); uniform by default.

    Raises:
        UserError: the kernel or the prior is no probability distribution, or their sizes disagree.
    """
    p = _matrix(kernel)
    images = p.shape[0]
    weights = np.full(images, 1 / images) if prior is None else np.asarray(prior, dtype=np.float64)
    if weights.shape != (images,):
        raise UserError(
            f"prior has shape {weights.shape}, expected one probability for each of {images} images"
        )
    entries = sparse.csr_array(p).tocoo()
    _refuse(entries, ~np.isfinite(entries.data), "is not finite", name="p")
    _refuse(entries, entries.data < 0, "is negative", name="p")
    sums = np.asarray(p.sum(axis=1)).ravel()
    wrong = np.abs(sums - 1) > _TOLERANCE * p.shape[1]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"row {row} of p sums to {sums[row]:.12g}: expected a distribution over points; normalise it"
        )
    if not np.all(weights >= 0) or abs(weights.sum() - 1) > _TOLERANCE * images:
        raise UserError(f"prior sums to {weights.sum():.12g} or has negative entries: expected probabilities")
    column = weights[:, None]
    w = p.T @ (sparse.csr_array(p.multiply(column)) if sparse.issparse(p) else p * column)
    w = (w + w.T) / 2  # symmetric to the last bit, whatever the order of summation
    kept = np.flatnonzero(degrees(w) > 0)
    return AugmentationGraph(_matrix(w[kept][:, kept]), kept)


def normalised_adjacency(w: Any) -> Graph:
    """`w_xx' / sqrt(w_x w_x')`, HaoChen et al. 2021's normalised adjacency matrix; symmetric for symmetric w.

    Raises:
        UserError: a node has no positive degree.
    """
    matrix = _square(w)
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
    csr = sparse.csr_array(_square(graph), copy=True)
    csr.eliminate_zeros()  # a stored zero would count as an edge
    count, labels = csgraph.connected_components(csr, directed=False)
    return int(count), labels.astype(np.intp)


def conductance(w: Any, subset: ArrayLike) -> float:
    """HaoChen et al. 2021's Dirichlet conductance: weight from S to its complement over S's degrees.

    The degrees include self-loops, so that a singleton has `1 - w_xx / w_x`, not 1 as printed.

    Args:
        w: graph (N, N).
        subset: node indices, or a boolean mask (N,).

    Raises:
        UserError: the subset is empty, out of range, or of degree zero.
    """
    matrix = _square(w)
    n = matrix.shape[0]
    chosen = np.asarray(subset)
    if chosen.dtype == bool and chosen.shape == (n,):
        inside = chosen
    elif chosen.size and np.issubdtype(chosen.dtype, np.integer) and 0 <= chosen.min() <= chosen.max() < n:
        inside = np.isin(np.arange(n), chosen)
    else:
        raise UserError(
            f"a subset of shape {chosen.shape} and type {chosen.dtype}: expected nodes in 0..{n - 1}"
        )
    volume = float(degrees(matrix)[inside].sum())
    if volume <= 0:
        raise UserError("the subset is empty or has degree zero: its conductance is not defined")
    return float(matrix[inside][:, ~inside].sum()) / volume


def save_graph(path: str | Path, graph: Any) -> None:
    """Write a graph as scipy's `.npz` (CSR, no pickle); the file appears only when complete."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part.npz")
    try:
        sparse.save_npz(part, sparse.csr_array(_square(graph)))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_graph(path: str | Path) -> sparse.csr_array:
    """Read a graph written by `save_graph`.

    Raises:
        UserError: the file is missing or holds no graph.
    """
    try:
        with open(path, "rb") as file:  # numpy leaves a damaged file open
            return sparse.csr_array(_square(sparse.load_npz(file)))
    except FileNotFoundError as error:
        raise UserError(f"no graph {path}: run the stage that writes it") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} holds no graph ({error}): delete it and run the stage that writes it"
        ) from error


def _matrix(a: Any) -> Graph:
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


def _square(a: Any) -> Graph:
    matrix = _matrix(a)
    if matrix.shape[0] != matrix.shape[1]:
        raise UserError(
            f"a graph of shape {matrix.shape}: expected a square matrix, a row and column for each node"
        )
    return matrix


def _first(entries: Any, wrong: NDArray[np.bool_]) -> tuple[int, int]:
    return min(zip(entries.row[wrong].tolist(), entries.col[wrong].tolist(), strict=True))


def _refuse(entries: Any, wrong: NDArray[np.bool_], what: str, *, name: str = "G") -> None:
    if wrong.any():
        row, column = _first(entries, wrong)
        value = entries.data[(entries.row == row) & (entries.col == column)][0]
        raise UserError(f"{name}[{row}, {column}] = {value:g} {what}: correct this entry")
