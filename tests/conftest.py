"""Settings that every test shares."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--trials",
        type=int,
        default=12,
        metavar="N",
        help="random faults in tests/faults, of 100; below 100 those of stages that are quick to prepare",
    )
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; run with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --slow"))


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """Matplotlib keeps figures until they are closed, and warns at the twentieth, in whichever test that is."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


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
