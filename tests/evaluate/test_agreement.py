"""Cosines of pairs and how well they tell positive from random ones, against loops and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.agreement import agreement, separation


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_double_loop(positive: Tensor, random: Tensor) -> float:
    wins = sum(1.0 if p > r else 0.5 if p == r else 0.0 for p in positive.tolist() for r in random.tolist())
    return wins / (len(positive) * len(random))


def test_cosines_of_an_image_with_itself_and_with_the_next() -> None:
    z1 = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    z2 = torch.tensor([[1.0, 0.0], [0.0, -1.0], [5.0, 5.0]])
    positive, random = agreement(z1, z2)
    half = 0.5**0.5
    torch.testing.assert_close(positive, torch.tensor([1.0, -1.0, 1.0]))
    # Rolled by one: image 0 meets the last one's view 2.
    torch.testing.assert_close(random, torch.tensor([half, 0.0, -half]))


def test_cosines_against_torch_whatever_the_lengths() -> None:
    z1, z2 = noise(50, 6), noise(50, 6, seed=1)
    positive, random = agreement(z1 * torch.arange(1, 51)[:, None], z2.numpy())
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(positive, cosine(z1, z2))
    torch.testing.assert_close(random, torch.stack([cosine(z1[i], z2[i - 1], dim=0) for i in range(50)]))
    assert positive.dtype == torch.float32


@pytest.mark.parametrize("decimals", [0, 1, 6])  # many ties, some, none
def test_separation_against_a_double_loop_and_scikit_learn(decimals: int) -> None:
    positive, random = (noise(37) + 0.5).round(decimals=decimals), noise(53, seed=1).round(decimals=decimals)
    found = separation(positive, random)
    assert found == pytest.approx(by_double_loop(positive, random), abs=1e-12)
    labels = torch.cat([torch.ones(37), torch.zeros(53)])
    assert found == pytest.approx(roc_auc_score(labels, torch.cat([positive, random])), abs=1e-12)
    assert separation(random, positive) == pytest.approx(1 - found, abs=1e-12)


def test_separation_at_its_ends_and_in_the_middle() -> None:
    low, high = torch.tensor([-0.5, 0.1, 0.2]), torch.tensor([0.3, 0.9])
    assert separation(high, low) == 1
    assert separation(low, high) == 0
    assert separation(torch.ones(4), torch.ones(7)) == 0.5  # ties: a constant embedding
    assert separation(torch.tensor([1.0]), torch.tensor([0.0, 1.0, 1.0, 2.0])) == (1 + 0.5 + 0.5) / 4
    constant = torch.full((20, 3), 0.7)
    assert separation(*agreement(constant, constant)) == 0.5


def test_unrelated_views_are_told_apart_no_better_than_by_chance() -> None:
    z = noise(2000, 8)
    assert separation(*agreement(z, noise(2000, 8, seed=1))) == pytest.approx(0.5, abs=0.03)
    assert separation(*agreement(z, z + 0.1 * noise(2000, 8, seed=2))) > 0.99


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UserError, match="embeddings hold NaN or infinity"):
        agreement(torch.full((3, 2), torch.inf), torch.ones(3, 2))
