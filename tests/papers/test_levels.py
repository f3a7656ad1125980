"""Levels that need resolving: no head at all, and the level halfway."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from spectral_ssl.config import load_tier
from spectral_ssl.methods import build_method
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.table import ENCODERS
from spectral_ssl.papers.manifest import build, resolve
from spectral_ssl.papers.measure import select

CONFIG = Path(__file__).parents[2] / "config"
TIERS = ("smoke", "laptop", "gpu", "cluster", "imagenet")
FRAME = pd.DataFrame({"experiment": "table1", "epochs": [7, 14, 28] * 2, "seed": [0] * 3 + [1] * 3})


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoders_width_is_what_it_puts_out(name: str) -> None:
    size = max(8, ENCODERS[name].smallest)
    encoder = get_encoder(name, size, 3, generator=torch.Generator())
    assert encoder.output_dim == ENCODERS[name].width


@pytest.mark.parametrize("name", TIERS)
def test_every_tier_trains_without_a_head_with_a_linear_and_with_an_mlp(name: str) -> None:
    manifest = build(load_tier(name, (), CONFIG))
    runs = [manifest.runs[cell.run] for cell in manifest.cells if cell.experiment == "head" and not cell.seed]
    none, linear, mlp = runs
    assert (none.projector, none.embedding_dim) == ("none", ENCODERS[none.encoder].width)
    assert linear.projector == "linear"
    if name != "smoke":
        assert mlp == resolve(manifest.tier, "spectral", {}, 0)  # the head of Table 2's run


def test_without_a_head_the_embedding_is_the_representation() -> None:
    run = resolve(load_tier("smoke", (), CONFIG), "spectral", {"projector": "none"}, 0)
    method = build_method(run, 8, 1, generator=torch.Generator())
    representations = torch.rand(3, 64)
    assert torch.equal(method.head(representations), representations)
    assert run.embedding_dim == 64 != resolve(load_tier("smoke", (), CONFIG), "spectral", {}, 0).embedding_dim


def test_the_level_halfway() -> None:
    for level, epochs in (("first", 7), ("middle", 14), ("last", 28)):
        found = select(FRAME, {"experiment": "table1", "epochs": level})
        assert found["epochs"].tolist() == [epochs] * 2
    for levels in ([7, 28], [28]):  # none of an even number, and no middle without ends
        assert select(FRAME[FRAME["epochs"].isin(levels)], {"epochs": "middle"}).empty
