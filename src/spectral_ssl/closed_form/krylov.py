"""Lanczos iterations that miss no copy of a tied eigenvalue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse.linalg as spla

from spectral_ssl.closed_form.result import Array

Operator = Callable[[Array], Array]
"""x (n,) -> A x, A symmetric."""

TOLERANCE = 1e-11
"""Relative residual of the operator's pairs; rounding's own takes a third longer and the check asks for less."""

LOOK = 1e-4
"""Relative residual of the look for what was missed; its Ritz value, a lower bound, is far more exact."""

ROUGH = 1e-2
"""Relative residual of pairs that only place a shift."""

MISSED = 1e-10
"""Relative excess over the least eigenvalue found from which one counts as missed."""

ROUNDS = 10
"""Most looks for missed copies."""


class NotConverged(Exception):
    """A solver did not reach its tolerance: the next one is to be tried."""


def start_vector(n: int) -> Array:
    """The fixed start of every iteration, so that equal input gives equal bits."""
    return np.random.default_rng(0).standard_normal(n)


def top_pairs(apply: Operator, n: int, k: int, rough: bool = False) -> tuple[Array, Array]:
    """The k largest pairs, eigenvalues descending and vectors (n, k), of a symmetric operator; they are positive.

    ARPACK from a fixed start. In exact arithmetic one start vector finds one copy of a tied eigenvalue, and in
    floating point mostly but not surely all: so a second start looks at the complement of what was found.
    Rough ones, to a residual of `ROUGH`, are not looked after.
    """
    values, vectors = _arpack(apply, start_vector(n), k, ROUGH if rough else TOLERANCE)
    if rough:
        return values, vectors
    for seed in range(1, ROUNDS + 1):
        start = np.random.default_rng(seed).standard_normal(n)

        def deflated(x: Array, found: Array = vectors) -> Array:
            y = apply(x)
            return y - found @ (found.T @ y)

        start = deflated(start)
        extra = _arpack(deflated, start, 1, LOOK)[0]
        if extra[0] <= values[-1] * (1 + MISSED):
            return values, vectors
        more, others = _arpack(deflated, start, k, TOLERANCE)
        joined = np.concatenate([values, more])
        best = np.argsort(-joined, kind="stable")[:k]
        basis = scipy.linalg.qr(np.hstack([vectors, others])[:, best], mode="economic")[0]
        values, vectors = joined[best], basis
    raise NotConverged


def _arpack(apply: Operator, start: Array, k: int, tolerance: float) -> tuple[Array, Array]:
    n = start.size
    operator = spla.LinearOperator((n, n), matvec=lambda x: apply(x.ravel()), dtype=np.float64)
    try:
        values, vectors = spla.eigsh(
            operator, k, which="LA", v0=start, ncv=min(n, 2 * k + 8), tol=tolerance, maxiter=300
        )
    except spla.ArpackError:
        raise NotConverged from None
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


def inverse_residual(apply: Operator, values: Array, vectors: Array) -> float:
    """The largest ||A v - mu v|| / mu."""
    return max(
        float(np.linalg.norm(apply(vector) - value * vector)) / value
        for value, vector in zip(values, vectors.T, strict=True)
    )


def ritz_values(apply: Operator, n: int, steps: int) -> tuple[Array, float]:
    """The Ritz values (ascending) of so many Lanczos steps with full reorthogonalisation, and what follows the last.

    The j-th smallest is at least the j-th smallest eigenvalue, by Cauchy's interlacing.
    """
    basis = np.zeros((min(steps, n), n))
    diagonal, beside = [], []
    vector = apply(start_vector(n))  # in the range of the operator: nothing of what it projects out
    length = float(np.linalg.norm(vector))
    for step in range(basis.shape[0]):
        basis[step] = vector / length
        vector = apply(basis[step])
        diagonal.append(float(basis[step] @ vector))
        for _ in range(2):  # with one pass errors grow by themselves once a Ritz value has converged
            vector = vector - basis[: step + 1].T @ (basis[: step + 1] @ vector)
        length = float(np.linalg.norm(vector))
        beside.append(length)
        if length <= 1e-12 * max(map(abs, diagonal)):
            break
    return scipy.linalg.eigvalsh_tridiagonal(diagonal, beside[: len(diagonal) - 1]), beside[-1]
