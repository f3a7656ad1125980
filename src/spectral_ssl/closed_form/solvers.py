"""Solvers of one connected problem: some smallest eigenpairs of a symmetric matrix, each checked before it is returned.

The rule of `solve`, thresholds as measured on one core with k = 16:

- `dense` (LAPACK) up to `DENSE_LIMIT` rows, or where half the spectrum or more is wanted;
- `shift-invert` (Lanczos on a sparse factorisation in the reverse Cuthill-McKee order) where the envelope of that
  order, which bounds what the factorisation fills, is small: chains, rings, strips, with few long links or none;
- `lanczos` (plain) where a short run says that the wanted end is well apart from the rest of the spectrum;
- `chebyshev` (Lanczos on a polynomial of the matrix that damps what is not wanted) elsewhere: large graphs with
  many cross-links. On 10^5 nodes of degree 4 it takes 6 s where plain Lanczos takes 33 s;
- `lobpcg` (diagonal preconditioner) if these fail: its blocks need no start vector that holds every eigenvector,
  but on those graphs 150 s left it at a residual of 10^-4.

A solver that does not converge, or whose pairs fail the check, gives way to the next.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from spectral_ssl.closed_form.chebyshev import Filter, chebyshev_filter
from spectral_ssl.closed_form.krylov import NotConverged, inverse_residual, top_pairs
from spectral_ssl.closed_form.result import Array
from spectral_ssl.closed_form.validate import Matrix
from spectral_ssl.errors import UserError

DENSE_LIMIT = 500
"""Rows up to which LAPACK is as fast as any other (20 ms) and free of convergence questions."""

FACTORISATION_LIMIT = 1e10
"""Operations of a factorisation in its envelope up to which shift-invert is tried, 10^9 a second."""

ENVELOPE_LIMIT = 128
"""Mean width of the envelope up to which it is: from 100 on the filter is faster on an expander, all of whose envelope
fills. The memory is twice that many numbers a row, at worst."""

PLAIN_DEGREE = 8
"""Degree of the filter up to which the wanted end is so well apart that plain Lanczos needs about as many products."""

LAST_RESORT = 6000
"""Rows up to which LAPACK is tried when all else failed: a minute."""

RESIDUAL = 1e-10
"""Largest ||M v - lambda v|| of a unit v that passes, relative to a bound of ||M||."""

INVERSE_RESIDUAL = 1e-8
"""The same of the inverse, relative to its eigenvalue: tiny eigenvalues need more than `RESIDUAL` says."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The smallest eigenpairs of a symmetric M (n, n), irreducible, in the complement of `null`.

    null: (n,) a positive unit vector of M null = 0, M then being positive semidefinite; None: nothing is left out.
    """

    matrix: Matrix
    null: Array | None = None
    _filters: dict[int, Filter] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """n."""
        return int(self.matrix.shape[0])

    @cached_property
    def norm(self) -> float:
        """The largest absolute row sum, at least the spectral norm."""
        return float(abs(self.matrix).sum(axis=1).max()) or 1.0

    def project(self, x: Array) -> Array:
        """The part of x (n,) orthogonal to `null`."""
        return x if self.null is None else x - self.null * (self.null @ x)

    def filter(self, k: int) -> Filter:
        """The Chebyshev filter for the k smallest eigenvalues, made once."""
        if k not in self._filters:
            self._filters[k] = chebyshev_filter(self.matrix, self.project, k, self.norm)
        return self._filters[k]


Pairs = tuple[Array, Array]


def solve(problem: Problem, k: int) -> tuple[Array, Array, str]:
    """Eigenvalues (k,), ascending, orthonormal eigenvectors (n, k) and the name of the solver that found them.

    1 <= k <= n, or n - 1 with a null vector. UserError where every solver failed.
    """
    if is_dense(problem, k):
        return *dense(problem, k), "dense"
    problem, order = reordered(problem)
    for name in plan(problem):
        try:
            values, vectors = SOLVERS[name](problem, k)
        except NotConverged:
            continue
        rank = np.argsort(values, kind="stable")
        values, vectors = values[rank], vectors[:, rank]
        if verified(problem, values, vectors):
            back = np.empty_like(vectors)
            back[order] = vectors
            return values, back, name
    raise UserError(
        f"no solver found {k} eigenpairs of a component of {problem.size} nodes to a residual of {RESIDUAL:g}: "
        "expected weights of comparable sizes; rescale or drop the tiniest, or ask for fewer dimensions"
    )


def is_dense(problem: Problem, k: int) -> bool:
    """Whether LAPACK is to solve it."""
    return problem.size <= DENSE_LIMIT or 2 * (k + 1) >= problem.size


def plan(problem: Problem) -> list[str]:
    """The solvers of a problem that is large, and reordered, in the order in which to try them."""
    first = ["shift-invert"] if factorises(problem) else []
    last = ["dense"] if problem.size <= LAST_RESORT else []
    return [*first, "lanczos", "chebyshev", "lobpcg", *last]


def reordered(problem: Problem) -> tuple[Problem, NDArray[np.intp]]:
    """The problem in the reverse Cuthill-McKee order, with 32-bit indices, and that order.

    Neighbours lie close together: a factorisation fills little, and on 10^6 nodes of an expander, where it still
    fills all, a product with the matrix takes half the time.
    """
    matrix = sp.csr_array(problem.matrix)
    if max(matrix.nnz, problem.size) < np.iinfo(np.int32).max:
        parts = (matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32))
        matrix = sp.csr_array(parts, shape=matrix.shape)
    order = sp.csgraph.reverse_cuthill_mckee(matrix, symmetric_mode=True)
    matrix = sp.csr_array(matrix[order][:, order])
    matrix.sort_indices()
    return Problem(matrix, None if problem.null is None else problem.null[order]), order


def factorises(problem: Problem) -> bool:
    """Whether the envelope of a reordered problem, below the diagonal, is small enough to factorise in."""
    # Rows without entries do not occur: the matrix is irreducible and has more than one row.
    widths = np.arange(problem.size) - problem.matrix.indices[problem.matrix.indptr[:-1]]
    widths = np.maximum(widths, 0).astype(np.float64)
    return bool(widths.mean() <= ENVELOPE_LIMIT and widths @ widths <= FACTORISATION_LIMIT)


def verified(problem: Problem, values: Array, vectors: Array) -> bool:
    """Whether every pair has a small residual and the vectors are orthonormal; column by column, to save memory."""
    worst = max(
        float(np.linalg.norm(problem.matrix @ vector - value * vector))
        for value, vector in zip(values, vectors.T, strict=True)
    )
    skew = np.abs(vectors.T @ vectors - np.eye(values.size)).max()
    return bool(worst <= RESIDUAL * problem.norm and skew <= 1e-8)


def dense(problem: Problem, k: int) -> Pairs:
    """LAPACK on the whole matrix."""
    array = np.array(problem.matrix.toarray() if sp.issparse(problem.matrix) else problem.matrix)
    if problem.null is not None:  # to the far end
        array += 2 * problem.norm * np.outer(problem.null, problem.null)
    return lapack(array, 0, k)


def lapack(A: Array, first: int, last: int, B: Array | None = None) -> Pairs:
    """The pairs first <= i < last of A v = lambda B v, eigenvalues ascending, vectors (n, last - first)."""
    try:
        values, vectors = scipy.linalg.eigh(A, B, subset_by_index=[first, last - 1])
    except (
        np.linalg.LinAlgError
    ):  # its method for a part of the spectrum fails on some clusters of eigenvalues
        values, vectors = scipy.linalg.eigh(A, B, driver="evd" if B is None else "gvd")
        values, vectors = values[first:last], vectors[:, first:last]
    return values, vectors


def shift_invert(problem: Problem, k: int) -> Pairs:
    """Lanczos on the inverse of M - shift, or on the pseudo-inverse of a singular M."""
    shift, apply = _shifted(problem, k) if problem.null is None else (0.0, _pseudo_inverse(problem))
    inverse, vectors = top_pairs(apply, problem.size, k)
    if inverse_residual(apply, inverse, vectors) > INVERSE_RESIDUAL:
        raise NotConverged
    return shift + 1 / inverse, vectors


def _factorised(matrix: Matrix) -> Callable[[Array], Array]:
    """x -> matrix^-1 x without pivoting, which a definite matrix does not need: the envelope bounds the fill."""
    try:
        return spla.splu(
            sp.csc_array(matrix),
            permc_spec="NATURAL",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        ).solve
    except (RuntimeError, MemoryError):
        raise NotConverged from None


def _pseudo_inverse(problem: Problem) -> Callable[[Array], Array]:
    """x -> M^+ x. With x orthogonal to the null vector the equation without its last row and column has a
    solution of M y = x, and the projection the least one: no shift to choose, however small the eigenvalues.
    """
    solve = _factorised(problem.matrix[:-1][:, :-1])

    def apply(x: Array) -> Array:
        y = np.zeros(problem.size)
        y[:-1] = solve(problem.project(x)[:-1])
        return problem.project(y)

    return apply


def _shifted(problem: Problem, k: int) -> tuple[float, Callable[[Array], Array]]:
    """A shift below the spectrum, no farther from it than the wanted eigenvalues spread, and x -> (M - shift)^-1 x.

    Begins below Gershgorin's bound and goes nearer: on a long chain the wanted eigenvalues cluster a
    billionth of the norm apart, and from afar they are one.
    """
    matrix, eye = problem.matrix, sp.eye_array(problem.size, format="csr")
    diagonal = matrix.diagonal()
    bound = float((diagonal - (np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(diagonal))).min())
    shift = bound - 1e-3 * problem.norm
    while True:
        apply = _factorised(matrix - shift * eye)
        rough = 1 / np.sort(top_pairs(apply, problem.size, k, rough=True)[0])[::-1]
        distance, spread = float(rough[0]), float(rough[-1] - rough[0])
        if distance <= 4 * spread or distance <= 1e-13 * problem.norm:
            return shift, apply
        shift += distance - max(0.05 * distance, spread)


def lanczos(problem: Problem, k: int) -> Pairs:
    """Lanczos on the matrix; gives up at once where the filter's degree says that it would be slow."""
    matrix, norm = problem.matrix, problem.norm
    if problem.filter(k).degree > PLAIN_DEGREE:
        raise NotConverged

    # norm - M is positive: what is projected out goes to 0, the end that is not wanted.
    def apply(x: Array) -> Array:
        return problem.project(norm * x - matrix @ x)

    return _rayleigh(problem, top_pairs(apply, problem.size, k)[1])


