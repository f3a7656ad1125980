"""Every method that tables and figures may name trains, at the smallest size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers import read
from spectral_ssl.papers.manifest import resolve
from spectral_ssl.train.images import Images
from spectral_ssl.train.job import check_run
from spectral_ssl.train.loop import train

CONFIG = Path(__file__).parents[2] / "config"
OVERRIDES = ["training.epochs=1", "training.batch_size=32", "training.optimiser.warmup_epochs=0"]


@pytest.mark.parametrize("method", list(read("methods.yaml")))
def test_a_preset_trains(method: str, images: Images, tmp_path: Path) -> None:
    settings: dict[str, Any] = {}
    run = resolve(load_tier("smoke", OVERRIDES, CONFIG), method, settings, 0)
    check_run(run, images)
    before = torch.get_rng_state()
    trained = train(run, images, tmp_path)
    assert trained.diverged is None
    assert math.isfinite(trained.history[0]["loss"])
    assert trained.history[0]["lr"] > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_preset_without_its_queue_room_is_refused(images: Images) -> None:
    tier = load_tier("smoke", [*OVERRIDES, "recipes.moco_v2.options={queue: 16}"], CONFIG)
    with pytest.raises(UserError, match=r"queue.*16.*32"):
        check_run(resolve(tier, "moco_v2", {}, 0), images)
