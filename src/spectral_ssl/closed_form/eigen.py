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
from spectral_ssl.data.graph import connected_components, degrees, laplacian, normalised_adjacency

DENSE_LIMIT = 2000
"""Up to this many rows the dense solver is both faster and free of convergence questions."""

SMALL_COMPONENT = 64
"""Components up to this size are solved in batches."""

FACTORISATION_LIMIT = 1e10
"""Operations of a banded factorisation, N times bandwidth squared, up to which shift-invert is tried:
seconds.
"""

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
    rows or where most pairs are asked for; else Lanczos from a fixed start, with shift-invert just outside the
    spectrum where A factorises cheaply.
    """
    n = A.shape[0]
    if n <= DENSE_LIMIT or 2 * k >= n:
        index = [0, k - 1] if which == "smallest" else [n - k, n - 1]
        values, vectors = scipy.linalg.eigh(
            to_dense(A), None if B is None else to_dense(B), subset_by_index=index
        )
    elif B is None:
        values, vectors = _by_component(A, k, which)
    else:
        values, vectors = _lanczos(A, k, which, B)
    order = np.argsort(values if which == "smallest" else -values, kind="stable")
    return values[order], fix_signs(vectors[:, order])


def _by_component(
    A: Matrix, k: int, which: Literal["smallest", "largest"], skip: int = 0
) -> tuple[Array, Array]:
    """At most k pairs at one end of the union of the components' spectra, less each component's first `skip`
    pairs.

    Lanczos finds one vector of an eigenvalue that many components share; solved apart they cannot be missed.
    Small components of one size are one batch.
    """
    count, labels = connected_components(A)
    sizes, order = np.bincount(labels, minlength=count), np.argsort(labels, kind="stable")
    starts = np.cumsum(sizes) - sizes
    permuted = sp.csr_array(sp.csr_array(A)[order][:, order])
    permuted.eliminate_zeros()
    values, pieces = [], []
    for size in np.unique(sizes[sizes > skip]):
        take = int(min(k + skip, size))
        chosen = starts[sizes == size]
        blocks = (permuted[start : start + size, start : start + size] for start in chosen)
        if size <= SMALL_COMPONENT:
            found = _dense_batch(permuted, chosen, int(size), take, which)
        else:
            alone = count == 1 and size > DENSE_LIMIT and 2 * take < size
            solve = _lanczos if alone else extremal_eigenpairs
            found = [solve(block, take, which, None) for block in blocks]
        for start, (block_values, block_vectors) in zip(chosen, found, strict=True):
            end = np.argsort(block_values if which == "smallest" else -block_values, kind="stable")[skip:]
            values.append(block_values[end])
            pieces += [(order[start : start + size], block_vectors[:, column]) for column in end]
    joined = np.concatenate(values) if values else np.zeros(0)
    best = np.argsort(joined if which == "smallest" else -joined, kind="stable")[:k]
    vectors = np.zeros((A.shape[0], best.size))
    for column, index in enumerate(best):
        members, vector = pieces[index]
        vectors[members, column] = vector
    return joined[best], vectors


def _dense_batch(
    permuted: Matrix, starts: NDArray[np.intp], size: int, take: int, which: Literal["smallest", "largest"]
) -> list[tuple[Array, Array]]:
    """The `take` pairs at one end of each diagonal block of this size."""
    rows = starts[:, None] + np.arange(size)
    entries = permuted[rows.ravel()].tocoo()
    blocks = np.zeros((starts.size, size, size))
    block, row = np.divmod(entries.row, size)
    blocks[block, row, entries.col - starts[block]] = entries.data
    values, vectors = np.linalg.eigh(blocks)
    end = slice(None, take) if which == "smallest" else slice(size - take, None)
    return list(zip(values[:, end], vectors[:, :, end], strict=True))


def _lanczos(
    A: Matrix, k: int, which: Literal["smallest", "largest"], B: Matrix | None
) -> tuple[Array, Array]:
    sign = 1.0 if which == "smallest" else -1.0
    matrix = sp.csc_array(sign * A)  # whose smallest pairs are wanted
    n = matrix.shape[0]
    start = np.random.default_rng(0).standard_normal(n)
    if B is None and _factorises(matrix):
        # Gershgorin's lower end is exactly 0 for a Laplacian; the shift below it keeps A - shift I definite.
        diagonal = matrix.diagonal()
        radius = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(diagonal)
        shift = float((diagonal - radius).min()) - 1e-3 * float(
            np.abs(diagonal).mean() + radius.mean() + 1e-30
        )
        values, vectors = spla.eigsh(matrix, k, sigma=shift, which="LM", v0=start)
    else:
        mass = None if B is None else sp.csc_array(B)
        values, vectors = spla.eigsh(matrix, k, M=mass, which="SA", v0=start, ncv=min(2 * k + 20, n))
    return sign * values, vectors


def _factorises(matrix: Matrix) -> bool:
    """Whether a banded ordering factorises cheaply. Where it does not, as on an expander, the spectrum's end
    is sparse and plain Lanczos is fast.
    """
    order = sp.csgraph.reverse_cuthill_mckee(sp.csr_array(matrix), symmetric_mode=True)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    entries = matrix.tocoo()
    bandwidth = float(np.abs(place[entries.row] - place[entries.col]).max())
    return bool(matrix.shape[0] * bandwidth**2 < FACTORISATION_LIMIT)


def smallest_centred_laplacian_pairs(G: Matrix, k: int) -> tuple[Array, Array]:
    """The k smallest eigenpairs of L = D - G among the vectors orthogonal to the constant one.

    G (N, N) checked weights, k <= N - 1. Components are solved one by one, so that the null space (one
    dimension a component, less the constant) is exact whatever their number, and a sparse graph of many small
    components is cheap.
    """
    return _without_perron(G, laplacian(G), np.ones(G.shape[0]), 0.0, k, "smallest")


def largest_centred_adjacency_pairs(G: Matrix, k: int) -> tuple[Array, Array]:
    """The k largest eigenpairs of D^(-1/2) G D^(-1/2) among the vectors orthogonal to D^(1/2) 1.

    As `smallest_centred_laplacian_pairs`, for the eigenvalue 1 that each component has once; G (N, N) checked
    weights of positive degrees, k <= N - 1.
    """
    return _without_perron(G, normalised_adjacency(G), degrees(G), 1.0, k, "largest")


def _without_perron(
    G: Matrix, A: Matrix, mass: Array, value: float, k: int, which: Literal["smallest", "largest"]
) -> tuple[Array, Array]:
    """The k pairs at one end of A's spectrum orthogonal to sqrt(mass), which has the extreme eigenvalue `value`.

    On each component of G the extreme pair is (value, sqrt(mass)), and simple.
    """
    count, labels = connected_components(G)
    volumes = np.bincount(labels, weights=mass, minlength=count)
    own = sp.csr_array(
        (np.sqrt(mass / volumes[labels]), (np.arange(labels.size), labels)), shape=(labels.size, count)
    )
    extreme = own @ _complement(np.sqrt(volumes / volumes.sum()), min(k, count - 1))
    missing = k - extreme.shape[1]
    if missing == 0:
        return np.full(k, value), fix_signs(extreme)
    values, vectors = _by_component(A, missing, which, skip=1)
    # Rounding leaves some of a component's first pair in its next ones, much where they nearly tie.
    vectors -= own @ (own.T @ vectors)
    vectors /= np.linalg.norm(vectors, axis=0)
    return np.concatenate([np.full(k - missing, value), values]), fix_signs(np.hstack([extreme, vectors]))


def _complement(unit: Array, k: int) -> Array:
    """k orthonormal vectors (n, k) orthogonal to a non-negative unit vector (n,)."""
    # The reflection that sends it to the first axis carries the other axes onto its complement.
    normal = unit.copy()
    normal[0] += 1.0
    basis = np.zeros((unit.size, k))
    basis[np.arange(1, k + 1), np.arange(k)] = 1.0
    return basis - 2.0 * np.outer(normal, normal[1 : k + 1]) / (normal @ normal)
