"""Relation graphs G (N, N) of Balestriero & LeCun 2022: which samples a loss is told to embed alike.

Symmetric, non-negative, zero diagonal, float64 `csr_array`: from labels, from nearest neighbours, from some of
the factors that samples differ in, and with a share of edges gone wrong. (Views: `graph.views_graph`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spectral_ssl.data.graph import check_relation_graph
from spectral_ssl.errors import UserError, unknown

LARGEST = 2**25
"""Non-zero entries that a graph built here may have: half a gigabyte of weights and columns."""

TIE = 1e-12
"""Squared distances this share of the largest squared length apart are tied: what a matrix product rounds."""


class Alignment(NamedTuple):
    """`observed`: share of the edges' weight between equal labels; `expected`: its mean for unrelated ones."""

    observed: float
    expected: float


def labels_graph(labels: ArrayLike, weights: Literal["ones", "class"] = "ones") -> sparse.csr_array:
    """The supervised graph: an edge between any two samples of one class, none for the label -1 (unlabelled).

    Args:
        labels: classes (N,), integers from 0, or -1.
        weights: "ones", or "class": 1 / n_class, n_class counting the class's samples. With the latter VICReg's
            linear optimum is linear discriminant analysis, whatever the classes' sizes (Balestriero & LeCun
            2022).

    Raises:
        UserError: no such labels or weights; more than `LARGEST` entries.
    """
    if weights not in ("ones", "class"):
        raise unknown("weights of a graph of labels", weights, ["ones", "class"])
    return _groups_graph(_labels(labels), by_size=weights == "class")


def factor_graph(factors: ArrayLike, names: Sequence[str], keep: Sequence[str]) -> sparse.csr_array:
    """1 where two samples share every factor in `keep`, whatever the other factors are: aligned with tasks that
    ask for the kept factors, and with no others.

    Args:
        factors: integer values (N, F), a column a factor.
        names: the F columns' names.
        keep: at least one of the names.

    Raises:
        UserError: no such factors, a name that is not there; more than `LARGEST` entries.
    """
    values = np.asarray(factors)
    if values.ndim != 2 or len(values) == 0 or not np.issubdtype(values.dtype, np.integer):
        raise UserError(
            f"factors of shape {values.shape} and type {values.dtype}: expected integers (N, F), a column a factor"
        )
    if len(names) != values.shape[1] or len(set(names)) != len(names):
        raise UserError(f"names {', '.join(names)}: expected {values.shape[1]} different ones, one a factor")
    if not keep:
        raise UserError("no factor to keep: every pair of samples would be joined; name at least one")
    for name in keep:
        if name not in names:
            raise unknown("factor", name, names)
    columns = [names.index(name) for name in keep]
    return _groups_graph(np.unique(values[:, columns], axis=0, return_inverse=True)[1].ravel())


def neighbours_graph(
    X: ArrayLike,
    k: int,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    symmetric: Literal["union", "mutual"] = "union",
) -> sparse.csr_array:
    """1 between nearest neighbours in X (N, D): where one is among the other's k nearest, or both are.

    A sample is not its own neighbour, its duplicates are. Where samples tie for the last place the lower
    indices are taken, so that the graph is the same on every machine.

    Args:
        X: features.
        k: neighbours of a sample, 1..N-1.
        metric: "cosine" compares directions.
        symmetric: "union" (either way) or "mutual" (both ways).

    Raises:
        UserError: features that are not finite, or zero rows under "cosine"; k out of range; unknown options;
            more than `LARGEST` entries.
    """
    if symmetric not in ("union", "mutual"):
        raise unknown("symmetrisation", symmetric, ["union", "mutual"])
    points = _points(X, metric)
    n = len(points)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k < n:
        raise UserError(f"k = {k} neighbours among {n} samples: choose k from 1 to {n - 1}")
    _check_entries(2 * n * k, f"{k} neighbours of each of {n:,} samples")
    nearest = _nearest(points, int(k))
    rows = np.repeat(np.arange(n), k)
    directed = sparse.csr_array((np.ones(n * k), (rows, nearest.ravel())), shape=(n, n))
    both = directed.multiply(directed.T) if symmetric == "mutual" else directed.maximum(directed.T)
    return sparse.csr_array(both)


def rewired(G: Any, fraction: float, *, generator: np.random.Generator) -> sparse.csr_array:
    """G (N, N) with a share of wrong edges: round(fraction * edges) of its edges go elsewhere.

    Edges to move are drawn uniformly, and so are their new places among the pairs that no edge of G joins,
    each taken once; an edge takes its weight along. An edge is an unordered pair; halves round to even.

    Raises:
        UserError: G is no relation graph, the fraction is outside [0, 1], or too few pairs are free.
    """
    if not 0 <= fraction <= 1:
        raise UserError(f"a fraction {fraction:g} of the edges: expected a number from 0 to 1")
    entries = sparse.triu(sparse.csr_array(check_relation_graph(G)), format="coo")
    present = entries.data != 0
    row, column, weight = entries.row[present], entries.col[present], entries.data[present]
    n = entries.shape[0]
    moved = round(fraction * weight.size)
    free = n * (n - 1) // 2 - weight.size
    if moved > free:
        raise UserError(
            f"{moved} of {weight.size} edges to move, but only {free} pairs of {n} nodes have none: "
            f"choose a fraction of at most {free / weight.size:.3g}"
        )
    # Pairs (i < j) are numbered row by row; the r-th free one is r plus the number of edges that come before.
    first = np.concatenate([[0], np.cumsum(np.arange(n - 1, 0, -1))])
    taken = np.sort(first[row] + column - row - 1)
    rank = generator.choice(free, size=moved, replace=False) if moved else np.zeros(0, dtype=np.int64)
    number = rank + np.searchsorted(taken - np.arange(taken.size), rank, side="right")
    new_row = np.searchsorted(first, number, side="right") - 1
    chosen = (
        generator.choice(weight.size, size=moved, replace=False) if moved else np.zeros(0, dtype=np.int64)
    )
    row, column = row.astype(np.int64), column.astype(np.int64)
    row[chosen], column[chosen] = new_row, number - first[new_row] + new_row + 1
    half = sparse.csr_array((weight, (row, column)), shape=(n, n))
    return sparse.csr_array(half + half.T)


