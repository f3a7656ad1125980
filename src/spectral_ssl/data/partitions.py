"""Conductance and sparsest partitions of an augmentation graph (HaoChen et al. 2021, Definitions 3.3 and 3.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, to_dense
from spectral_ssl.data.augmentation_graph import spectrum
from spectral_ssl.data.graph import as_square, degrees, normalised_adjacency
from spectral_ssl.errors import UserError

EXACT_LIMIT = 16
"""Nodes up to which partitions are searched exhaustively: 3^16 / 2 pairs of sets, a few seconds."""


class Partition(NamedTuple):
    """A partition into m sets of nodes, `conductance` the largest of theirs.

    `lower`: lambda_m / 2, which no partition into m sets goes below (the easy side of Cheeger's inequality).
    """

    conductance: float
    sets: tuple[NDArray[np.intp], ...]
    lower: float


def conductance(w: Any, subset: ArrayLike) -> float:
    """HaoChen et al. 2021's Dirichlet conductance: weight from S to its complement over S's degrees.

    The degrees include self-loops, so that a singleton has `1 - w_xx / w_x`, not 1 as printed.

    Args:
        w: graph (N, N).
        subset: node indices, or a boolean mask (N,).

    Raises:
        UserError: the subset is empty, out of range, or of degree zero.
    """
    matrix = as_square(w)
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


def partition_conductances(w: Any) -> NDArray[np.float64]:
    """rho_1 .. rho_N exactly: the least, over partitions into m sets, of the largest conductance of a set.

    Definition 3.4, on graphs w (N, N) of at most `EXACT_LIMIT` nodes.

    Raises:
        UserError: more nodes; w is not symmetric, non-negative and of positive degrees.
    """
    matrix = _small(w)
    return _search(matrix, matrix.shape[0])[1][:, -1]


def sparsest_partition(w: Any, m: int) -> Partition:
    """A partition into m sets that attains rho_m (Definition 3.4), exactly, for at most `EXACT_LIMIT` nodes.

    Sets in the order of their lowest nodes.

    Raises:
        UserError: more nodes, m outside 1..N; w is not symmetric, non-negative and of positive degrees.
    """
    matrix = _small(w)
    n = matrix.shape[0]
    m = _parts(m, n)
    phi, best = _search(matrix, m)
    sets, rest = [], 2**n - 1
    for level in range(m - 1, 0, -1):
        part = _with_lowest(rest)
        worst = np.maximum(phi[part], best[level - 1, rest ^ part])
        chosen = int(part[worst.argmin()])
        sets.append(chosen)
        rest ^= chosen
    nodes = tuple(np.flatnonzero(chosen >> np.arange(n) & 1) for chosen in [*sets, rest])
    return Partition(float(best[-1, -1]), nodes, _lower(matrix, m))


def spectral_partition(w: Any, m: int, *, generator: np.random.Generator, restarts: int = 10) -> Partition:
    """A good partition into m sets for graphs of any size: its conductance is an upper bound of rho_m.

    k-means on the directions of the nodes' rows of the m leading eigenvectors (Ng, Jordan & Weiss 2001),
    nodes weighted by their degrees; of so many restarts the one with the least conductance.

    Raises:
        UserError: m outside 1..N, no restart; w is not symmetric, non-negative and of positive degrees.
    """
    from sklearn.cluster import KMeans

    if restarts < 1:
        raise UserError(f"restarts is {restarts}: expected at least 1")
    matrix = validate.augmentation_weights(w)
    m = _parts(m, matrix.shape[0])
    degree = degrees(matrix)
    rows = extremal_eigenpairs(normalised_adjacency(matrix), m, "largest")[1]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.maximum(lengths, np.finfo(float).tiny)  # a component beyond the m-th may have none
    best, labels = np.inf, np.zeros(degree.size, dtype=np.intp)
    for seed in generator.integers(2**31, size=restarts):
        tried = KMeans(m, n_init=1, random_state=int(seed)).fit(rows, sample_weight=degree).labels_
        value = _largest_conductance(matrix, tried, m)
        if value < best:
            best, labels = value, tried
    return Partition(best, tuple(np.flatnonzero(labels == part) for part in range(m)), _lower(matrix, m))


def _small(w: Any) -> NDArray[np.float64]:
    matrix = validate.augmentation_weights(w)
    if matrix.shape[0] > EXACT_LIMIT:
        raise UserError(
            f"the sparsest partition of {matrix.shape[0]} nodes: the exact search takes at most {EXACT_LIMIT}; "
            "spectral_partition gives an upper bound"
        )
    return to_dense(matrix)


def _parts(m: int, n: int) -> int:
    if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or not 1 <= m <= n:
        raise UserError(f"a partition of {n} nodes into m = {m} sets: choose m from 1 to {n}")
    return int(m)


def _lower(w: Any, m: int) -> float:
    return max(float(spectrum(w, m).lambda_[-1]) / 2, 0.0)


def _search(w: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Conductances (2^N,) of all sets, and rho_1 .. rho_most (most, 2^N) of partitions of each set.

    Sets are bit masks. A set's partition into m has one part with its lowest node; the rest, a smaller mask,
    goes to the other m - 1.
    """
    n = w.shape[0]
    members = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
    leaving = ((members @ w) * (1 - members)).sum(axis=1)
    phi = leaving / np.maximum(members @ w.sum(axis=1), np.finfo(float).tiny)
    best = np.full((most, 2**n), np.inf)
    best[0] = phi
    best[0, 0] = np.inf  # no part may be empty
    for subset in range(1, 2**n) if most > 1 else ():
        part = _with_lowest(subset)
        worst = np.maximum(phi[part], best[:-1, subset ^ part])
        best[1:, subset] = worst.min(axis=1)
    return phi, best


def _with_lowest(subset: int) -> NDArray[np.intp]:
    """All masks within `subset` that hold its lowest node."""
    lowest = subset & -subset
    found, rest = np.array([lowest], dtype=np.intp), subset ^ lowest
    while rest:
        bit = rest & -rest
        found = np.concatenate([found, found | bit])
        rest ^= bit
    return found


def _largest_conductance(w: Any, labels: NDArray[Any], m: int) -> float:
    indicator = np.eye(m)[labels]
    between = indicator.T @ (w @ indicator)
    np.fill_diagonal(between, 0.0)
    return float((between.sum(axis=1) / (indicator.T @ degrees(w))).max())
