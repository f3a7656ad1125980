"""How far apart L_c and L_nc can be: Lemma 3.4 and Corollary 3.4.1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023 import criteria
from spectral_ssl.theorems.garrido2023.bounds import SLACK, Bounds, ratio, unit
from spectral_ssl.theorems.garrido2023.criteria import fourth_powers
from spectral_ssl.theorems.garrido2023.embeddings import embeddings, gaussian, low_rank, tight_frame
from spectral_ssl.theorems.instances import Array, unit_columns
from spectral_ssl.theorems.search import climb

NAMES = ("columns, lower", "columns, upper", "rows, lower", "rows, upper")
"""The two ends for columns of equal norm, and mirrored."""


def single_row(rng: np.random.Generator, m: int, n: int) -> Array:
    """Unit columns (m, n) with one non-zero row: full collapse up to sign."""
    matrix = np.zeros((m, n))
    matrix[int(rng.integers(m))] = rng.choice([-1.0, 1.0], n)
    return matrix


def off(value: float, end: float) -> float:
    """How far a value is from an end that it should attain, relative."""
    return abs(value - end) / end


def powers(matrix: Tensor, axis: int) -> Tensor:
    """Sum of the rows' (axis 1) or columns' (axis 0) norms to the fourth power."""
    return matrix.square().sum(dim=axis).square().sum()


def lemma_sides(matrix: Tensor, a: float = 1.0) -> Mapping[str, Tensor]:
    """Ratios of Lemma 3.4 at the matrix's columns, and at its rows, scaled to norm a."""
    m, n = matrix.shape
    found = []
    for axis, much, few in ((0, n, m), (1, m, n)):
        value = powers(a * unit(matrix, axis), 1 - axis)
        lower, upper = value.new_tensor(much**2 * a**4 / few), value.new_tensor(much**2 * a**4)
        found += [ratio(lower, value, upper), ratio(value, upper, upper)]
    return dict(zip(NAMES, found, strict=True))


def _mirrored(matrix: Tensor) -> Tensor:
    """The upper end with M and N exchanged over the rows' fourth powers, unit columns: below 1 where it is broken."""
    m = len(matrix)
    return m**2 / powers(unit(matrix, 0), 1)


@check(
    paper="garrido2023",
    statement="lemma-3.4",
    kind="bound",
    title="The rows' fourth powers lie between N^2 a^4 / M and N^2 a^4",
    control="the mirrored bound, N and M exchanged, on unit columns",
    tolerance=0.0,
    instances=210,
)
def lemma_3_4(rng: np.random.Generator, instances: int) -> Outcome:
    """N^2 a^4 / M <= sum_j ||K_j.||^4 <= N^2 a^4 for columns of norm a; mirrored for rows of norm a.

    Lemma 3.4: the rows' squares are non-negative and share N a^2. Both ends are attained: the lower by rows
    of equal norm, for which a tight frame of full rank is an example and K with all entries a / sqrt M, of rank 1,
    another, so the lower end is no sign of collapse; the upper by one non-zero row.

    Measured: violations over all families and shapes, a from 0.1 to 10, and in a search by gradient over
    unconstrained matrices, then normalised; plus attained ends that are missed. Control: for M = 4, N = 9 the
    bound with M and N exchanged (at most M^2 a^4 = 16) on unit columns, where the lower end alone is 81/4: even
    a search finds no matrix that keeps it.
    """
    bounds, missed, control, rank, ends = Bounds(), 0, 0, np.inf, [0.0]
    for one in embeddings(rng, instances):
        a = 10.0 ** rng.uniform(-1, 1)
        bounds.see(one, lemma_sides(torch.from_numpy(one.matrix), a))
        m, n = sorted(one.matrix.shape)
        n += 1
        frame, even, single = tight_frame(rng, m, n), np.full((m, n), np.sqrt(1 / m)), single_row(rng, m, n)
        ends += [off(fourth_powers(a * flat, 1), n**2 * a**4 / m) for flat in (frame, even)]
        ends += [off(fourth_powers(a * single, 1), n**2 * a**4)]
        rank = min(rank, float(np.linalg.matrix_rank(frame)) / m)
        missed += sum(error > SLACK for error in ends[-3:])
        control += int(fourth_powers(unit_columns(gaussian(rng, 4, 9)), 1) > 16)
    bounds.climb(lemma_sides, rng)
    kept = climb(_mirrored, [gaussian(rng, 4, 9), low_rank(rng, 4, 9)])
    detail = {
        "attained ends missed by": max(ends),
        "lower end: rank of a tight frame / M": rank,
        "mirrored bound, nearest by search": kept.ratio,
    }
    missed += int(rank < 1)
    return Outcome(bounds.violations + missed, {"mirrored bound": control}, detail=bounds.detail() | detail)


