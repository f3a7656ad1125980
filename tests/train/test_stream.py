"""Images read as they are needed: the bits that lie resident, no thread left behind, and what a bad file says."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.network import embed, represent
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.distributed import World
from spectral_ssl.train.evaluation import evaluate_run
from spectral_ssl.train.feed import Feed
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.loop import train
from spectral_ssl.train.stream import Rows, Stream

Settings = Callable[..., RunSettings]
CPU = torch.device("cpu")
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 colour images of 16 x 16 pixels, 64 of them for training."""
    path: Path = tmp_path_factory.mktemp("data") / "factors"
    ingest("factors", path, image_size=16, train_limit=64, test_limit=32)
    return path


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def shuffled(n: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("images")]


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("index", [shuffled(64), torch.arange(64), torch.tensor([7, 7, 6, 5, 7, 8, 9, 0])])
def test_batches_equal_resident_ones(folder: Path, index: torch.Tensor, workers: int, device: str) -> None:
    where = torch.device(device)
    streamed, resident = (
        Stream.reading(load(folder), where, workers=workers),
        Resident.copied(load(folder), where),
    )
    index = index.to(where)
    for size in (1, 5, 100):
        pairs = zip(
            streamed.batches("train", index, size), resident.batches("train", index, size), strict=True
        )
        assert all(torch.equal(ours, theirs) and ours.is_contiguous() for ours, theirs in pairs)
    assert torch.equal(streamed.get("train", index), resident.get("train", index))
    assert not readers()


def test_a_grey_data_set_streams(digits: Dataset, images: Resident) -> None:
    streamed = Images.of(digits, CPU, mode="stream")
    assert streamed.shape == images.shape
    assert torch.equal(torch.cat(list(streamed.batches("test", torch.arange(50), 8))), images.test)


@pytest.mark.parametrize("relation", ["views", "labels", "neighbours:3"])
def test_a_run_and_its_measures_are_the_same(
    tmp_path: Path, settings: Settings, digits: Dataset, images: Resident, relation: str
) -> None:
    run = settings(relation=relation, probes=["lbfgs", "knn", "few1"])
    found = []
    for name, data in (("resident", images), ("stream", Images.of(digits, CPU, mode="stream"))):
        trained = train(run, data, tmp_path / name)
        found.append((trained, *evaluate_run(run, trained, data)))
    (ours, probe, features), (theirs, other_probe, other_features) = found
    assert probe == other_probe
    assert all(np.array_equal(features[name], other_features[name]) for name in features)
    weights = theirs.method.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in ours.method.state_dict().items())
    assert [row["loss"] for row in ours.history] == [row["loss"] for row in theirs.history]


