"""Linear probes: separable blobs, and torch's and scikit-learn's own routes to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.probe import linear_lbfgs, linear_sgd, standardise

Data = tuple[Tensor, Tensor, Tensor, Tensor]


def blobs(distance: float, *, n: int = 240, dimension: int = 6, classes: int = 3, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    centres = distance * torch.eye(classes, dimension)
    x = centres[labels] + torch.randn(n, dimension, generator=generator)
    half = n // 2
    return x[:half], labels[:half], x[half:], labels[half:]


def test_separable_blobs_are_told_apart() -> None:
    data = blobs(30.0)
    sgd = linear_sgd(*data, seed=0)
    assert (sgd.last, sgd.best, sgd.best_epoch, sgd.train) == (1.0, 1.0, 1, 1.0)
    optimum = linear_lbfgs(*data)
    assert (optimum.test, optimum.train, optimum.converged) == (1.0, 1.0, True)


def test_shuffled_labels_are_chance() -> None:
    x, y, test_x, test_y = blobs(30.0, n=1200)
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]
    assert linear_sgd(x, shuffled, test_x, test_y, seed=0).last < 0.6
    assert linear_lbfgs(x, shuffled, test_x, test_y).train < 0.5


def test_sgd_against_autograd() -> None:
    data = blobs(0.5, n=2000)
    x, y, test_x, test_y = data
    options = {"learning_rate": 2.0, "weight_decay": 0.01, "batch_size": 32, "epochs": 6}
    found = linear_sgd(*data, seed=3, milestones=(2, 4), **options)
    generator = torch.Generator().manual_seed(3)
    layer = nn.Linear(6, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.empty(3, 6).normal_(0.0, 0.01, generator=generator))
        layer.bias.zero_()
    optimiser = torch.optim.SGD(layer.parameters(), lr=2.0, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [2, 4])
    history = []
    for _ in range(6):
        for rows in torch.randperm(len(x), generator=generator).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(layer(x[rows]), y[rows]).backward()
            optimiser.step()
        schedule.step()
        history.append((layer(test_x).argmax(dim=1) == test_y).double().mean().item())
    assert found.last == history[-1]
    assert found.best == max(history)
    assert found.best_epoch == history.index(max(history)) + 1
    assert 0.4 < found.last < 0.6


def test_sgd_best_is_not_last_where_it_overfits() -> None:
    found = [linear_sgd(*blobs(1.0, dimension=60, seed=seed), seed=0) for seed in range(5)]
    assert all(probe.train == 1.0 and probe.best >= probe.last for probe in found)
    assert sum(probe.best > probe.last for probe in found) >= 3


def test_seed_decides_sgd() -> None:
    data = blobs(1.0)
    assert linear_sgd(*data, seed=5) == linear_sgd(*data, seed=5)
    histories = {linear_sgd(*data, seed=seed, epochs=3).last for seed in range(8)}
    assert len(histories) > 1


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_lbfgs_against_sklearn(l2: float) -> None:
    data = blobs(1.5, seed=4)
    found = linear_lbfgs(*data, l2=l2, tolerance=1e-9)
    assert found.converged
    train, test = standardise(data[0], data[2])
    reference = LogisticRegression(C=1.0 / (l2 * len(train)), tol=1e-10, max_iter=5000)
    reference.fit(train.numpy(), data[1].numpy())
    assert found.test == reference.score(test.numpy(), data[3].numpy())
    assert found.train == reference.score(train.numpy(), data[1].numpy())


def test_lbfgs_says_when_it_has_not_converged() -> None:
    found = linear_lbfgs(*blobs(1.5), iterations=2)
    assert not found.converged
    assert found.gradient > 1e-6
    assert found.iterations == 2


def test_lbfgs_does_not_see_the_scale_of_a_dimension() -> None:
    x, y, test_x, test_y = blobs(1.5)
    scale = torch.tensor([1e-3, 1.0, 50.0, 2.0, 1e3, 0.1])
    shifted = linear_lbfgs(x * scale + 7.0 * scale, y, test_x * scale + 7.0 * scale, test_y)
    plain = linear_lbfgs(x, y, test_x, test_y)
    assert (shifted.test, shifted.train) == (plain.test, plain.train)


def test_rounding_noise_is_not_standardised_into_a_signal() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 5.0
    x[:, 2] = 1.0 + torch.finfo(torch.float32).eps * (torch.arange(50) % 2)
    train, test = standardise(x, x + 1.0)
    assert train[:, 1:].abs().max() == 0.0
    assert test[:, 1:].abs().max() == 0.0
    assert train[:, 0].std(correction=0).item() == pytest.approx(1.0)


def test_labels_need_not_start_at_zero() -> None:
    x, y, test_x, test_y = blobs(2.0)
    renamed = torch.tensor([7, -1, 100])
    assert linear_lbfgs(x, renamed[y], test_x, renamed[test_y]).test == pytest.approx(
        linear_lbfgs(x, y, test_x, test_y).test
    )


def test_numpy_arrays_and_bf16_are_taken() -> None:
    x, y, test_x, test_y = blobs(30.0)
    assert linear_lbfgs(x.numpy(), y.numpy().astype(np.uint8), test_x.bfloat16(), test_y).test == 1.0


@pytest.mark.parametrize("probe", [linear_lbfgs, lambda *data: linear_sgd(*data, seed=0)])
def test_broken_input(probe: object) -> None:
    assert callable(probe)
    x, y, test_x, test_y = blobs(2.0)
    broken = x.clone()
    broken[3, 2] = torch.nan
    with pytest.raises(UserError, match="training features hold NaN or infinity"):
        probe(broken, y, test_x, test_y)
    with pytest.raises(UserError, match="6 dimensions, test features 4"):
        probe(x, y, test_x[:, :4], test_y)
    with pytest.raises(UserError, match="test labels must be 120 whole numbers"):
        probe(x, y, test_x, test_y[:-1])
    with pytest.raises(UserError, match="training labels must be 120 whole numbers"):
        probe(x, y.float(), test_x, test_y)
    with pytest.raises(UserError, match=r"classes that the training labels lack: \[2\]"):
        probe(x[y < 2], y[y < 2], test_x, test_y)
    with pytest.raises(UserError, match="two classes or more"):
        probe(x[y == 0], y[y == 0], test_x, test_y)
    with pytest.raises(UserError, match=r"must be a table \(n, D\)"):
        probe(x[:, :, None], y, test_x, test_y)


def test_impossible_settings() -> None:
    data = blobs(2.0)
    with pytest.raises(UserError, match="l2 must be positive"):
        linear_lbfgs(*data, l2=0.0)
    with pytest.raises(UserError, match="1 epoch and a batch of 1 or more; found 0 and 256"):
        linear_sgd(*data, seed=0, epochs=0)


def test_sgd_trains_on_features_drawn_anew_each_epoch() -> None:
    train_x, train_y, test_x, test_y = blobs(6.0)
    calls = []

    def same() -> torch.Tensor:
        calls.append(len(calls))
        return torch.as_tensor(train_x)

    fixed = linear_sgd(train_x, train_y, test_x, test_y, seed=0, epochs=5)
    assert linear_sgd(train_x, train_y, test_x, test_y, seed=0, epochs=5, resampled=same) == fixed
    assert calls == [0, 1, 2, 3, 4]
    noise = torch.Generator().manual_seed(0)
    blind = linear_sgd(
        train_x,
        train_y,
        test_x,
        test_y,
        seed=0,
        epochs=5,
        resampled=lambda: torch.randn(train_x.shape, generator=noise),
    )
    assert fixed.last > 0.95
    assert blind.last < 0.7