def corollary_sides(matrix: Tensor, normalised: bool = True) -> Mapping[str, Tensor]:
    """Ratios of Corollary 3.4.1 at unit columns and at unit rows, each side less what does not vary: L_c - L_nc + N
    between N^2/M and N^2, and L_nc - L_c + M between M^2/N and M^2.
    """
    m, n = matrix.shape
    found = []
    for axis, much, few in ((0, n, m), (1, m, n)):
        z = (unit(matrix, axis) if normalised else matrix).T
        l_c, l_nc = criteria.sample_contrastive(z), criteria.dimension_contrastive(z)
        middle = (l_c - l_nc if axis == 0 else l_nc - l_c) + much
        lower, upper = middle.new_tensor(much**2 / few), middle.new_tensor(much**2)
        size = l_c + l_nc + upper
        found += [ratio(lower, middle, size), ratio(middle, upper, size)]
    return dict(zip(NAMES, found, strict=True))


@check(
    paper="garrido2023",
    statement="corollary-3.4.1",
    kind="bound",
    title="Unit columns: L_nc - N + N^2/M <= L_c <= L_nc - N + N^2",
    control="standard normal entries, N = 2M",
    tolerance=0.0,
    instances=210,
)
def corollary_3_4_1(rng: np.random.Generator, instances: int) -> Outcome:
    """L_nc - N + N^2/M <= L_c <= L_nc - N + N^2 for unit columns; L_nc + M - M^2 <= L_c <= L_nc + M - M^2/N
    for unit rows.

    Corollary 3.4.1: Theorem 3.3 with Lemma 3.4 at a = 1. Measured: violations over all families and shapes, and
    in a search by gradient, and attained ends that are missed; the ratios are those of L_c - L_nc + N to N^2/M
    and N^2. Both ends are attained, by a tight frame and by one non-zero row. Control: entries without
    normalisation, M = 8, N = 16, for which L_c - L_nc is about N M (N - M) = 1024 and should be at most 240.
    """
    bounds, control, loosest, ends = Bounds(), 0, np.inf, [0.0]
    for one in embeddings(rng, instances):
        bounds.see(one, corollary_sides(torch.from_numpy(one.matrix)))
        m, n = sorted(one.matrix.shape)
        n += 1
        for matrix, end in ((tight_frame(rng, m, n), n**2 / m), (single_row(rng, m, n), n**2)):
            ends.append(off(criteria.contrastive(matrix) - criteria.non_contrastive(matrix) + n, end))
        loose = corollary_sides(torch.from_numpy(gaussian(rng, 8, 16)), normalised=False)
        worst = float(max(loose[name] for name in NAMES[:2]))
        control += int(worst > 1)
        loosest = min(loosest, worst)
    bounds.climb(corollary_sides, rng)
    detail = {"attained ends missed by": max(ends), "no normalisation: least left / right": loosest}
    missed = sum(error > SLACK for error in ends)
    return Outcome(bounds.violations + missed, {"no normalisation": control}, detail=bounds.detail() | detail)
