"""The distribution of similarities at the optimum (Proposition 3.1)."""

from __future__ import annotations

import numpy as np

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, harmonic_frame, unit_columns


def _deviation(first: Array, second: Array, m: int) -> float:
    """Standard errors by which products of paired unit columns miss mean 0 and variance 1/m, the larger."""
    products = (first * second).sum(axis=0)
    squares = products**2
    root = np.sqrt(products.size)
    mean = abs(products.mean()) / (products.std(ddof=1) / root)
    variance = abs(squares.mean() - 1 / m) / (squares.std(ddof=1) / root)
    return float(max(mean, variance))


def _finite_error(matrix: Array) -> float:
    """Error of the exact moments of all pairs i != j of a centred tight frame, relative to the second
    moment.
    """
    m, n = matrix.shape
    products = (matrix.T @ matrix)[~np.eye(n, dtype=bool)]
    second = (n / m - 1) / (n - 1)
    return float(max(abs(products.mean() + 1 / (n - 1)), abs((products**2).mean() - second)) / second)


@check(
    paper="garrido2023",
    statement="proposition-3.1",
    kind="monte-carlo",
    title="At the optimum similarities of negatives have mean 0 and variance 1/M",
    control="vectors on a subsphere of half the dimensions; a collapsed embedding",
    tolerance=4.0,
    instances=20_000,
)
def proposition_3_1(rng: np.random.Generator, instances: int) -> Outcome:
    """Unit vectors at the optimum with unlimited negatives, uniform on the sphere: E[x^T x-] = 0, Var[x^T x-]
    = 1/M.

    Measured: the larger deviation, in standard errors, over `instances` pairs in each of M = 4, 16, 64. At
    finite N the optimum is a centred tight frame, with mean exactly -1/(N - 1) and second moment (N/M - 1)/(N
    - 1): checked on harmonic frames to 1e-10, an error there counting as infinitely many standard errors.
    Controls: uniform vectors on M/2 of the dimensions (variance 2/M); one direction with a little noise.
    """
    worst, half, collapsed = 0.0, np.inf, np.inf
    for m in (4, 16, 64):
        first, second = (unit_columns(rng.standard_normal((m, instances))) for _ in range(2))
        worst = max(worst, _deviation(first, second, m))
        flat_first, flat_second = (unit_columns(rng.standard_normal((m // 2, instances))) for _ in range(2))
        half = min(half, _deviation(flat_first, flat_second, m))
        shift = 10.0 * np.eye(m)[:, :1]
        one, two = (unit_columns(rng.standard_normal((m, instances)) + shift) for _ in range(2))
        collapsed = min(collapsed, _deviation(one, two, m))
        if max(_finite_error(harmonic_frame(m, n)) for n in (m + 1, 2 * m, 5 * m)) > 1e-10:
            worst = np.inf
    return Outcome(worst, {"subsphere": half, "collapsed": collapsed})
