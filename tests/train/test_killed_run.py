"""A run that is killed, or asked to stop, at any moment ends as if it had been left alone, bit by bit."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.data.sources import ingest
from spectral_ssl.papers.manifest import RunSettings

HERE = Path(__file__).parent
CLOCK = ("seconds", "views_per_second", "utilisation")
ASKED = (signal.SIGUSR1, signal.SIGTERM)
EPOCHS, STEPS = 12, 9  # of 300 images in batches of 32
QUEUE: dict[str, Any] = {"method": "moco_v2", "loss": "info_nce", "options": {"queue": 96.0}}
PREDICTOR: dict[str, Any] = {
    "method": "byol",
    "loss": "negative_cosine",
    "options": {"predictor_width": 16.0},
}

Lives = list[dict[str, Any]]


def kills() -> list[dict[str, Any]]:
    """Five moments by the clock, in the first 6 of 10 parts of the run, and between them five within a write."""
    draw = random.Random(0)
    stops: list[dict[str, Any]] = []
    for step in sorted(draw.sample(range(1, 6 * EPOCHS * STEPS // 10), 5)):
        stops.append({"signal": signal.SIGKILL, "step": step, "wait": draw.uniform(0, 0.03)})
        stops.append({"write": draw.randrange(1, 20)})  # five a checkpoint: most of them leave half a one
    return stops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, settings: Callable[..., RunSettings]) -> Path:
    """What runs left to themselves, a run that was killed and a run that was asked to stop have written."""
    folder = tmp_path_factory.mktemp("lives")
    ingest("digits", folder / "digits", train_limit=300, test_limit=50)
    # Within the second epoch of a life, which the signal alone makes save.
    asked = [{"signal": number, "step": 0, "wait": 0.02} for number in ASKED]
    plans = {
        "undisturbed": (QUEUE, [], 1e9),
        "killed": (QUEUE, kills(), 0.0),
        "unasked": (PREDICTOR, [], 1e9),
        "asked": (PREDICTOR, asked, 1e9),
    }
    written = {
        name: {
            "run": settings(hyperparameters={}, epochs=EPOCHS, **changes).model_dump(mode="json"),
            "stops": stops,
            "seconds": seconds,
        }
        for name, (changes, stops, seconds) in plans.items()
    }
    (folder / "plans.json").write_text(json.dumps(written))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, HERE / "killed_run.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert all("going on from a checkpoint" in line for line in told), done.stderr  # none was found damaged
    assert len(told) > 5
    return folder


def lives(folder: Path) -> Lives:
    ended: Lives = json.loads((folder / "lives.json").read_text())
    return ended


def assert_same(one: Path, other: Path) -> None:
    histories = [json.loads((folder / "history.json").read_text()) for folder in (one, other)]
    for history in histories:
        assert [row["epoch"] for row in history] == list(range(1, EPOCHS + 1))
        for row, name in itertools.product(history, CLOCK):
            del row[name]
    assert histories[0] == histories[1]
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (one, other)]
    assert weights[0] == weights[1]


def test_killed_ten_times_ends_bit_by_bit_as_undisturbed(folder: Path) -> None:
    (alone,) = lives(folder / "undisturbed")
    assert (alone["status"], alone["left"]) == (0, [])  # nothing was saved
    ended = lives(folder / "killed")
    assert [life["status"] for life in ended] == [-signal.SIGKILL] * 10 + [0]
    kept = [life["step"] for life in ended]
    assert kept == sorted(kept)  # nothing is lost
    assert 0 < kept[0] < kept[-2] < EPOCHS * STEPS
    halves = [name for life in ended for name in life["left"] if name.startswith(".")]
    assert len(halves) >= 2  # killed while saving
    assert_same(folder / "killed", folder / "undisturbed")


def test_asked_to_stop_it_saves_and_goes_on_later(folder: Path) -> None:
    ended = lives(folder / "asked")
    assert [life["status"] for life in ended] == [138, 143, 0]  # as a shell names SIGUSR1 and SIGTERM
    assert [len(life["left"]) for life in ended] == [1, 2, 2]
    assert STEPS <= ended[0]["step"] < ended[1]["step"] < EPOCHS * STEPS
    assert all(life["seconds"] < 10 for life in ended[:2])
    said = (folder / "asked" / "said.txt").read_text().splitlines()
    for line, number, life in zip(said, ASKED, ended[:2], strict=True):
        epoch = (life["step"] - 1) // STEPS + 1
        assert line.startswith(f"stopped by {number.name} after step {life['step']} (epoch {epoch}); ")
        assert line.endswith("; the same command goes on from there")
    assert_same(folder / "asked", folder / "unasked")
