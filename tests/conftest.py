"""Settings that every test shares."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


@pytest.fixture(scope="session")
def tiny_run() -> Callable[..., RunSettings]:
    """VICReg on digits with a narrow encoder, on one thread; keywords change or add settings."""
    from spectral_ssl.papers.manifest import RunSettings

    values: dict[str, Any] = {
        "dataset": "digits",
        "augmentation": "digits_affine",
        "method": "joint_embedding",
        "loss": "vicreg",
        "hyperparameters": {},
        "encoder": "conv_narrow",
        "projector": "16-d",
        "embedding_dim": 8,
        "precision": "float32",
        "probes": ["knn"],
        "draws": 2,
        "threads": 1,
        "seed": 0,
    }
    return lambda **changes: RunSettings(**(values | changes))
