"""The accuracy that hyperparameters are chosen by."""

from __future__ import annotations

import pytest
import torch

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.few_label import few_label
from spectral_ssl.evaluate.probe import linear_lbfgs
from spectral_ssl.evaluate.validation import held_out, validation_accuracy


def clusters(sizes: tuple[int, ...], apart: float = 8.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around a corner a class, so many of each class, in mixed order."""
    generator = torch.Generator().manual_seed(3)
    y = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    y = y[torch.randperm(len(y), generator=generator)]
    x = torch.randn(len(y), len(sizes), generator=generator) + apart * torch.eye(len(sizes))[y]
    return x, y


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_fifth_of_every_class_is_held_out() -> None:
    _, y = clusters((50, 20, 10, 2))
    held = held_out(y, generator=generator())
    assert [int(held[y == label].sum()) for label in range(4)] == [10, 4, 2, 1]


def test_the_same_images_are_held_out_whatever_the_encoder() -> None:
    _, y = clusters((30, 30))
    assert torch.equal(held_out(y, generator=generator()), held_out(y, generator=generator()))
    assert not torch.equal(held_out(y, generator=generator()), held_out(y, generator=generator(1)))


def test_separate_clusters_are_told_apart_and_noise_is_not() -> None:
    x, y = clusters((40, 40, 40))
    for accuracy in ("few1", "knn", "lbfgs"):
        assert validation_accuracy(x, y, accuracy=accuracy, draws=4, seed=0) == 1.0
    noise = torch.randn(x.shape, generator=generator())
    assert validation_accuracy(noise, y, accuracy="few5", draws=20, seed=0) < 0.55


def test_no_held_out_label_is_fitted() -> None:
    """With every held-out image moved among the next class, a probe that has not seen it is wrong everywhere."""
    x, y = clusters((40, 40, 40))
    held = held_out(y, generator=generator())
    moved = x.clone()
    moved[held] = x[held].roll(1, dims=1)
    assert validation_accuracy(x, y, accuracy="knn", draws=2, seed=0) == 1.0
    assert validation_accuracy(moved, y, accuracy="knn", draws=2, seed=0) == 0.0


def test_it_is_the_probe_of_that_name_on_that_split() -> None:
    x, y = clusters((40, 40, 40), apart=1.0)
    held = held_out(y, generator=generator(5))
    data = (x[~held], y[~held], x[held], y[held])
    few = few_label(*data, labels_per_class=(5,), draws=7, seed=5)[5]
    assert validation_accuracy(x, y, accuracy="few5", draws=7, seed=5) == few.mean
    assert validation_accuracy(x, y, accuracy="lbfgs", draws=2, seed=5) == linear_lbfgs(*data).test


@pytest.mark.parametrize("name", ["online", "linear_last", "fewer", "knn5"])
def test_other_accuracies_are_refused(name: str) -> None:
    x, y = clusters((10, 10))
    with pytest.raises(UserError, match=f"{name}.*knn"):
        validation_accuracy(x, y, accuracy=name, draws=2, seed=0)


def test_a_class_of_one_image_is_refused() -> None:
    x, y = clusters((10, 1))
    with pytest.raises(UserError, match="class 1 has 1 labelled training image, expected 2 or more"):
        validation_accuracy(x, y, accuracy="knn", draws=2, seed=0)
