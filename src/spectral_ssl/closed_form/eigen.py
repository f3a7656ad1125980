"""Eigenpairs at one end of a symmetric matrix's spectrum, with fixed signs."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from spectral_ssl.closed_form.result import Array
from spectral_ssl.closed_form.validate import Matrix
from spectral_ssl.data.graph import connected_components, laplacian

DENSE_LIMIT = 2000
"""Up to this many rows the dense solver is both faster and free of convergence questions."""

SIGN_TIE = 1e-8
"""Entries within this share of the largest magnitude tie; the first of them fixes the sign."""


def fix_signs(vectors: Array) -> Array:
    """Flip columns (N, k) so that the first entry of largest magnitude is positive."""
    magnitude = np.abs(vectors)
    first = np.argmax(magnitude >= (1 - SIGN_TIE) * magnitude.max(axis=0), axis=0)
    return vectors * np.where(vectors[first, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def to_dense(matrix: Matrix) -> Array:
    """The matrix as an ndarray."""
    return np.asarray(matrix.toarray() if sp.issparse(matrix) else matrix, dtype=np.float64)


def extremal_eigenpairs(
    A: Matrix, k: int, which: Literal["smallest", "largest"], B: Matrix | None = None
) -> tuple[Array, Array]:
    """The k algebraically smallest (ascending) or largest (descending) pairs of A v = lambda B v.

    A (N, N) symmetric, B (N, N) symmetric positive definite or None for the identity; dense or sparse, 1 <= k
    <= N. Returns eigenvalues (k,) and eigenvectors (N, k), B-orthonormal. Dense LAPACK up to `DENSE_LIMIT`
    rows or where most pairs are asked for; else Lanczos from a fixed start: shift-invert just below the
    spectrum for the smallest.
    """
    n = A.shape[0]
    if n <= DENSE_LIMIT or 2 * k >= n:
        index = [0, k - 1] if which == "smallest" else [n - k, n - 1]
        values, vectors = scipy.linalg.eigh(
            to_dense(A), None if B is None else to_dense(B), subset_by_index=index
        )
    else:
        values, vectors = _lanczos(A, k, which, B)
    order = np.argsort(values if which == "smallest" else -values, kind="stable")
    return values[order], fix_signs(vectors[:, order])


def _lanczos(
    A: Matrix, k: int, which: Literal["smallest", "largest"], B: Matrix | None
) -> tuple[Array, Array]:
    matrix = sp.csc_array(A)
    mass = None if B is None else sp.csc_array(B)
    start = np.random.default_rng(0).standard_normal(matrix.shape[0])
    if which == "largest":
        values, vectors = spla.eigsh(matrix, k, M=mass, which="LA", v0=start)
    elif mass is not None:
        values, vectors = spla.eigsh(matrix, k, M=mass, which="SA", v0=start)
    else:
        # Gershgorin's lower end is exactly 0 for a Laplacian; the shift below it keeps A - shift I definite.
        diagonal = matrix.diagonal()
        radius = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(diagonal)
        shift = float((diagonal - radius).min()) - 1e-3 * float(
            np.abs(diagonal).mean() + radius.mean() + 1e-30
        )
        values, vectors = spla.eigsh(matrix, k, sigma=shift, which="LM", v0=start)
    return values, vectors


def smallest_centred_laplacian_pairs(G: Matrix, k: int) -> tuple[Array, Array]:
    """The k smallest eigenpairs of L = D - G among the vectors orthogonal to the constant one.

    G (N, N) checked weights, k <= N - 1. Components are solved one by one, so that the null space (one
    dimension a component, less the constant) is exact whatever their number, and a sparse graph of many small
    components is cheap.
    """
    n = G.shape[0]
    count, labels = connected_components(G)
    null = _centred_indicators(labels, count, min(k, count - 1))
    if null.shape[1] == k:
        return np.zeros(k), fix_signs(null)
    wanted = k - null.shape[1]
    order = np.argsort(labels, kind="stable")
    pieces: list[tuple[float, NDArray[np.intp], Array]] = []
    for members in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
        if members.size > 1:
            block = G[members][:, members]
            values, vectors = extremal_eigenpairs(laplacian(block), min(wanted + 1, members.size), "smallest")
            pieces += [(values[i], members, vectors[:, i]) for i in range(1, values.size)]
    pieces.sort(key=lambda piece: piece[0])
    embedded = np.zeros((n, wanted))
    for column, (_, members, vector) in enumerate(pieces[:wanted]):
        # LAPACK leaves a constant of the size of rounding in vectors with a tiny eigenvalue.
        embedded[members, column] = vector - vector.mean()
    values = np.array([value for value, _, _ in pieces[:wanted]])
    return np.concatenate([np.zeros(null.shape[1]), values]), fix_signs(np.hstack([null, embedded]))


def _centred_indicators(labels: np.ndarray, count: int, k: int) -> Array:
    """k orthonormal vectors, constant on each component and orthogonal to the constant vector."""
    sizes = np.bincount(labels, minlength=count)
    # In the basis of unit indicators the constant vector is `constant`; the reflection that sends it to the
    # first axis carries the other axes onto its complement.
    constant = np.sqrt(sizes / labels.size)
    normal = constant.copy()
    normal[0] += 1.0
    basis = np.zeros((count, k))
    basis[np.arange(1, k + 1), np.arange(k)] = 1.0
    basis -= 2.0 * np.outer(normal, normal[1 : k + 1]) / (normal @ normal)
    return (basis / np.sqrt(sizes)[:, None])[labels]
