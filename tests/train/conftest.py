"""A small part of the digits and a tiny run that the tests of training share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.provenance import read_json, sha256_file
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import job
from spectral_ssl.train.images import Images
from spectral_ssl.train.job import Place


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
def settings(tiny_run: Callable[..., RunSettings]) -> Callable[..., RunSettings]:
    """Three steps an epoch for two epochs; keywords change settings."""
    values: dict[str, Any] = {
        "hyperparameters": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0},
        "batch_size": 32,
        "epochs": 2,
        "optimiser": Optimiser(name="adamw", learning_rate=0.01, weight_decay=1e-4, warmup_epochs=1),
    }
    return lambda **changes: tiny_run(**(values | changes))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "results", tmp_path / "scratch", "c0de", "da7a" * 16)


@pytest.fixture
def trained_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that training was started for, in order."""
    ids: list[str] = []
    train = job.train_together

    def counted(runs: Sequence[RunSettings], *args: Any, **options: Any) -> Any:
        ids.extend(run.id for run in runs)
        return train(runs, *args, **options)

    monkeypatch.setattr(job, "train_together", counted)
    return ids


@pytest.fixture(scope="session")
def contents() -> Callable[[Place, RunSettings], dict[str, Any]]:
    """What a run's published files say, clocks left out."""
    return read_run


def read_run(place: Place, run: RunSettings) -> dict[str, Any]:
    folder = place.results / run.id
    history = pd.read_csv(folder / "history.csv").drop(
        columns=["views_per_second", "utilisation", "seconds"], errors="ignore"
    )
    features = np.load(folder / "features.npz")
    return {
        "encoder": sha256_file(folder / "encoder.safetensors"),
        "history": history.to_dict("list"),
        "probe": read_json(folder / "probe.json"),
        "status": read_json(folder / "status.json"),
        "features": {name: features[name].tolist() for name in features.files},
    }


@pytest.fixture(scope="session")
def files() -> Callable[[Path], list[str]]:
    """The files below a folder, sorted."""
    return list_files


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def whole() -> Callable[[Sequence[RunSettings]], list[str]]:
    """The files that finished runs have."""
    return expected_files


def expected_files(runs: Sequence[RunSettings]) -> list[str]:
    return sorted(f"{run.id}/{name}" for run in runs for name in RUN_FILES)