def test_features_are_the_same_in_any_blocks(
    tmp_path: Path, settings: Settings, digits: Dataset, images: Resident
) -> None:
    trained = train(settings(epochs=1), images, tmp_path)
    streamed = Images.of(digits, CPU, mode="stream")
    crops = get_augmentation("digits_affine", 8, 1)
    for function in (represent, embed):
        ours, theirs = (function(trained.method, data, "test", trained.plain) for data in (streamed, images))
        assert torch.equal(ours, theirs)
        some = function(trained.method, streamed, "test", trained.plain, index=shuffled(50)[:20], block=7)
        torch.testing.assert_close(some, theirs[shuffled(50)[:20]])
    ours, theirs = (
        represent(trained.method, data, "test", crops, generator=torch.Generator().manual_seed(1))
        for data in (streamed, images)
    )
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, represent(trained.method, images, "test", trained.plain))


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_early_leaves_no_thread_and_reads_little(
    folder: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    images, read = Stream.reading(load(folder), CPU, workers=2), Rows.read
    batches: list[int] = []

    def counted(self: Rows, rows: Any, out: Any) -> None:
        batches.append(len(rows))
        read(self, rows, out)

    monkeypatch.setattr(Rows, "read", counted)
    generator = images.batches("train", torch.arange(64), 2)
    for _ in range(taken):
        next(generator)
    assert bool(readers()) == bool(taken)
    generator.close()
    assert not readers()
    assert len(batches) <= taken + 3 * bool(taken)  # what was taken, two that the threads make, and one more


def test_a_feed_that_stops_within_an_epoch_leaves_no_thread(
    settings: Settings, digits: Dataset, images: Resident
) -> None:
    run = settings(relation="labels", batch_size=8)
    streamed, resident = (
        Feed(run, data, World()) for data in (Images.of(digits, CPU, mode="stream"), images)
    )
    epoch = streamed.epoch()
    for ours, theirs in zip(islice(epoch, 5), resident.epoch(), strict=False):
        assert torch.equal(ours.view1, theirs.view1)
        assert torch.equal(ours.view2, theirs.view2)
    assert len(readers()) > 2  # two calls of `batches`, for the pairs' two images
    epoch.close()
    assert not readers()


def test_a_file_cut_short_is_named_after_what_it_still_gave(copied: Path) -> None:
    images = Stream.reading(load(copied), CPU)
    path = copied / "train_images.npy"
    whole = images.get("train", torch.arange(64))
    os.truncate(path, path.stat().st_size - 10 * 768 - 1)  # within image 53
    batches = images.batches("train", torch.arange(64), 8)
    for start in range(0, 48, 8):
        assert torch.equal(next(batches), whole[start : start + 8])
    with pytest.raises(UserError, match="and more images were expected") as caught:
        next(batches)
    assert str(caught.value).startswith(f"{path} ended at byte ")
    assert str(caught.value).endswith("it was cut short while it was read; ingest the data set again")
    assert "\n" not in str(caught.value)
    assert not readers()
    with pytest.raises(UserError, match="cut short"):
        images.get("train", torch.tensor([53]))
    assert torch.equal(images.get("train", torch.tensor([52])), whole[52:53])


def test_a_failing_disk_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    images = Stream.reading(load(folder), CPU)
    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(UserError) as caught:
        list(images.batches("test", torch.arange(32), 4))
    path = folder / "test_images.npy"
    assert str(caught.value) == f"cannot read {path}: Input/output error; check its disk, then run again"
    assert not readers()


def test_reads_that_give_only_a_part_are_continued(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, whole = Stream.reading(load(folder), CPU), os.preadv
    expected = images.get("train", shuffled(64))
    monkeypatch.setattr(os, "preadv", lambda file, views, at: whole(file, [views[0][:100]], at))
    assert torch.equal(images.get("train", shuffled(64)), expected)


def test_a_batch_is_read_in_the_files_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, whole = Stream.reading(load(folder), CPU), os.preadv
    reads: list[tuple[int, int]] = []

    def watched(file: int, views: Sequence[memoryview], at: int) -> int:
        reads.append((at, len(views[0])))
        return whole(file, views, at)

    monkeypatch.setattr(os, "preadv", watched)
    images.get("train", shuffled(64))
    assert reads == sorted(reads)
    assert sum(size for _, size in reads) == 64 * 768
    reads.clear()
    images.get("train", torch.tensor([10, 11, 12, 30, 3]))
    start = images.train.start
    assert reads == [(start + 768 * row, 768 * n) for row, n in ((3, 1), (10, 3), (30, 1))]


def test_a_replaced_data_set_is_read_to_its_end_and_its_file_closed(copied: Path) -> None:
    images = Stream.reading(load(copied), CPU)
    whole = images.get("train", torch.arange(64))
    shutil.rmtree(copied)
    assert torch.equal(images.get("train", torch.arange(64)), whole)
    file = images.train.file
    os.fstat(file)
    del images
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_what_cannot_stream_is_refused(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        Rows(np.zeros((4, 2, 2, 1), np.uint8))
    assert str(caught.value) == (
        "images in memory cannot be streamed; expected a data set mapped from its files"
    )
    whole = load(folder).train_images
    for part in (whole[5:], whole[:, ::2], whole[:8], whole.transpose(0, 2, 1, 3)):
        with pytest.raises(UserError) as caught:
            Rows(part)
        assert str(caught.value) == (
            f"a part of {folder / 'train_images.npy'} cannot be streamed; expected all of its images, in order"
        )
    with pytest.raises(UserError, match="0 workers to read images; expected 1 or more"):
        Images.of(load(folder), CPU, mode="stream", workers=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_a_busy_device_gets_whole_batches(folder: Path) -> None:
    """Every batch is used late, after others have been copied and freed: none may be overwritten meanwhile."""
    images = Stream.reading(load(folder), torch.device("cuda"))
    index = shuffled(64).repeat(50)
    expected = Resident.copied(load(folder), torch.device("cuda")).get("train", index).flatten(1).sum(1)
    sums = []
    for batch in images.batches("train", index, 16):
        torch.cuda._sleep(2_000_000)
        sums.append(batch.flatten(1).sum(1))
        del batch
    assert torch.equal(torch.cat(sums), expected)
