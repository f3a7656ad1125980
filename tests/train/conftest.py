"""A small part of the digits and a tiny run that the tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_ssl.config import Optimiser
from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.loop import Images


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """100 training images and 50 test images of the digits."""
    folder: Path = tmp_path_factory.mktemp("data") / "digits"
    ingest("digits", folder, train_limit=100, test_limit=50)
    return load(folder)


@pytest.fixture(scope="session")
def images(digits: Dataset) -> Images:
    """The same on the CPU."""
    return Images.of(digits, torch.device("cpu"))


@pytest.fixture(scope="session")
def settings() -> Callable[..., RunSettings]:
    """VICReg with a narrow encoder, three steps an epoch for two epochs; keywords change settings."""

    def make(**changes: Any) -> RunSettings:
        values: dict[str, Any] = {
            "dataset": "digits",
            "augmentation": "digits_affine",
            "method": "joint_embedding",
            "loss": "vicreg",
            "hyperparameters": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0},
            "encoder": "conv_narrow",
            "projector": "16-d",
            "embedding_dim": 8,
            "batch_size": 32,
            "epochs": 2,
            "precision": "float32",
            "optimiser": Optimiser(name="adamw", learning_rate=0.01, weight_decay=1e-4, warmup_epochs=1),
            "probes": ["knn"],
            "draws": 2,
            "threads": 1,
            "seed": 0,
        }
        return RunSettings(**(values | changes))

    return make
