"""Ranks: exact cases, a second route to every statistic, and the trap of bf16."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.rank import (
    effective_rank,
    embedding_statistics,
    numerical_rank,
    participation_ratio,
    singular_values,
)


def gaussian(n: int, dimension: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_rank(rank: int, n: int = 200, dimension: int = 16) -> Tensor:
    return gaussian(n, rank) @ gaussian(rank, dimension, 1)


@pytest.mark.parametrize("rank", [1, 3, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numerical_rank_is_exact(rank: int, dtype: torch.dtype) -> None:
    assert numerical_rank(singular_values(of_rank(rank).to(dtype))) == rank


def test_equal_singular_values_have_full_effective_rank() -> None:
    s = singular_values(torch.linalg.qr(gaussian(50, 8))[0])
    assert s.tolist() == pytest.approx([1.0] * 8)
    assert effective_rank(s) == pytest.approx(8.0, rel=1e-4)
    assert participation_ratio(s) == pytest.approx(8.0)


def test_one_direction_has_effective_rank_one() -> None:
    s = singular_values(of_rank(1))
    assert effective_rank(s) == pytest.approx(1.0, abs=1e-4)
    assert participation_ratio(s) == pytest.approx(1.0)


def test_effective_rank_against_scipy_and_by_hand() -> None:
    s = np.array([4.0, 2.0, 1.0, 1.0])
    assert effective_rank(s, epsilon=0.0) == pytest.approx(math.exp(entropy(s)))
    # Entropy of 1/2, 1/4, 1/8, 1/8 is 1.75 bits.
    assert effective_rank(s, epsilon=0.0) == pytest.approx(2.0**1.75)
    assert participation_ratio(s) == pytest.approx(22.0**2 / (256 + 16 + 1 + 1))


def test_centring() -> None:
    z = torch.randn(100, 5, generator=torch.Generator().manual_seed(0)) + 30.0
    assert numerical_rank(singular_values(z, centred=True), 1e-3) == 5
    assert participation_ratio(singular_values(z)) < 1.05
    assert participation_ratio(singular_values(z, centred=True)) > 4.5
    expected = torch.linalg.eigvalsh(torch.cov(z.double().T) * 99.0).flip(0).sqrt()
    torch.testing.assert_close(singular_values(z, centred=True), expected)


def test_collapse_has_rank_zero_once_centred() -> None:
    z = torch.full((40, 6), 0.1)
    assert effective_rank(singular_values(z, centred=True)) == 0.0
    assert participation_ratio(singular_values(z, centred=True)) == 0.0
    assert numerical_rank(singular_values(z, centred=True)) == 0
    assert numerical_rank(singular_values(z)) == 1


def test_features_stored_in_bf16_look_full_rank() -> None:
    z = of_rank(3).float()
    assert numerical_rank(singular_values(z)) == 3
    assert numerical_rank(singular_values(z.bfloat16())) == 16
    assert effective_rank(singular_values(z.bfloat16())) > effective_rank(singular_values(z)) + 0.05


def test_statistics_by_their_definitions() -> None:
    z = gaussian(30, 4) * torch.tensor([1.0, 2.0, 0.5, 1.0]) + 0.7
    found = embedding_statistics(z)
    table = z.numpy()
    norms, columns = np.linalg.norm(table, axis=1), np.linalg.norm(table, axis=0)
    rows = table / norms[:, None]
    off = (rows @ rows.T)[~np.eye(30, dtype=bool)]
    expected = {
        "norm_mean": norms.mean(),
        "norm_std": norms.std(),
        "centre": np.linalg.norm(table.mean(axis=0)),
        "centre_relative": np.linalg.norm(table.mean(axis=0)) / np.sqrt(np.mean(norms**2)),
        "dimension_std_mean": table.std(axis=0, ddof=1).mean(),
        "dimension_norm_mean": columns.mean(),
        "dimension_norm_std": columns.std(),
        "gram_mean": off.mean(),
        "gram_variance": off.var(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert found["effective_rank"] == effective_rank(np.linalg.svd(table, compute_uv=False))
    assert found["participation_ratio_centred"] == pytest.approx(
        participation_ratio(np.linalg.svd(table - table.mean(axis=0), compute_uv=False))
    )


def test_random_directions_have_gram_variance_one_over_dimension() -> None:
    found = embedding_statistics(gaussian(2000, 64))
    assert found["gram_variance"] == pytest.approx(1.0 / 64.0, rel=0.02)
    assert abs(found["gram_mean"]) < 1e-3


def test_collapsed_and_zero_embeddings_stay_finite() -> None:
    collapsed = embedding_statistics(torch.full((10, 3), 2.0))
    assert collapsed["centre_relative"] == pytest.approx(1.0)
    assert (collapsed["gram_mean"], collapsed["gram_variance"]) == pytest.approx((1.0, 0.0))
    assert all(math.isfinite(value) for value in embedding_statistics(torch.zeros(10, 3)).values())


def test_broken_input() -> None:
    with pytest.raises(UserError, match=r"found shape \(3,\)"):
        singular_values(torch.ones(3))
    with pytest.raises(UserError, match="NaN or infinity"):
        embedding_statistics(torch.tensor([[1.0], [math.inf]]))
    with pytest.raises(UserError, match="2 rows or more; found 1"):
        embedding_statistics(torch.ones(1, 4))
