"""What a run is measured on: labelled images, test images of every class, pairs that are truly random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spectral_ssl.data.views import get_augmentation
from spectral_ssl.evaluate.agreement import separation
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import evaluation
from spectral_ssl.train.evaluation import Measures, evaluate_network, evaluate_run
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.loop import train

Settings = Callable[..., RunSettings]
PLAIN = get_augmentation("none", 8, 1)


@dataclass
class Lookup:
    """A network that knows the class of an image: its grey level. Keeps the modes that it is set to."""

    modes: list[bool] = field(default_factory=list)

    def represent(self, images: Tensor) -> Tensor:
        return self.embed(images)

    def embed(self, images: Tensor) -> Tensor:
        level = (255 * PLAIN.pixels(images)[:, 0, 0, 0]).round().long()
        return torch.nn.functional.one_hot(level, 4).float()

    def train(self, mode: bool = True) -> None:
        self.modes.append(mode)

    def eval(self) -> None:
        self.train(False)


def sorted_classes(each: int) -> Resident:
    """Four classes in order, `each` images of both splits; an image shows its class as its grey level."""
    labels = torch.arange(4).repeat_interleave(each)
    pixels = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    none = torch.zeros(4 * each, 0, dtype=torch.long)
    return Resident(
        train=pixels,
        train_labels=labels,
        train_factors=none,
        test=pixels,
        test_labels=labels,
        test_factors=none,
        classes=4,
        factor_names=[],
    )


def test_spread_covers_the_test_images_evenly() -> None:
    images = sorted_classes(25)
    assert images.spread(4).tolist() == [0, 25, 50, 75]
    assert images.spread(100).tolist() == images.spread(1000).tolist() == list(range(100))
    found = images.spread(30)
    assert len(found.unique()) == 30
    assert set(found.diff().tolist()) == {3, 4}


def test_a_data_set_in_the_order_of_its_classes_is_measured_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "KEPT_FEATURES", 40)
    images, network = sorted_classes(50), Lookup()
    probe, features = evaluate_network(network, PLAIN, images, Measures(["knn"], 2, False, "none"))
    assert torch.bincount(torch.from_numpy(features["labels"])).tolist() == [10] * 4
    assert features["embeddings"].argmax(axis=1).tolist() == features["labels"].tolist()
    assert features["representations"].argmax(axis=1).tolist() == features["labels"].tolist()
    assert (
        probe["numerical_rank_embedding"] == 3
    )  # four centred classes; the first forty images are one class
    positive, random = torch.from_numpy(features["agreement"])
    assert positive.tolist() == [1.0] * 200
    # Random pairs are of one class, with cosine 1, a quarter of the time; in the data's order nearly always.
    assert random.mean().item() == pytest.approx(0.25, abs=0.1)
    assert probe["separation_after"] == separation(positive, random)
    assert probe["separation_after"] == pytest.approx(1 - random.mean().item() / 2)
    assert probe["knn"] == 1.0
    assert network.modes  # set to measure
    assert not any(network.modes)  # training mode, which moves batch norm's statistics, is for a copy


@pytest.mark.parametrize("augmented", [False, True])
def test_probes_leave_unlabelled_images_out(
    tmp_path: Path, settings: Settings, images: Resident, augmented: bool
) -> None:
    trained = train(settings(epochs=1), images, tmp_path)
    hidden = torch.arange(100) % 3 == 0
    partly = replace(images, train_labels=images.train_labels.masked_fill(hidden, -1))
    fewer = replace(
        images,
        train=images.train[~hidden],
        train_labels=images.train_labels[~hidden],
        train_factors=images.train_factors[~hidden],
    )
    measures = Measures(["linear", "knn", "few1"], 2, augmented, "digits_affine")
    assert partly.labelled().tolist() == (~hidden).nonzero().squeeze(1).tolist()
    with_unlabelled, without, whole = (
        evaluate_network(trained.method, trained.plain, data, measures)[0] for data in (partly, fewer, images)
    )
    assert with_unlabelled == without
    assert with_unlabelled != whole


def test_separation_before_is_of_the_networks_as_they_started(
    tmp_path: Path, settings: Settings, images: Images
) -> None:
    still = settings(epochs=1).optimiser.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    run = settings(epochs=1, optimiser=still)
    probe, features = evaluate_run(run, train(run, images, tmp_path / "still"), images)
    before, after = torch.from_numpy(features["agreement"])
    torch.testing.assert_close(before, after)  # same weights, crops and pairs
    assert probe["separation_before"] == pytest.approx(probe["separation_after"], abs=1e-6)
    moved = settings(epochs=2)
    found, other = evaluate_run(moved, train(moved, images, tmp_path / "moved"), images)
    assert torch.from_numpy(other["agreement"][0]).equal(before)  # the seed's, however long it trains
    assert found["separation_after"] != found["separation_before"]
    # 16-d on 64 features: a layer and its batch norm, then 8 outputs without bias.
    assert found["head_parameters"] == 64 * 16 + 16 + 2 * 16 + 16 * 8


def test_views_are_normalised_as_the_network_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []

    class Watched(Lookup):
        def embed(self, images: Tensor) -> Tensor:
            shown.append(images)
            return super().embed(images)

    own = get_augmentation("none", 8, 1, normalisation="cifar10")
    monkeypatch.setattr(
        Lookup, "embed", lambda self, images: torch.ones(len(images), 2) + images[:, 0, 0, :2]
    )
    evaluate_network(Watched(), own, sorted_classes(5), Measures(["knn"], 2, False, "none"))
    black = -own.mean[0] / own.std[0]
    assert all(view.min().item() == pytest.approx(black) for view in shown)


def test_hyperparameters_are_chosen_on_training_images(
    tmp_path: Path, settings: Settings, images: Resident
) -> None:
    trained = train(settings(epochs=1), images, tmp_path)
    plain = Measures(["knn"], 2, False, "digits_affine")
    blank = replace(images, test=torch.zeros_like(images.test))
    found, without, unseen = (
        evaluate_network(trained.method, trained.plain, data, measures)[0]
        for data, measures in [
            (images, replace(plain, validation="knn")),
            (images, plain),
            (blank, replace(plain, validation="knn")),
        ]
    )
    assert 0 < found["validation"] == unseen["validation"] < 1  # test images play no part
    assert unseen["knn"] != found["knn"]
    assert {name: value for name, value in found.items() if name != "validation"} == without
