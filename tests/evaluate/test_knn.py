"""Nearest neighbours: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.knn import knn


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    x = 1.2 * np.eye(4, 7)[labels] + rng.normal(size=(500, 7))
    return x[:300], labels[:300], x[300:], labels[300:]


@pytest.mark.parametrize("k", [1, 20, 300])
def test_weighted_vote_against_sklearn(data: tuple[np.ndarray, ...], k: int) -> None:
    train_x, train_y, test_x, test_y = data
    reference = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1.0 - distance) / 0.07)
    )
    expected = reference.fit(train_x, train_y).score(test_x, test_y)
    assert knn(*data, k=k) == pytest.approx(expected)
    assert 0.4 < expected < 1.0


@pytest.mark.parametrize("k", [1, 5, 51])
def test_majority_vote_against_sklearn_where_no_tie_can_decide(data: tuple[np.ndarray, ...], k: int) -> None:
    train_x, train_y, test_x, test_y = (part if part.ndim == 2 else part % 2 for part in data)
    reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train_x, train_y)
    found = knn(train_x, train_y, test_x, test_y, k=k, vote="majority")
    assert found == pytest.approx(reference.score(test_x, test_y))


def test_votes_by_hand() -> None:
    angles = torch.tensor([0.1, 0.5, 0.6])
    train = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels, test = torch.tensor([0, 1, 1]), torch.tensor([[3.0, 0.0]])
    truth = torch.tensor([0])
    # One close neighbour against two further ones: the weight decides, the count decides otherwise.
    assert knn(train, labels, test, truth, k=3, temperature=0.07) == 1.0
    assert knn(train, labels, test, truth, k=3, temperature=1.0) == 0.0
    assert knn(train, labels, test, truth, k=3, vote="majority") == 0.0
    # A tie of one against one goes to the closer, though its class number is the higher.
    assert knn(train, torch.tensor([1, 0, 0]), test, torch.tensor([1]), k=2, vote="majority") == 1.0


def test_blocks_and_small_temperatures_change_nothing(data: tuple[np.ndarray, ...]) -> None:
    assert knn(*data, block=7) == knn(*data)
    assert knn(*data, temperature=1e-5) == knn(*data, k=1)


def test_lengths_are_ignored_and_zero_is_allowed(data: tuple[np.ndarray, ...]) -> None:
    train_x, train_y, test_x, test_y = data
    lengths = np.exp(np.random.default_rng(1).normal(size=(300, 1)))
    assert knn(train_x * lengths, train_y, test_x, test_y) == knn(*data)
    zeros = test_x.copy()
    zeros[0] = 0.0
    assert 0.0 < knn(train_x, train_y, zeros, test_y) < 1.0


def test_broken_input(data: tuple[np.ndarray, ...]) -> None:
    for k in (0, 301):
        with pytest.raises(UserError, match=f"between 1 and the 300 training features; found {k}"):
            knn(*data, k=k)
    with pytest.raises(UserError, match="must be positive"):
        knn(*data, temperature=0.0)
    with pytest.raises(UserError, match="did you mean 'majority'"):
        knn(*data, vote="majorty")
