"""How far apart L_c and L_nc can be: Lemma 3.4, Corollary 3.4.1 and the Welch bound."""

from __future__ import annotations

import numpy as np

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.criteria import contrastive, fourth_powers, non_contrastive, shape
from spectral_ssl.theorems.instances import Array, harmonic_frame, orthogonal, unit_columns

SLACK = 1e-10
"""Share of a bound that rounding may take."""


def _outside(value: float, lower: float, upper: float) -> int:
    """1 where the value leaves [lower, upper] by more than rounding."""
    slack = SLACK * (abs(value) + abs(lower) + abs(upper))
    return int(value < lower - slack or value > upper + slack)


def _random(rng: np.random.Generator, m: int, n: int) -> Array:
    """Unit columns (m, n): spread out, or nearly all along few rows."""
    return unit_columns(rng.standard_normal((m, n)) * (10.0 ** (-rng.uniform(0, 3) * rng.random((m, 1)))))


def _single_row(rng: np.random.Generator, m: int, n: int) -> Array:
    """Unit columns (m, n) with one non-zero row: full collapse up to sign."""
    matrix = np.zeros((m, n))
    matrix[int(rng.integers(m))] = rng.choice([-1.0, 1.0], n)
    return matrix


@check(
    paper="garrido2023",
    statement="lemma-3.4",
    kind="bound",
    title="The rows' fourth powers lie between N^2 a^4 / M and N^2 a^4",
    control="the mirrored bound, N and M exchanged, on unit columns",
    tolerance=0.0,
    instances=200,
)
def lemma_3_4(rng: np.random.Generator, instances: int) -> Outcome:
    """N^2 a^4 / M <= sum_j ||K_j.||^4 <= N^2 a^4 for columns of norm a; mirrored for rows of norm a.

    Lemma 3.4: the rows' squares are non-negative and share N a^2. Both ends are attained: the lower by rows
    of equal norm, for which a harmonic tight frame of full rank is an example, so the lower end is no sign of
    collapse; the upper by one non-zero row. Measured: violations, plus attained ends that are missed.
    Control: for M = 4, N = 9 the bound with M and N exchanged (at most M^2 a^4 = 16) on unit columns, where
    the lower end alone is 81/4.
    """
    violations, control, nearest = 0, 0, np.inf
    for _ in range(instances):
        (m, n), a = shape(rng), 10.0 ** rng.uniform(-1, 1)
        columns, rows = a * _random(rng, m, n), a * _random(rng, n, m).T
        violations += _outside(fourth_powers(columns, 1), n**2 * a**4 / m, n**2 * a**4)
        violations += _outside(fourth_powers(rows, 0), m**2 * a**4 / n, m**2 * a**4)
        nearest = min(nearest, fourth_powers(columns, 1) / (n**2 * a**4 / m))
        even = 2 * int(rng.integers(1, 6))
        frame, single = a * harmonic_frame(even, even + n), a * _single_row(rng, m, n)
        lowest = (even + n) ** 2 * a**4 / even
        violations += _outside(fourth_powers(frame, 1), lowest, lowest)
        violations += int(np.linalg.matrix_rank(frame) < even)
        violations += _outside(fourth_powers(single, 1), n**2 * a**4, n**2 * a**4)
        control += _outside(fourth_powers(_random(rng, 4, 9), 1), 16 / 9, 16.0)
    detail = {"least value / lower end, random matrices": nearest}
    return Outcome(violations, {"mirrored bound": control}, detail=detail)


@check(
    paper="garrido2023",
    statement="corollary-3.4.1",
    kind="bound",
    title="Unit columns: L_nc - N + N^2/M <= L_c <= L_nc - N + N^2",
    control="standard normal entries, N = 2M",
    tolerance=0.0,
    instances=200,
)
def corollary_3_4_1(rng: np.random.Generator, instances: int) -> Outcome:
    """L_nc - N + N^2/M <= L_c <= L_nc - N + N^2 for unit columns; L_nc + M - M^2 <= L_c <= L_nc + M - M^2/N
    for unit rows.

    Corollary 3.4.1: Theorem 3.3 with Lemma 3.4 at a = 1. Measured: violations; `detail` says how near random
    matrices come to the lower end. Control: entries without normalisation, M = 8, N = 16, for which L_c -
    L_nc is about N M (N - M).
    """
    violations, control, nearest = 0, 0, np.inf
    for _ in range(instances):
        m, n = shape(rng)
        columns, rows = _random(rng, m, n), _random(rng, n, m).T
        l_nc, l_c = non_contrastive(columns), contrastive(columns)
        violations += _outside(l_c, l_nc - n + n**2 / m, l_nc - n + n**2)
        nearest = min(nearest, (l_c - l_nc + n) / (n**2 / m))
        l_nc, l_c = non_contrastive(rows), contrastive(rows)
        violations += _outside(l_c, l_nc + m - m**2, l_nc + m - m**2 / n)
        loose = rng.standard_normal((8, 16))
        l_nc, l_c = non_contrastive(loose), contrastive(loose)
        control += _outside(l_c, l_nc - 16 + 32, l_nc - 16 + 256)
    detail = {"least (L_c - L_nc + N) / (N^2/M)": nearest}
    return Outcome(violations, {"no normalisation": control}, detail=detail)


@check(
    paper="garrido2023",
    statement="welch",
    kind="bound",
    title="Unit columns: L_c >= N^2/M - N, with equality exactly for tight frames",
    control="L_c = 0 claimed for N <= M with a repeated column",
    tolerance=0.0,
    instances=150,
)
def welch(rng: np.random.Generator, instances: int) -> Outcome:
    """L_c >= N^2/M - N for unit columns, with equality exactly for tight frames, where L_nc = 0.

    The Welch bound: L_c + N - N^2/M = ||K K^T - (N/M) I||_F^2, checked as an identity, which is what
    "exactly" needs. L_c = 0 exactly for orthonormal columns (N <= M). L_nc = 0 does not exclude collapse: one
    non-zero row has L_nc = 0 and the largest L_c, N^2 - N. Measured: violations of any of these. Control: N
    <= M unit columns of which two coincide.
    """
    violations, control = 0, 0
    for _ in range(instances):
        m, n = shape(rng)
        matrix = _random(rng, m, n)
        l_c = contrastive(matrix)
        violations += _outside(l_c, n**2 / m - n, n**2 - n)
        excess = float(((matrix @ matrix.T - n / m * np.eye(m)) ** 2).sum())
        violations += _outside(l_c + n, n**2 / m + excess, n**2 / m + excess)

        even = 2 * int(rng.integers(1, 6))
        frame = harmonic_frame(even, even + n)
        welch_end = (even + n) ** 2 / even
        violations += _outside(contrastive(frame) + even + n, welch_end, welch_end)
        violations += int(non_contrastive(frame) > SLACK * welch_end)

        single = _single_row(rng, m, n)
        violations += int(non_contrastive(single) != 0) + _outside(contrastive(single), n**2 - n, n**2 - n)

        few = int(rng.integers(2, m + 1))
        orthonormal = orthogonal(rng, m)[:, :few]
        violations += int(contrastive(orthonormal) > SLACK)
        repeated = orthonormal.copy()
        repeated[:, 0] = repeated[:, 1]
        control += int(contrastive(repeated) > SLACK)
    return Outcome(violations, {"repeated columns": control})
