"""The two criteria L_c and L_nc: equal up to the norms of rows and columns (Theorem 3.3), and so their
gradients.
"""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.embeddings import Seen, embeddings, gaussian, unequal_shape
from spectral_ssl.theorems.instances import Array, balance, unit_columns


def contrastive(matrix: Array, side: str = "own") -> float:
    """L_c = ||off(K^T K)||_F^2 of K (M, N), samples in columns; `side` as the library's criterion has it."""
    return float(sample_contrastive(torch.from_numpy(matrix.T.copy()), side=side))


def non_contrastive(matrix: Array, side: str = "own") -> float:
    """L_nc = ||off(K K^T)||_F^2 of K (M, N), samples in columns; `side` likewise."""
    return float(dimension_contrastive(torch.from_numpy(matrix.T.copy()), side=side))


def fourth_powers(matrix: Array, axis: int) -> float:
    """Sum of the rows' (axis 1) or columns' (axis 0) norms to the fourth power."""
    return float(((matrix**2).sum(axis=axis) ** 2).sum())


@check(
    paper="garrido2023",
    statement="theorem-3.3",
    kind="identity",
    title="L_nc plus the rows' fourth powers is L_c plus the columns'",
    control="squared norms instead of fourth powers",
    tolerance=1e-12,
    instances=210,
)
def theorem_3_3(rng: np.random.Generator, instances: int) -> Outcome:
    """L_nc + sum_j ||K_j.||^4 = L_c + sum_i ||K_.i||^4 for every real K (M, N).

    Theorem 3.3: both sides are ||K K^T||_F^2 = ||K^T K||_F^2. No hypothesis on K. Residual relative to the
    four terms' sum, over all families of embeddings, N < M, N = M and N > M, at scales from 1/100 to 100; and that
    of each criterion computed on the smaller Gram matrix, for which the theorem is the licence. The control is
    tried on Gaussian matrices, N != M: of an orthogonal one L_nc = L_c, and squares would do.
    """
    seen, control = Seen(), np.inf
    for one in embeddings(rng, instances):
        l_nc, l_c = non_contrastive(one.matrix), contrastive(one.matrix)
        rows, columns = fourth_powers(one.matrix, 1), fourth_powers(one.matrix, 0)
        size = l_nc + rows + l_c + columns
        seen.see(one, abs(l_nc + rows - l_c - columns) / size)
        seen.see(one, abs(contrastive(one.matrix, "smaller") - l_c) / size)
        seen.see(one, abs(non_contrastive(one.matrix, "smaller") - l_nc) / size)
        plain = gaussian(rng, *unequal_shape(rng))
        # The sums of squares are equal to one another, so with them the claim reads L_nc = L_c.
        l_nc, l_c, squares = non_contrastive(plain), contrastive(plain), float((plain**2).sum())
        control = min(control, abs(l_nc - l_c) / (l_nc + l_c + 2 * squares))
    return Outcome(seen.value, {"squares": control}, detail=seen.detail())


@check(
    paper="garrido2023",
    statement="double-normalisation",
    kind="identity",
    title="Doubly normalised embeddings: L_nc = L_c + N - N^2/M",
    control="the printed L_nc = L_c + N - M, with N != M",
    known="differs",
    tolerance=1e-9,
    instances=60,
)
def double_normalisation(rng: np.random.Generator, instances: int) -> Outcome:
    """Unit columns and rows of EQUAL norm force rows of norm sqrt(N/M); then L_nc = L_c + N - N^2/M.

    From Theorem 3.3: sum_i ||K_.i||^4 = N, and the rows' squares share sum ||K||^2 = N, so sum_j ||K_j.||^4 =
    N^2/M. The printed L_nc = L_c + N - M needs rows of norm 1 as well, which N != M rules out. The smallest
    counterexample is one sample in two dimensions, K = (1, 1)^T / sqrt 2: L_nc - L_c = 1/2 - 0, and N - M = -1.

    Relative to the terms' size; the row norms' error is included. Matrices of all families and shapes by
    alternating scaling that does not prescribe the rows' norm; sparse ones are left out, for which it need not
    converge. The printed form is measured where N != M; for N = M it agrees.
    """
    seen, printed, square = Seen(), np.inf, 0.0
    smallest = np.full((2, 1), np.sqrt(0.5))
    least = non_contrastive(smallest) - contrastive(smallest)
    for one in embeddings(rng, instances, leave_out=("sparse",)):
        matrix = balance(one.matrix)
        m, n = matrix.shape
        l_nc, l_c = non_contrastive(matrix), contrastive(matrix)
        size = l_nc + l_c + n + n**2 / m
        norms = np.linalg.norm(matrix, axis=1) / np.sqrt(n / m)
        seen.see(one, abs(l_nc - l_c - n + n**2 / m) / size, float(np.abs(norms - 1).max()))
        error = abs(l_nc - l_c - n + m) / size
        printed, square = (printed, max(square, error)) if n == m else (min(printed, error), square)
    printed = min(printed, abs(least - (1 - 2)) / (least + 1 + 1 / 2))
    detail = {
        "misprint: N - M": printed,
        "misprint: N - M, where N = M": square,
        "counterexample M = 2, N = 1: L_nc - L_c": least,
        "counterexample M = 2, N = 1: N - M": -1,
    }
    return Outcome(seen.value, {"printed form": printed}, printed=printed, detail=detail | seen.detail())


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


def _gradient_errors(matrix: Array) -> tuple[float, float]:
    """Error of the gradients' difference at any K, and its part tangent to unit columns, relative to their size."""
    first, second = _gradients(matrix)
    columns, rows = (matrix**2).sum(axis=0), (matrix**2).sum(axis=1)[:, None]
    expected = 4 * (matrix * columns - rows * matrix)
    # Where both gradients vanish, at orthonormal K, the two terms of the difference are what rounding is measured by.
    size = sum(float(np.linalg.norm(part)) for part in (first, second, matrix * columns, rows * matrix))
    tangent = _column_tangent(matrix, first - second)
    return float(np.linalg.norm(first - second - expected)) / size, float(np.linalg.norm(tangent)) / size


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

    The gradient of Theorem 3.3, at ANY K: grad L_nc - grad L_c = 4 (K diag ||K_.i||^2 - diag ||K_j.||^2 K). With
    unit columns and rows of norm sqrt(N/M) that is a multiple of K itself, which the tangent space of unit
    columns does not see. Measured: the error of the general difference over all families and shapes, and at
    doubly normalised K (all families but sparse) the errors of that multiple and of the part tangent to the columns'
    constraint, relative to the gradients' norms. Control: that tangent part for Gaussian matrices of unit columns
    and unequal rows, M >= 2.
    """
    seen, general, control = Seen(), Seen(), np.inf
    for one in embeddings(rng, instances):
        general.see(one, _gradient_errors(one.matrix)[0])
    for one in embeddings(rng, instances, leave_out=("sparse",)):
        matrix = balance(one.matrix)
        m, n = matrix.shape
        first, second = _gradients(matrix)
        size = float(np.linalg.norm(first) + np.linalg.norm(second) + np.linalg.norm(matrix))
        error = float(np.linalg.norm(first - second - 4 * (1 - n / m) * matrix))
        seen.see(one, error / size, *_gradient_errors(matrix))

        scales = np.linspace(1.0, 2.0, m)[:, None]
        control = min(control, _gradient_errors(unit_columns(gaussian(rng, m, n + m) * scales))[1])
    detail = {"any matrix": general.value} | seen.detail()
    return Outcome(max(seen.value, general.value), {"unequal rows": control}, detail=detail)
