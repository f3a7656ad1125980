"""Training on pairs of a relation: which images meet, what they are drawn from, what the online probe learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.engine import Engine
from spectral_ssl.errors import UserError
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Step
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.distributed import World
from spectral_ssl.train.feed import Feed, generator_for
from spectral_ssl.train.group import Group, Member
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.job import check_run
from spectral_ssl.train.loop import train

Settings = Callable[..., RunSettings]
OVER_FACTORS = {"dataset": "factors", "augmentation": "factors", "relation": "factor:colour"}


def numbered(labels: list[int]) -> Resident:
    """Images 8 x 8 of a class each, image k all of grey level k."""
    n = len(labels)
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 8, 8).contiguous()
    none = torch.zeros(n, 0, dtype=torch.long)
    known = torch.tensor(labels)
    return Resident(
        train=pixels,
        train_labels=known,
        train_factors=none,
        test=pixels[:4],
        test_labels=known[:4].clamp_min(0),
        test_factors=none[:4],
        classes=3,
        factor_names=[],
    )


def seen(view: Tensor, feed: Feed) -> Tensor:
    """The numbers of the images in an unaugmented view."""
    return (255 * feed.augmentations[0].pixels(view)[:, 0, 0, 0]).round().long()


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> Resident:
    folder: Path = tmp_path_factory.mktemp("data") / "factors"
    ingest("factors", folder, image_size=16, train_limit=64, test_limit=32)
    return Images.of(load(folder), torch.device("cpu"), mode="resident")  # type: ignore[return-value]


def test_the_second_view_is_of_another_image_of_the_class(settings: Settings) -> None:
    images = numbered([0, 1, 2, 1, 0, 2, 2, 1] * 4)
    feed = Feed(settings(relation="labels", augmentation="none", batch_size=8), images, World())
    pairs = [(seen(batch.view1, feed), seen(batch.view2, feed), batch.labels) for batch in feed.epoch()]
    first, second, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert sorted(first.tolist()) == list(range(32))
    assert torch.equal(images.train_labels[first], labels)
    assert torch.equal(images.train_labels[second], labels)
    assert not (first == second).any()


def test_views_pair_an_image_with_itself_and_draw_nothing_more(settings: Settings, images: Resident) -> None:
    run = settings()
    assert run.relation == "views"
    feed = Feed(run, images, World())
    order, views = (generator_for(run.seed, purpose) for purpose in ("order", "views"))
    augmentation = get_augmentation(run.augmentation, 8, 1)
    index = torch.randperm(100, generator=order)[:96].split(32)
    for of, batch in zip(index, feed.epoch(), strict=True):
        for view in (batch.view1, batch.view2):
            assert torch.equal(view, augmentation(images.train[of], generator=views))
        assert torch.equal(batch.labels, images.train_labels[of])
    assert torch.equal(feed.state()["order"], order.get_state())
    assert torch.equal(feed.state()["views"], views.get_state())


def test_a_relation_trains_otherwise_and_the_same_each_time(
    tmp_path: Path, settings: Settings, images: Resident
) -> None:
    def losses(relation: str) -> list[float]:
        trained = train(settings(relation=relation), images, tmp_path / "scratch")
        assert trained.diverged is None
        return [row["loss"] for row in trained.history]

    assert losses("labels") == losses("labels")
    assert len({tuple(losses(relation)) for relation in ("views", "labels", "neighbours:3")}) == 3


@pytest.mark.parametrize("relation", ["views", "labels"])
def test_the_probe_learns_from_labels_alone_and_under_a_relation_from_first_views(
    settings: Settings, relation: str
) -> None:
    run, images = settings(relation=relation, batch_size=8), numbered([0, 1, 2, 1, 0, 2, -1, -1] * 5)
    group = Group([run], images, Engine(), World())
    member = group.members[0]
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, 8, 64, generator=generator)
    with torch.no_grad():
        member.probe.weight.normal_(generator=generator)
    weight = member.probe.weight.detach().clone()
    labels = images.train_labels[torch.randperm(40, generator=generator_for(run.seed, "order"))[:8]]
    known = labels >= 0
    assert 0 < known.sum() < 8
    features = first[known] if relation == "labels" else torch.cat([first[known], second[known]])
    targets = labels[known] if relation == "labels" else labels[known].repeat(2)
    free = weight.clone().requires_grad_()
    functional.cross_entropy(features @ free.T, targets).backward()
    nothing = Terms({"nothing": sum(0 * weights.sum() for weights in member.method.parameters())})
    group.forward = lambda views: [Step(nothing, (first, second), (first, second))]
    next(group.steps())
    assert free.grad is not None
    torch.testing.assert_close(member.probe.weight.grad, free.grad)
    assert not torch.equal(member.probe.weight, weight)


def test_a_batch_without_labels_moves_nothing_and_later_has_no_gradient(settings: Settings) -> None:
    member = Member.start(settings(), numbered([0, 1, -1, -1] * 10))
    views = list(torch.randn(2, 6, 64, generator=torch.Generator().manual_seed(2)))
    unlabelled = torch.full((6,), -1)
    member.learn_labels(views, unlabelled)
    assert member.probe.weight.abs().max() == 0
    assert member.probe.bias.abs().max() == 0
    member.learn_labels(views, torch.tensor([0, 1, 0, 1, 0, 1]))
    assert member.probe.weight.abs().max() > 0
    member.learn_labels(views, unlabelled)  # Adam's momentum still moves it
    assert member.probe.weight.grad is not None
    assert member.probe.weight.grad.abs().max() == 0
    assert torch.isfinite(member.probe.weight).all()


def test_a_data_set_partly_without_labels_trains(tmp_path: Path, settings: Settings) -> None:
    images = numbered([0, 1, 2, -1] * 16)
    for relation in ("views", "labels"):
        trained = train(settings(relation=relation, epochs=1), images, tmp_path / relation)
        assert trained.diverged is None
        assert 0 <= trained.history[0]["online_accuracy"] <= 1


def test_each_view_is_drawn_from_its_own_images_factors(settings: Settings, factors: Resident) -> None:
    feed = Feed(settings(**OVER_FACTORS), factors, World())
    given: list[tuple[Tensor, Tensor]] = []

    class Watched:
        def sample(self, n: int, **_: Any) -> dict[str, Tensor]:
            return {}

        def apply(self, images: Tensor, parameters: dict[str, Tensor], *, factors: Tensor) -> Tensor:
            given.append((images, factors))
            return images

    feed.augmentations = (Watched(), Watched())  # type: ignore[assignment]
    next(feed.epoch())
    colour = factors.factor_names.index("colour")
    (first, first_factors), (second, second_factors) = given
    assert torch.equal(second_factors[:, colour], first_factors[:, colour])
    assert not torch.equal(second_factors, first_factors)
    for image, code in [*zip(first, first_factors, strict=True), *zip(second, second_factors, strict=True)]:
        found = (factors.train == image).flatten(1).all(dim=1)
        assert torch.equal(factors.train_factors[found][0], code)


def test_a_run_on_drawn_images_trains(tmp_path: Path, settings: Settings, factors: Resident) -> None:
    run = settings(**OVER_FACTORS, epochs=1)
    check_run(run, factors)
    trained = train(run, factors, tmp_path)
    assert trained.diverged is None
    assert len(trained.history) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"relation": "factor:shade"},
            "unknown factor 'shade'; did you mean 'shape'? known: colour, position",
        ),
        ({"relation": "neighbours:64"}, "k = 64 neighbours among 64 samples: choose k from 1 to 63"),
        ({"augmentation": "digits_affine", "relation": "lables"}, "relation 'lables' is not understood"),
    ],
)
def test_a_relation_that_cannot_be_is_refused_before_training(
    settings: Settings, factors: Resident, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_run(settings(**(OVER_FACTORS | changes)), factors)
    assert str(caught.value).startswith(said)


def test_drawing_anew_what_has_no_factors_is_refused_before_training(
    settings: Settings, factors: Resident
) -> None:
    without = replace(factors, factor_names=[])
    with pytest.raises(
        UserError, match="'factors' draws images anew from their factors, and this data set has"
    ):
        check_run(settings(**(OVER_FACTORS | {"relation": "labels"})), without)
