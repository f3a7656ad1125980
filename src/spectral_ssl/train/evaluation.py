"""What is measured of a trained run: probes, ranks, and how its embeddings compare views."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.data.views import get_augmentation
from spectral_ssl.evaluate import evaluate_features
from spectral_ssl.evaluate.agreement import agreement, separation
from spectral_ssl.evaluate.duality import duality_statistics
from spectral_ssl.evaluate.network import Network, embed, represent
from spectral_ssl.evaluate.probe import linear_sgd
from spectral_ssl.evaluate.rank import embedding_statistics, numerical_rank, singular_values
from spectral_ssl.evaluate.validation import validation_accuracy
from spectral_ssl.methods import build_method
from spectral_ssl.models.heads import parameter_count
from spectral_ssl.train.feed import generator_for

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation
    from spectral_ssl.methods.base import Method
    from spectral_ssl.papers.manifest import RunSettings
    from spectral_ssl.train.images import Images
    from spectral_ssl.train.loop import Trained

PROBE_SEED = 0  # the same label draws and crops for every run: differences between methods are paired
KEPT_FEATURES = 2000  # test images whose features are kept for figures
PAIRS = 500  # test images whose views' agreement is kept


@dataclass(frozen=True)
class Measures:
    """What to measure: probes, draws of labels, whether the probe `linear` sees new crops, the augmentation, and the
    accuracy that hyperparameters are chosen by, if any.
    """

    probes: Sequence[str]
    draws: int
    augmented: bool
    augmentation: str
    validation: str | None = None


def evaluate_run(
    run: RunSettings, trained: Trained, images: Images
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The numbers of probe.json and the arrays of features.npz."""
    measures = Measures(run.probes, run.draws, run.augmented_probe, run.augmentation, run.validation)
    probe, features = evaluate_network(trained.method, trained.plain, images, measures)
    before = _agreement(_untrained(run, images), trained.plain, run.augmentation, images)
    features["agreement"] = np.stack([torch.stack(before).numpy(), features["agreement"]])
    return {
        "online": trained.history[-1]["online_accuracy"],
        **probe,
        "separation_before": separation(*before),
        "head_parameters": parameter_count(trained.method.head),
    }, features


def evaluate_network(
    network: Network, plain: Augmentation, images: Images, measures: Measures
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Probes and diagnostics of any network that embeds images; `agreement` is (2, pairs): positive, random."""
    labelled = images.labelled()
    train_x = represent(network, images, "train", plain, index=labelled, to="cpu")
    test_x = represent(network, images, "test", plain, to="cpu")
    shown = images.spread(KEPT_FEATURES)
    test_z = embed(network, images, "test", plain, index=shown, to="cpu")
    train_y, test_y = images.train_labels[labelled].cpu(), images.test_labels.cpu()
    augmented = "linear" in measures.probes and measures.augmented
    fixed = [name for name in measures.probes if not (name == "linear" and augmented)]
    measured = _augmented_linear(network, plain, images) if augmented else {}
    if fixed:
        data = (train_x, train_y, test_x, test_y)
        measured |= evaluate_features(*data, probes=fixed, draws=measures.draws, seed=PROBE_SEED)
    if measures.validation:
        measured["validation"] = validation_accuracy(
            train_x, train_y, accuracy=measures.validation, draws=measures.draws, seed=PROBE_SEED
        )
    after = _agreement(network, plain, measures.augmentation, images)
    kept = test_x[shown.cpu()]
    probe: dict[str, Any] = {
        **measured,
        "numerical_rank_embedding": numerical_rank(singular_values(test_z, centred=True)),
        **_statistics("embedding", test_z),
        **_statistics("representation", kept),
        "separation_after": separation(*after),
    }
    return probe, {
        "representations": kept.numpy(),
        "embeddings": test_z.numpy(),
        "labels": test_y[shown.cpu()].numpy(),
        "agreement": torch.stack(after).numpy(),
    }


def _statistics(name: str, z: Tensor) -> dict[str, float]:
    found = embedding_statistics(z) | duality_statistics(z)
    return {f"{name}_{key}": value for key, value in found.items()}


def _augmented_linear(network: Network, plain: Augmentation, images: Images) -> dict[str, float]:
    """HaoChen et al. 2021's linear evaluation: training images are cropped and flipped anew in each epoch, test
    images resized and cropped centrally; both normalised as in pretraining.
    """
    _, channels, size, _ = images.shape
    crop, centre = (
        replace(get_augmentation(name, size, channels), mean=plain.mean, std=plain.std)
        for name in ("crop_flip", "centre_crop")
    )
    labelled = images.labelled()
    generator = generator_for(PROBE_SEED, "linear probe", images.device)
    sgd = linear_sgd(
        represent(network, images, "train", centre, index=labelled),
        images.train_labels[labelled],
        represent(network, images, "test", centre),
        images.test_labels,
        seed=PROBE_SEED,
        resampled=lambda: represent(network, images, "train", crop, index=labelled, generator=generator),
    )
    return {"linear_last": sgd.last, "linear_best": sgd.best, "linear_train": sgd.train}


def _untrained(run: RunSettings, images: Images) -> Method:
    """The run's networks as they started."""
    _, channels, size, _ = images.shape
    weights = generator_for(run.seed, "weights")
    return build_method(run, size, channels, generator=weights).to(images.device)


@torch.no_grad()
def _agreement(
    network: Network, plain: Augmentation, augmentation: str, images: Images
) -> tuple[Tensor, Tensor]:
    """Cosines of test images' views with the same image's other view, and with another image's; on the CPU.

    In training mode, with the batch's own statistics, since an untrained network has no others; of a copy, since that
    moves its running ones. Every run sees the same pairs and crops. The images are shuffled: neighbours in a data set
    are often of one class.
    """
    _, channels, size, _ = images.shape
    generator = generator_for(PROBE_SEED, "agreement", images.device)
    index = images.spread(PAIRS)
    index = index[torch.randperm(len(index), generator=generator, device=index.device)]
    network = deepcopy(network)
    network.train()
    augmentations = (
        replace(get_augmentation(augmentation, size, channels, view=view), mean=plain.mean, std=plain.std)
        for view in (0, 1)
    )
    pixels, factors = images.get("test", index), images.factors("test", index)
    views = (view(pixels, generator=generator, factors=factors) for view in augmentations)
    z1, z2 = (network.embed(view).cpu() for view in views)
    return agreement(z1, z2)
