"""What may enter a closed form; everything else is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from spectral_ssl.closed_form.result import Array
from spectral_ssl.data.graph import check_relation_graph, degrees
from spectral_ssl.errors import UserError

SYMMETRY_TOLERANCE = 1e-12
"""Largest |w - w^T| that is taken for rounding, relative to the largest weight."""

SMALLEST, LARGEST = 1e-140, 1e140
"""Of the largest weight: sums of squares neither overflow nor vanish."""

Graph = Any
"""(N, N) weights: anything numpy makes an array of, or a scipy sparse array or matrix."""

Matrix = Any
"""(N, N) float64, already checked: an ndarray or a `scipy.sparse.csr_array`."""


def relation_graph(G: Graph) -> Matrix:
    """A symmetric, non-negative, finite (N, N) float64 matrix of zero diagonal, neither huge nor tiny."""
    try:
        _real(G, "G")
        matrix = check_relation_graph(G)
    except (TypeError, ValueError):
        raise UserError("G is not numeric: pass an (N, N) array or scipy sparse matrix") from None
    _moderate(matrix, "G")
    return matrix


def augmentation_weights(w: Graph) -> Matrix:
    """A symmetric, non-negative, finite (N, N) float64 matrix without isolated nodes; a diagonal is
    expected.
    """
    try:
        _real(w, "w")
        matrix: Matrix = (
            sp.csr_array(w, dtype=np.float64) if sp.issparse(w) else np.asarray(w, dtype=np.float64)
        )
    except (TypeError, ValueError):
        raise UserError("w is not numeric: pass an (N, N) array or scipy sparse matrix") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise UserError(f"w has shape {matrix.shape}: expected a square (N, N) matrix of weights")
    values = matrix.data if sp.issparse(matrix) else matrix
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise UserError(f"w has {count} NaN or infinite weights: expected finite ones; replace them")
    if values.min(initial=0.0) < 0:
        raise UserError(
            f"w has a negative weight ({values.min():g}): expected weights >= 0; shift or drop it"
        )
    gap = float(abs(matrix - matrix.T).max())
    if gap > SYMMETRY_TOLERANCE * values.max(initial=0.0):
        raise UserError(
            f"w is not symmetric (largest |w - w^T| is {gap:g}): pass (w + w.T) / 2 if that is meant"
        )
    _moderate(matrix, "w")
    isolated = np.flatnonzero(degrees(matrix) == 0)
    if isolated.size:
        shown = ", ".join(map(str, isolated[:5])) + (", ..." if isolated.size > 5 else "")
        raise UserError(
            f"w has {isolated.size} nodes of degree 0 ({shown}): drop them from w before the call"
        )
    return matrix


def _real(values: Any, name: str) -> None:
    if np.iscomplexobj(values):
        raise UserError(f"{name} is complex: expected real numbers; pass {name}.real if that is meant")


def _moderate(matrix: Matrix, name: str) -> None:
    entries = matrix.data if sp.issparse(matrix) else matrix
    largest = float(entries.max(initial=0.0))
    if largest and not SMALLEST <= largest <= LARGEST:
        raise UserError(
            f"{name}'s largest weight is {largest:g}: expected between {SMALLEST:g} and {LARGEST:g}, whose squares "
            f"float64 can add up; divide {name} by it"
        )


def dimension(k: int, most: int, what: str = "the N samples") -> int:
    """The embedding dimension, 1 <= k <= most."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise UserError(f"k is {k!r}: expected a positive integer number of embedding dimensions")
    if k > most:
        raise UserError(f"k is {k}, more than {what} ({most}): choose k <= {most}")
    return int(k)


def features(X: ArrayLike, n: int) -> Array:
    """Finite (N, D) float64 features of the linear regime; dense, as their singular vectors are."""
    return _rows(X, n, "X", "D")


def embedding(Z: ArrayLike, n: int) -> Array:
    """A finite (N, K) float64 embedding."""
    return _rows(Z, n, "Z", "K")


def _rows(values: ArrayLike, n: int, name: str, width: str) -> Array:
    if sp.issparse(values):
        raise UserError(f"{name} is a scipy sparse matrix: expected a dense one; pass {name}.toarray()")
    try:
        _real(values, name)
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{name} is not numeric: pass an (N, {width}) array") from None
    if array.ndim != 2 or array.shape[0] != n or array.shape[1] == 0:
        raise UserError(
            f"{name} has shape {array.shape}: expected ({n}, {width}), one row for each node of the graph"
        )
    if not np.isfinite(array).all():
        raise UserError(
            f"{name} has NaN or infinite entries: expected finite ones; impute or drop those rows"
        )
    return array


def number(value: float, name: str, least: float, *, what: str) -> float:
    """A finite number of at least `least`, described by `what` where it is refused."""
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(value) or not value >= least:
        raise UserError(f"{name} is {value!r}: expected {what}")
    return float(value)


def positive(value: float, name: str) -> float:
    """A finite number above zero."""
    return number(value, name, np.finfo(float).tiny, what="a finite number above 0")


def non_negative(value: float, name: str) -> float:
    """A finite number, zero allowed."""
    return number(value, name, 0.0, what="a finite number, 0 or more")


def covariance_divisor(divisor: str, n: int) -> float:
    """n' of Cov(Z) = Z^T H Z / n': N - 1 for "n-1" (as `torch.cov`), N for "n"."""
    if divisor == "n":
        return float(n)
    if divisor == "n-1":
        if n < 2:
            raise UserError(f"divisor 'n-1' needs at least 2 samples, found {n}: pass divisor='n'")
        return float(n - 1)
    raise UserError(f"divisor is {divisor!r}: expected 'n-1' (as torch.cov) or 'n'")
