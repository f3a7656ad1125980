"""How embeddings lie: orthonormal, tight frames, one direction, the sphere; each with its answer by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.duality import diagonal_dominance, duality_statistics

MOST = 1 / torch.finfo(torch.float64).eps  # what a diagonal matrix has


def sphere(n: int, m: int, seed: int = 0) -> Tensor:
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(z: np.ndarray) -> dict[str, float]:
    """The same numbers by loops over rows and columns."""
    rows = z / np.linalg.norm(z, axis=1, keepdims=True)
    n, m = rows.shape
    cosines = [float(rows[i] @ rows[j]) for i in range(n) for j in range(n) if i != j]
    norms = [float((rows[:, j] ** 2).sum()) for j in range(m)]
    covariance = np.cov(rows, rowvar=False)

    def dominance(matrix: np.ndarray) -> float:
        ratios = []
        for i in range(len(matrix)):
            rest = sum(abs(matrix[i, j]) for j in range(len(matrix)) if j != i)
            ratios.append(abs(matrix[i, i]) / rest)
        return float(np.mean(ratios))

    return {
        "gram_variance_relative": m * float(np.var(cosines)),
        "dimension_concentration": sum(c**2 for c in norms)
        / (n**2 / m),  # |K_j.|^4 over the bound of Lemma 3.4
        "gram_dominance": dominance(rows @ rows.T),
        "covariance_dominance": dominance(covariance),
    }


@pytest.mark.parametrize(("n", "m"), [(7, 3), (4, 9), (30, 5)])
def test_against_loops(n: int, m: int) -> None:
    z = sphere(n, m, seed=n) + 0.3
    found = duality_statistics(z)
    assert found == pytest.approx(by_hand(z.numpy()), rel=1e-10)
    assert duality_statistics(z.numpy()) == found
    # Rows are scaled to length 1: their own lengths do not count.
    assert duality_statistics(z * torch.arange(1, n + 1)[:, None]) == pytest.approx(found, rel=1e-10)


def test_an_orthonormal_basis_is_as_dominant_as_can_be() -> None:
    found = duality_statistics(torch.eye(5))
    assert found["gram_variance_relative"] == 0
    assert found["dimension_concentration"] == 1
    assert found["gram_dominance"] == pytest.approx(MOST)
    assert math.isfinite(found["gram_dominance"])


def test_a_tight_frame_meets_the_lower_bound() -> None:
    # Three directions at 120 degrees in the plane: every off-diagonal cosine is -1/2, both columns have norm^2 3/2.
    angles = 2 * torch.pi * torch.arange(3, dtype=torch.float64) / 3
    found = duality_statistics(torch.stack([angles.cos(), angles.sin()], dim=1))
    assert found["dimension_concentration"] == pytest.approx(1)
    assert found["gram_variance_relative"] == pytest.approx(0, abs=1e-15)
    assert found["gram_dominance"] == pytest.approx(1)  # 1 over 1/2 + 1/2
    assert found["covariance_dominance"] > 1e12  # 3/4 of the identity, up to rounding


@pytest.mark.parametrize("m", [1, 2, 16])
def test_one_dimension_that_carries_everything_meets_the_upper_bound(m: int) -> None:
    z = torch.zeros(6, m)
    z[:, 0] = torch.tensor([1.0, -2, 3, -4, 5, -6])
    found = duality_statistics(z)
    assert found["dimension_concentration"] == pytest.approx(m)
    assert found["gram_dominance"] == pytest.approx(1 / 5)
    assert found["covariance_dominance"] == pytest.approx(MOST)  # dead dimensions are left out


def test_a_collapsed_embedding() -> None:
    found = duality_statistics(torch.full((10, 4), 2.0))
    assert found["gram_variance_relative"] == pytest.approx(0, abs=1e-15)
    assert found["gram_dominance"] == pytest.approx(1 / 9)
    assert found["covariance_dominance"] == 0  # nothing varies
    assert found["dimension_concentration"] == pytest.approx(1)  # all dimensions have one norm


@pytest.mark.parametrize("m", [3, 32])
def test_points_spread_over_the_sphere_have_variance_one_over_m(m: int) -> None:
    found = duality_statistics(sphere(1500, m))
    assert found["gram_variance_relative"] == pytest.approx(1, abs=0.02)
    assert found["dimension_concentration"] == pytest.approx(1, abs=0.01)
    crowded = duality_statistics(sphere(1500, m).abs())  # an orthant of it
    assert crowded["gram_variance_relative"] < 0.6


def test_embeddings_of_zeros_give_numbers() -> None:
    found = duality_statistics(torch.zeros(3, 2))
    assert set(found.values()) == {0.0}
    one = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert all(math.isfinite(value) for value in duality_statistics(one).values())


def test_dominance_by_hand_and_without_cancellation() -> None:
    matrix = torch.tensor([[4.0, -1.0, 1.0], [0.0, 0.0, 5.0], [-2.0, 2.0, -1.0]], dtype=torch.float64)
    before = matrix.clone()
    assert diagonal_dominance(matrix) == pytest.approx((4 / 2 + 1 / 4) / 2)  # the row of a zero is left out
    assert torch.equal(matrix, before)
    # A sum less its largest term would lose all the digits of what is left.
    faint = torch.tensor([[1.0, 1e-14], [1e-14, 1.0]], dtype=torch.float64)
    assert diagonal_dominance(faint) == pytest.approx(1e14, rel=1e-12)


@pytest.mark.parametrize(
    ("z", "said"),
    [
        (torch.ones(1, 4), "duality statistics need 2 rows or more; found 1"),
        (torch.ones(4), "embeddings must be a table"),
        (torch.full((3, 2), torch.nan), "embeddings hold NaN or infinity"),
    ],
)
def test_what_has_no_statistics_is_refused(z: Tensor, said: str) -> None:
    with pytest.raises(UserError, match=said):
        duality_statistics(z)
