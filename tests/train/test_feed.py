"""What training sees: the same again from any step, shared without overlap, new in every epoch."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.distributed import World
from spectral_ssl.train.feed import Batch, Feed
from spectral_ssl.train.images import Images

Settings = Callable[..., RunSettings]
RELATIONS = ("views", "labels+wrong:0.3")


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("view1", "view2", "labels"))


@pytest.mark.parametrize("relation", RELATIONS)
def test_an_epoch_goes_on_where_it_stopped(settings: Settings, images: Images, relation: str) -> None:
    run = settings(relation=relation)
    feed = Feed(run, images, World())
    first, second = list(feed.epoch()), list(feed.epoch())
    assert len(first) == len(second) == feed.steps == 3
    assert not any(equal(one, other) for one, other in itertools.product(first, second))
    for stop in range(1, 4):
        broken = Feed(run, images, World())
        list(broken.epoch())
        batches = broken.epoch()
        for _ in range(stop):
            next(batches)
        state = broken.state()
        resumed = Feed(run, images, World())
        resumed.restore(state)
        rest = list(resumed.epoch(stop)) if stop < 3 else []
        assert all(equal(one, other) for one, other in zip(rest, second[stop:], strict=True))
        assert equal(next(resumed.epoch()), next(feed_after(run, images, epochs=2)))


def feed_after(run: RunSettings, images: Images, *, epochs: int) -> itertools.chain[Batch]:
    feed = Feed(run, images, World())
    for _ in range(epochs):
        list(feed.epoch())
    return itertools.chain(feed.epoch())


@pytest.mark.parametrize("relation", RELATIONS)
def test_processes_see_the_rows_of_one_batch(settings: Settings, images: Images, relation: str) -> None:
    run = settings(relation=relation)
    whole = Feed(run, images, World()).epoch()
    parts = [Feed(run, images, World(rank, 4, rank, 4)).epoch() for rank in range(4)]
    for batch, shares in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(batch.labels, torch.cat([share.labels for share in shares]))
        for name in ("view1", "view2"):  # chunks of other sizes round otherwise
            torch.testing.assert_close(
                torch.cat([getattr(share, name) for share in shares]), getattr(batch, name)
            )


def test_a_batch_that_processes_cannot_share_is_refused(settings: Settings, images: Images) -> None:
    with pytest.raises(UserError, match=r"batch_size is 32, which 3 processes cannot share evenly"):
        Feed(settings(), images, World(0, 3, 0, 3))


def test_every_image_comes_once_an_epoch_and_its_label_with_it(settings: Settings, images: Images) -> None:
    run = settings(batch_size=50, augmentation="none")
    batches = list(Feed(run, images, World()).epoch())
    seen = torch.cat([batch.view1 for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    assert all(torch.equal(batch.view1, batch.view2) for batch in batches)
    pixels = images.get("train", torch.arange(100)).float() / 255
    for picture, label in zip(pixels, images.train_labels, strict=True):
        matches = (seen == picture).flatten(1).all(dim=1)
        assert matches.sum() == 1
        assert labels[matches].item() == label.item()


def test_seeds_and_not_losses_decide_what_is_seen(settings: Settings, images: Images) -> None:
    one = next(Feed(settings(), images, World()).epoch())
    assert equal(one, next(Feed(settings(loss="simclr", hyperparameters={}), images, World()).epoch()))
    assert not equal(one, next(Feed(settings(seed=1), images, World()).epoch()))
