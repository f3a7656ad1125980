"""The two criteria L_c and L_nc: equal up to the norms of rows and columns (Theorem 3.3), and so their
gradients.
"""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, doubly_normalised, unit_columns


def contrastive(matrix: Array) -> float:
    """L_c = ||off(K^T K)||_F^2 of K (M, N), samples in columns."""
    return float(sample_contrastive(torch.from_numpy(matrix.T.copy())))


def non_contrastive(matrix: Array) -> float:
    """L_nc = ||off(K K^T)||_F^2 of K (M, N), samples in columns."""
    return float(dimension_contrastive(torch.from_numpy(matrix.T.copy())))


def fourth_powers(matrix: Array, axis: int) -> float:
    """Sum of the rows' (axis 1) or columns' (axis 0) norms to the fourth power."""
    return float(((matrix**2).sum(axis=axis) ** 2).sum())


def shape(rng: np.random.Generator) -> tuple[int, int]:
    """Dimensions M and samples N, either the larger."""
    m, n = rng.integers(2, 20, size=2)
    return int(m), int(n)


def unequal_shape(rng: np.random.Generator) -> tuple[int, int]:
    """`shape` with M != N."""
    m, n = shape(rng)
    return (m, n) if m != n else (m, n + 3)


@check(
    paper="garrido2023",
    statement="theorem-3.3",
    kind="identity",
    title="L_nc plus the rows' fourth powers is L_c plus the columns'",
    control="squared norms instead of fourth powers",
    tolerance=1e-12,
    instances=200,
)
def theorem_3_3(rng: np.random.Generator, instances: int) -> Outcome:
    """L_nc + sum_j ||K_j.||^4 = L_c + sum_i ||K_.i||^4 for every real K (M, N).

    Theorem 3.3: both sides are ||K K^T||_F^2 = ||K^T K||_F^2. No hypothesis on K. Residual relative to the
    four terms' sum, over Gaussian matrices of many shapes and scales, some with one heavy row.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        matrix = rng.standard_normal(unequal_shape(rng)) * 10.0 ** rng.uniform(-2, 2)
        matrix[0] *= rng.choice([1.0, 30.0])
        l_nc, l_c = non_contrastive(matrix), contrastive(matrix)
        rows, columns = fourth_powers(matrix, 1), fourth_powers(matrix, 0)
        worst = max(worst, abs(l_nc + rows - l_c - columns) / (l_nc + rows + l_c + columns))
        # The sums of squares are equal to one another, so with them the claim reads L_nc = L_c.
        squares = float((matrix**2).sum())
        control = min(control, abs(l_nc + squares - l_c - squares) / (l_nc + l_c + 2 * squares))
    return Outcome(worst, {"squares": control})


@check(
    paper="garrido2023",
    statement="double-normalisation",
    kind="identity",
    title="Doubly normalised embeddings: L_nc = L_c + N - N^2/M",
    control="the printed L_nc = L_c + N - M, with N != M",
    tolerance=1e-9,
    instances=60,
)
def double_normalisation(rng: np.random.Generator, instances: int) -> Outcome:
    """Unit columns and rows of EQUAL norm force rows of norm sqrt(N/M); then L_nc = L_c + N - N^2/M.

    From Theorem 3.3: sum_i ||K_.i||^4 = N, and the rows' squares share sum ||K||^2 = N, so sum_j ||K_j.||^4 =
    N^2/M. The printed L_nc = L_c + N - M needs rows of norm 1 as well, which N != M rules out. Relative to
    the terms' size; the row norms' error is included. Matrices by alternating scaling that does not prescribe
    the rows' norm.
    """
    worst, printed = 0.0, np.inf
    for _ in range(instances):
        m, n = unequal_shape(rng)
        matrix = doubly_normalised(rng, m, n)
        l_nc, l_c = non_contrastive(matrix), contrastive(matrix)
        size = l_nc + l_c + n + n**2 / m
        norms = np.linalg.norm(matrix, axis=1) / np.sqrt(n / m)
        worst = max(worst, abs(l_nc - l_c - n + n**2 / m) / size, float(np.abs(norms - 1).max()))
        printed = min(printed, abs(l_nc - l_c - n + m) / size)
    return Outcome(worst, {"printed form": printed}, printed=printed)


def _gradients(matrix: Array) -> tuple[Array, Array]:
    """Gradients of L_nc and L_c at K (M, N), by automatic differentiation."""
    found = []
    for criterion in (dimension_contrastive, sample_contrastive):
        point = torch.from_numpy(matrix.copy()).requires_grad_()
        (gradient,) = torch.autograd.grad(criterion(point.T), point)
        found.append(gradient.numpy())
    return found[0], found[1]


def _column_tangent(matrix: Array, direction: Array) -> Array:
    """The part of `direction` that keeps every column's norm, to first order."""
    return direction - matrix * (matrix * direction).sum(axis=0) / (matrix**2).sum(axis=0)


@check(
    paper="garrido2023",
    statement="gradient-equivalence",
    kind="identity",
    title="At doubly normalised embeddings both criteria pull the same way",
    control="unit columns but unequal rows",
    tolerance=1e-9,
    instances=60,
)
def gradient_equivalence(rng: np.random.Generator, instances: int) -> Outcome:
    """grad L_nc - grad L_c = 4 (1 - N/M) K at doubly normalised K, normal to the constraint.

    The gradient of Theorem 3.3: grad L_nc - grad L_c = 4 (K diag ||K_.i||^2 - diag ||K_j.||^2 K). With unit
    columns and rows of norm sqrt(N/M) that is a multiple of K itself, which the tangent space of unit columns
    does not see. Measured: error of the difference, and its part tangent to the columns' constraint, relative
    to the gradients' norms. Control: that tangent part for unit columns with unequal rows.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        m, n = unequal_shape(rng)
        matrix = doubly_normalised(rng, m, n)
        first, second = _gradients(matrix)
        size = np.linalg.norm(first) + np.linalg.norm(second) + np.linalg.norm(matrix)
        error = np.linalg.norm(first - second - 4 * (1 - n / m) * matrix)
        tangent = np.linalg.norm(_column_tangent(matrix, first - second))
        worst = max(worst, float(error / size), float(tangent / size))

        scales = np.linspace(1.0, 2.0, m)[:, None]
        uneven = unit_columns(rng.standard_normal((m, n + m)) * scales)
        first, second = _gradients(uneven)
        size = np.linalg.norm(first) + np.linalg.norm(second)
        control = min(control, float(np.linalg.norm(_column_tangent(uneven, first - second)) / size))
    return Outcome(worst, {"unequal rows": control})
