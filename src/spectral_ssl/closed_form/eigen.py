"""Eigenpairs at one end of a symmetric matrix's spectrum, with fixed signs, and the names of who found them.

A graph is split into its components (`components`), each solved by the solver that suits it (`solvers`, where the
rule stands). The name is that of the solver, or "components" where there are several and LAPACK solved what had to
be solved, or "components+shift-invert" and the like where a large one was among them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from spectral_ssl.closed_form import solvers
from spectral_ssl.closed_form.components import Components, Eigenpairs, candidates, solve_components
from spectral_ssl.closed_form.result import Array
from spectral_ssl.closed_form.validate import Matrix
from spectral_ssl.data.graph import degrees, laplacian

SIGN_TIE = 1e-8
"""Entries within this share of the largest magnitude tie; the first of them fixes the sign."""


def fix_signs(vectors: Array) -> Array:
    """Flip columns (N, k), in place, so that the first entry of largest magnitude is positive."""
    for column in vectors.T:  # one by one: no second array of that size
        magnitude = np.abs(column)
        if column[np.argmax(magnitude >= (1 - SIGN_TIE) * magnitude.max())] < 0:
            np.negative(column, out=column)
    return vectors


def to_dense(matrix: Matrix) -> Array:
    """The matrix as an ndarray."""
    return np.asarray(matrix.toarray() if sp.issparse(matrix) else matrix, dtype=np.float64)


def extremal_eigenpairs(
    A: Matrix, k: int, which: Literal["smallest", "largest"], B: Matrix | None = None
) -> tuple[Array, Array]:
    """The k algebraically smallest (ascending) or largest (descending) pairs of A v = lambda B v.

    A (N, N) symmetric, B (N, N) symmetric positive definite or None for the identity; dense or sparse, 1 <= k
    <= N. Returns eigenvalues (k,) and eigenvectors (N, k), B-orthonormal. UserError where no solver converges.
    """
    return eigenpairs(A, k, which, B)[:2]


def eigenpairs(
    A: Matrix, k: int, which: Literal["smallest", "largest"], B: Matrix | None = None
) -> Eigenpairs:
    """`extremal_eigenpairs` and the solver's name."""
    n = A.shape[0]
    sign = 1.0 if which == "smallest" else -1.0
    if n <= solvers.DENSE_LIMIT or 2 * k >= n:
        first = 0 if which == "smallest" else n - k
        mass = None if B is None else to_dense(B)
        values, vectors = solvers.lapack(to_dense(A), first, first + k, mass)
        found = Eigenpairs(values, vectors, "dense")
    elif B is None:
        matrix = sp.csr_array(sign * A)
        parts = Components.of(matrix)
        values, vectors, name = solve_components(matrix, parts, candidates(matrix, parts, k), k)
        found = Eigenpairs(sign * values, vectors, name)
    else:
        values, vectors = spla.eigsh(
            sp.csc_array(sign * A),
            k,
            M=sp.csc_array(B),
            which="SA",
            v0=np.random.default_rng(0).standard_normal(n),
            ncv=min(2 * k + 20, n),
        )
        found = Eigenpairs(sign * values, vectors, "lanczos")
    order = np.argsort(sign * found.values, kind="stable")
    return Eigenpairs(found.values[order], fix_signs(found.vectors[:, order]), found.solver)


def smallest_centred_laplacian_pairs(G: Matrix, k: int) -> Eigenpairs:
    """The k smallest eigenpairs of L = D - G among the vectors orthogonal to the constant one.

    G (N, N) checked weights, k <= N - 1. The null space (one dimension a component, less the constant) is exact
    whatever the number of components, and a graph of more than k components needs no solver.
    """
    return _laplacian_pairs(G, np.ones(G.shape[0]), k, centred=True)


def largest_adjacency_pairs(w: Matrix, k: int) -> Eigenpairs:
    """The k largest eigenpairs of A = D^(-1/2) w D^(-1/2), the eigenvalue 1 once for each component.

    w (N, N) checked weights of positive degrees, k <= N. Where more than k components tie at 1, those of
    most weight are taken.
    """
    values, vectors, solver = _laplacian_pairs(w, degrees(w), k, centred=False)
    return Eigenpairs(1.0 - values, vectors, solver)


def largest_centred_adjacency_pairs(G: Matrix, k: int) -> Eigenpairs:
    """`largest_adjacency_pairs` among the vectors orthogonal to D^(1/2) 1; k <= N - 1."""
    values, vectors, solver = _laplacian_pairs(G, degrees(G), k, centred=True)
    return Eigenpairs(1.0 - values, vectors, solver)


def _laplacian_pairs(G: Matrix, mass: Array, k: int, *, centred: bool) -> Eigenpairs:
    """The k smallest pairs of M^(-1/2) L M^(-1/2), orthogonal to M^(1/2) 1 if centred; M = diag(mass).

    On each component of G the smallest pair is (0, M^(1/2) 1), and simple: these are written down, and what
    is missing beyond them is looked for in their complement.
    """
    parts, root = Components.of(G), np.sqrt(mass)
    count = parts.sizes.size
    volumes = np.bincount(parts.labels, weights=mass, minlength=count)
    known = min(k, count - centred)
    if centred:
        weights = _complement(np.sqrt(volumes / volumes.sum()), known)
    else:
        weights = np.zeros((count, known))
        weights[np.argsort(-volumes, kind="stable")[:known], np.arange(known)] = 1.0
    weights /= np.sqrt(volumes)[:, None]
    values, vectors = np.zeros(k), np.empty((root.size, k), order="F")
    for column in range(known):
        np.multiply(root, weights[parts.labels, column], out=vectors[:, column])
    if known == k:
        return Eigenpairs(values, fix_signs(vectors), "components")
    matrix = sp.csr_array(laplacian(G))
    if (mass != 1).any():
        scale = sp.diags_array(1 / root)
        matrix = sp.csr_array(scale @ matrix @ scale)
    every = np.arange(count)
    values[known:], vectors[:, known:], solver = solve_components(matrix, parts, every, k - known, root)
    return Eigenpairs(values, fix_signs(vectors), solver)


def _complement(unit: Array, k: int) -> Array:
    """k orthonormal vectors (n, k) orthogonal to a non-negative unit vector (n,)."""
    # The reflection that sends it to the first axis carries the other axes onto its complement.
    normal = unit.copy()
    normal[0] += 1.0
    basis = np.zeros((unit.size, k))
    basis[np.arange(1, k + 1), np.arange(k)] = 1.0
    return basis - 2.0 * np.outer(normal, normal[1 : k + 1]) / (normal @ normal)
