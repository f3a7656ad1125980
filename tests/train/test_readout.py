"""A read-out: training stopped on the way through a longer schedule is that longer training up to there."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_ssl.methods.momentum import MomentumTarget
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import loop
from spectral_ssl.train.group import Group, Row
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import train
from spectral_ssl.train.stacked import stackable

Settings = Callable[..., RunSettings]
LONG, SHORT, STEPS = 4, 2, 3  # epochs of the schedule, epochs trained, steps an epoch
CLOCK = ("views_per_second", "utilisation", "seconds")
METHODS: dict[str, dict[str, Any]] = {
    "vicreg": {},
    "byol": {
        "method": "byol",
        "loss": "negative_cosine",
        "hyperparameters": {},
        "options": {"momentum": 0.5, "predictor_width": 8},
    },
}


def without_clock(history: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in history]


def passing(
    run: RunSettings, images: Images, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Tensor], list[Row]]:
    """The weights and the history of a run as it passes the epoch SHORT on its way to the end."""
    groups: list[Group] = []

    class Watched(Group):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            groups.append(self)

    seen: list[tuple[dict[str, Tensor], list[Row]]] = []

    def look(_: RunSettings, epoch: int, row: Row) -> None:
        if epoch == SHORT:
            (member,) = groups[0].members
            seen.append((copy.deepcopy(member.method.state_dict()), [dict(row) for row in member.history]))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "Group", Watched)
        assert len(train(run, images, scratch, progress=look).history) == run.epochs
    return seen[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_read_out_has_the_bits_of_the_longer_training(
    name: str, tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = METHODS[name]
    weights, history = passing(settings(**changes, epochs=LONG), images, tmp_path / "long", monkeypatch)
    readout = train(settings(**changes, epochs=SHORT, schedule_epochs=LONG), images, tmp_path / "stopped")
    found = readout.method.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], value) for key, value in weights.items())
    assert without_clock(readout.history) == without_clock(history)
    own = train(settings(**changes, epochs=SHORT), images, tmp_path / "own")
    assert not all(torch.equal(own.method.state_dict()[key], value) for key, value in weights.items())
    # Warm-ups agree, momenta differ from the first step on.
    assert (own.history[0]["loss"] == readout.history[0]["loss"]) == (name == "vicreg")
    assert own.history[-1]["loss"] != readout.history[-1]["loss"]


def test_the_rate_and_the_momentum_follow_the_longer_schedule_by_their_formulas(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    real = MomentumTarget.momentum

    def momentum(self: MomentumTarget, progress: float) -> float:
        told.append(real(self, progress))
        return told[-1]

    monkeypatch.setattr(MomentumTarget, "momentum", momentum)
    run = settings(**METHODS["byol"], epochs=SHORT, schedule_epochs=LONG)
    history = train(run, images, tmp_path).history
    # The warm-up is one epoch of three steps; half a cosine over the other nine follows, of which three are made.
    assert [row["lr"] for row in history] == pytest.approx([0.01, 0.005 * (1 + math.cos(math.pi * 2 / 9))])
    done = [(step + 1) / (LONG * STEPS) for step in range(SHORT * STEPS)]
    assert told == pytest.approx([1 - 0.5 * (1 + math.cos(math.pi * part)) / 2 for part in done])


def test_runs_of_different_schedules_do_not_train_together(settings: Settings) -> None:
    own, read_out, other = (
        settings(**changes)
        for changes in ({}, {"schedule_epochs": LONG}, {"schedule_epochs": LONG, "seed": 1})
    )
    assert stackable([own, read_out, other], 3) == [[own], [read_out, other]]