def chebyshev(problem: Problem, k: int) -> Pairs:
    """Lanczos on a polynomial of the matrix."""
    chosen = problem.filter(k)
    if not chosen.degree:
        raise NotConverged
    values, vectors = _rayleigh(problem, top_pairs(chosen, problem.size, k)[1])
    if values.max() > chosen.low:  # the filter's upper end was too low, and lets something from there through
        raise NotConverged
    return values, vectors


def lobpcg(problem: Problem, k: int) -> Pairs:
    """Locally optimal block preconditioned conjugate gradients (Knyazev 2001), preconditioned by the diagonal."""
    matrix, n = problem.matrix, problem.size
    block = np.random.default_rng(0).standard_normal((n, min(k + 8, n // 5)))
    diagonal = np.abs(matrix.diagonal())
    inverse = sp.diags_array(1 / np.maximum(diagonal, diagonal.mean() or 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what has not converged fails the check
        _, vectors = spla.lobpcg(
            matrix,
            block,
            M=inverse,
            Y=None if problem.null is None else problem.null[:, None],
            largest=False,
            tol=RESIDUAL * problem.norm / 10,
            maxiter=1000,
        )
    if vectors.shape[1] < k or not np.isfinite(vectors).all():
        raise NotConverged
    values, vectors = _rayleigh(problem, vectors)
    return values[:k], vectors[:, :k]


def _rayleigh(problem: Problem, basis: Array) -> Pairs:
    """The matrix's pairs in the span of an orthonormal basis (n, m)."""
    compressed = basis.T @ np.column_stack([problem.matrix @ vector for vector in basis.T])
    values, rotation = np.linalg.eigh((compressed + compressed.T) / 2)
    return values, basis @ rotation


SOLVERS: dict[str, Callable[[Problem, int], Pairs]] = {
    "dense": dense,
    "shift-invert": shift_invert,
    "lanczos": lanczos,
    "chebyshev": chebyshev,
    "lobpcg": lobpcg,
}