def alignment(G: Any, labels: ArrayLike) -> Alignment:
    """The share of G's weight that joins equal labels (edge homophily), beside what chance would give.

    Edges at an unlabelled sample (-1) do not count. By chance: the mean over all permutations of the labels
    among the labelled samples, `sum_c n_c (n_c - 1) / (n (n - 1))`, whatever the graph.

    Raises:
        UserError: G is no relation graph, labels of another length, or no edge between labelled samples.
    """
    entries = sparse.coo_array(check_relation_graph(G))
    classes = _labels(labels)
    if classes.size != entries.shape[0]:
        raise UserError(
            f"{classes.size} labels for a graph of {entries.shape[0]} nodes: expected one for each node"
        )
    known = (classes[entries.row] >= 0) & (classes[entries.col] >= 0)
    weight, equal = entries.data[known], (classes[entries.row] == classes[entries.col])[known]
    if not weight.sum() > 0:
        raise UserError("no edge joins two labelled samples: alignment is not defined; label more samples")
    sizes = np.unique(classes[classes >= 0], return_counts=True)[1].astype(np.float64)
    n = sizes.sum()
    return Alignment(
        float(weight[equal].sum() / weight.sum()), float((sizes * (sizes - 1)).sum() / (n * (n - 1)))
    )


def _labels(labels: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer) or array.min() < -1:
        raise UserError(
            f"labels of shape {array.shape} and type {array.dtype}: expected (N,) integers from 0, or -1 for none"
        )
    return array.astype(np.int64)


def _check_entries(entries: int, what: str) -> None:
    if entries > LARGEST:
        raise UserError(
            f"{what} are {entries:,} entries, more than {LARGEST:,}: take fewer samples or a sparser relation"
        )


def _groups_graph(groups: NDArray[np.int64], by_size: bool = False) -> sparse.csr_array:
    """Edges within each group (N,) of number 0 or more, of weight 1 or one over the group's size."""
    labelled = np.flatnonzero(groups >= 0)
    index, sizes = np.unique(groups[labelled], return_inverse=True, return_counts=True)[1:]
    _check_entries(int((sizes * (sizes - 1)).sum()), f"all pairs within groups of {groups.size:,} samples")
    n = groups.size
    member = sparse.csr_array((np.ones(index.size), (labelled, index)), shape=(n, sizes.size))
    value = sparse.diags_array(1 / sizes if by_size else np.ones(sizes.size))
    joined = sparse.csr_array(member @ value @ member.T)
    graph = sparse.csr_array(joined - sparse.diags_array(joined.diagonal()))
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def _points(X: ArrayLike, metric: str) -> NDArray[np.float64]:
    """Features whose Euclidean neighbours are the ones asked for: unit vectors for the cosine."""
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise UserError(f"features of shape {points.shape}: expected (N, D), one row for each sample")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise UserError(f"the features of sample {row} are not finite: impute or drop that row")
    if metric == "euclidean":
        return points
    if metric != "cosine":
        raise unknown("metric", metric, ["euclidean", "cosine"])
    lengths = np.linalg.norm(points, axis=1)
    if not lengths.all():
        raise UserError(f"the features of sample {int(lengths.argmin())} are all zero: they have no cosine")
    directions: NDArray[np.float64] = points / lengths[:, None]
    return directions


def _nearest(points: NDArray[np.float64], k: int) -> NDArray[np.intp]:
    """The k nearest other samples of each (N, k), ties for the last place going to lower indices."""
    from sklearn.neighbors import NearestNeighbors

    n = len(points)
    centred = points - points.mean(axis=0)  # less to cancel in |x|^2 - 2 x y + |y|^2
    tie = TIE * max(float((centred**2).sum(axis=1).max()), np.finfo(float).tiny)
    asked = min(k + 1, n - 1)
    distance, index = NearestNeighbors(n_neighbors=asked).fit(centred).kneighbors()
    nearest = np.asarray(index[:, :k], dtype=np.intp)
    if asked == k:
        return nearest
    for row in np.flatnonzero(distance[:, k] ** 2 - distance[:, k - 1] ** 2 <= tie):
        squared = ((points - points[row]) ** 2).sum(axis=1)
        squared[row] = np.inf
        cut = np.partition(squared, k - 1)[k - 1]
        inside, tied = np.flatnonzero(squared < cut - tie), np.flatnonzero(np.abs(squared - cut) <= tie)
        nearest[row] = np.concatenate([inside, tied])[:k]
    return nearest
