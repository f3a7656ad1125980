"""The few-label probe: exact on blobs, equal to scikit-learn's ridge, and paired between encoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.few_label import draw_labels, few_label, ridge_weights

Data = tuple[Tensor, Tensor, Tensor, Tensor]


def blobs(distance: float, *, n: int = 600, dimension: int = 8, classes: int = 5) -> Data:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    x = distance * torch.eye(classes, dimension)[labels] + torch.randn(n, dimension, generator=generator)
    half = n // 2
    return x[:half], labels[:half], x[half:], labels[half:]


def test_separable_blobs_need_one_label() -> None:
    found = few_label(*blobs(40.0), seed=0)
    assert list(found) == [1, 5, 10]
    for result in found.values():
        assert (result.mean, result.std) == (1.0, 0.0)
        assert len(result.draws) == 20


def test_more_labels_help_and_the_spread_is_the_draws() -> None:
    found = few_label(*blobs(3.0), seed=0)
    assert found[1].mean < found[5].mean < found[10].mean < 1.0
    assert found[1].std == pytest.approx(np.std(found[1].draws, ddof=1))
    assert found[1].mean == pytest.approx(np.mean(found[1].draws))


@pytest.mark.parametrize("k", [1, 5])
def test_against_sklearn_draw_by_draw(k: int) -> None:
    train_x, train_y, test_x, test_y = (part.numpy() for part in blobs(2.0))
    found = few_label(train_x, train_y, test_x, test_y, labels_per_class=[k], draws=6, seed=3)[k]
    mean = train_x.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum((train_x - mean) ** 2, axis=1)))
    for rows, accuracy in zip(draw_labels(train_y, k, draws=6, seed=3), found.draws, strict=True):
        chosen = rows.ravel()
        targets = np.eye(5)[train_y[chosen]]
        ridge = Ridge(alpha=0.3, fit_intercept=False).fit((train_x[chosen] - mean) / scale, targets)
        predicted = ridge.predict((test_x - mean) / scale).argmax(axis=1)
        assert accuracy == np.mean(predicted == test_y)


@pytest.mark.parametrize(("n", "dimension"), [(5, 40), (40, 5), (7, 7)])
def test_both_forms_of_the_solve_meet_the_normal_equations(n: int, dimension: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, n, dimension, generator=generator, dtype=torch.float64)
    targets = torch.randn(3, n, 2, generator=generator, dtype=torch.float64)
    weights = ridge_weights(x, targets, 0.3)
    torch.testing.assert_close(x.mT @ (targets - x @ weights), 0.3 * weights, rtol=1e-9, atol=1e-12)


def test_draws_are_balanced_nested_and_without_repetition() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 200)
    rows = draw_labels(labels, 6, draws=9, seed=1)
    assert rows.shape == (9, 4, 6)
    for draw in rows:
        assert len(np.unique(draw)) == 24
        assert (labels[draw] == np.arange(4)[:, None]).all()
    assert np.array_equal(rows[:, :, :2], draw_labels(labels, 2, draws=9, seed=1))
    assert np.array_equal(rows[:4], draw_labels(labels, 6, draws=4, seed=1))
    assert not np.array_equal(rows, draw_labels(labels, 6, draws=9, seed=2))


def test_draws_are_uniform() -> None:
    labels = np.repeat([0, 1], 10)
    counts = np.bincount(draw_labels(labels, 5, draws=2000, seed=0).ravel(), minlength=20)
    # Each row is drawn with probability 1/2: binomial, deviation sqrt(500).
    assert np.abs(counts - 1000).max() < 4.5 * np.sqrt(500)


def test_rotation_and_scale_of_the_features_change_nothing() -> None:
    train_x, train_y, test_x, test_y = blobs(2.0)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    shift = torch.arange(8.0)
    plain = few_label(train_x.double(), train_y, test_x.double(), test_y, seed=0)
    moved_train, moved_test = ((50.0 * x @ rotation + shift).double() for x in (train_x, test_x))
    turned = few_label(moved_train, train_y, moved_test, test_y, seed=0)
    for k in (1, 5, 10):
        assert turned[k].mean == pytest.approx(plain[k].mean, abs=1e-3)


def test_collapsed_features_are_chance() -> None:
    _, train_y, _, test_y = blobs(1.0)
    found = few_label(torch.ones(300, 8), train_y, torch.ones(300, 8), test_y, seed=0)
    assert found[10].mean == pytest.approx(0.2, abs=1e-9)


def test_broken_input() -> None:
    train_x, train_y, test_x, test_y = blobs(2.0)
    with pytest.raises(UserError, match="61 labels a class asked for; class number 0 has 60"):
        few_label(train_x, train_y, test_x, test_y, labels_per_class=[61], seed=0)
    with pytest.raises(UserError, match="lack"):
        few_label(train_x[train_y > 0], train_y[train_y > 0], test_x, test_y, seed=0)
    with pytest.raises(UserError, match="2 draws or more"):
        few_label(train_x, train_y, test_x, test_y, draws=1, seed=0)
    for wrong in ([], [0], [5, -1]):
        with pytest.raises(UserError, match="1 label a class or more"):
            few_label(train_x, train_y, test_x, test_y, labels_per_class=wrong, seed=0)
    with pytest.raises(UserError, match="positive ridge"):
        few_label(train_x, train_y, test_x, test_y, ridge=0.0, seed=0)
