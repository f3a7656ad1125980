"""A data set on a device: the same arrays, channels first, and where they are held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.errors import UserError
from spectral_ssl.train import images as module
from spectral_ssl.train.images import Images, Mode, Resident
from spectral_ssl.train.stream import Stream

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("data") / "factors"
    ingest("factors", folder, image_size=16, train_limit=64, test_limit=32)
    return load(folder)


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_a_data_set_is_what_its_arrays_hold(colours: Dataset, mode: Mode) -> None:
    images = Images.of(colours, CPU, mode=mode)
    assert images.shape == (64, 3, 16, 16)
    assert (images.count("train"), images.count("test")) == (64, 32)
    assert (images.device, images.classes, images.factor_names) == (CPU, 4, colours.meta["factors"])
    for split, array in (("train", colours.train_images), ("test", colours.test_images)):
        index = torch.tensor([5, 0, 31, 5])
        found = images.get(split, index)
        assert found.dtype == torch.uint8
        assert np.array_equal(found.numpy(), array[index.numpy()].transpose(0, 3, 1, 2))
        assert np.array_equal(getattr(images, f"{split}_labels").numpy(), getattr(colours, f"{split}_labels"))
        factors = images.factors(split, index)
        assert factors is not None
        assert np.array_equal(factors.numpy(), getattr(colours, f"{split}_factors")[index.numpy()])


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_batches_come_in_the_order_of_the_index(colours: Dataset, mode: Mode) -> None:
    images = Images.of(colours, CPU, mode=mode)
    index = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:50]
    found = list(images.batches("train", index, 16))
    assert [len(batch) for batch in found] == [16, 16, 16, 2]
    by_hand = colours.train_images[index.numpy()].transpose(0, 3, 1, 2)
    assert np.array_equal(torch.cat(found).numpy(), by_hand)
    assert not np.array_equal(torch.cat(found).numpy(), by_hand[::-1])


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_an_image_that_is_not_there_is_refused(colours: Dataset, mode: Mode) -> None:
    images = Images.of(colours, CPU, mode=mode)
    with pytest.raises(IndexError, match="64"):
        images.get("train", torch.tensor([3, 64]))
    with pytest.raises(IndexError, match="32"):
        list(images.batches("test", torch.tensor([0, 32]), 1))


def test_copying_in_parts_copies_everything(colours: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COPIED", 7)
    found = Resident.copied(colours, CPU)
    assert np.array_equal(found.train.numpy(), colours.train_images.transpose(0, 3, 1, 2))
    assert np.array_equal(found.test.numpy(), colours.test_images.transpose(0, 3, 1, 2))


def test_unlabelled_images_and_a_data_set_without_factors(images: Resident) -> None:
    assert images.factors("train", torch.tensor([0])) is None
    assert images.labelled().tolist() == list(range(100))
    images = Resident(**{**vars(images), "train_labels": torch.tensor([2, -1, 0, -1])})
    assert images.labelled().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("mode", "beside", "kind"),
    [
        ("auto", 1, Resident),
        ("auto", 0, Stream),  # exactly half of what is free is too much
        ("resident", -10, Resident),  # the user's decision
        ("stream", 10**9, Stream),
    ],
)
def test_images_are_held_where_they_fit(
    colours: Dataset, monkeypatch: pytest.MonkeyPatch, mode: Mode, beside: int, kind: type[Images]
) -> None:
    size = 96 * 16 * 16 * 3
    monkeypatch.setattr(module, "free_memory", lambda device: 2 * size + beside)
    assert type(Images.of(colours, CPU, mode=mode)) is kind


def test_a_misspelt_mode_is_named(colours: Dataset) -> None:
    with pytest.raises(UserError) as caught:
        Images.of(colours, CPU, mode="streaming")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "unknown way to hold images 'streaming'; did you mean 'stream'? known: auto, resident, stream"
    )
