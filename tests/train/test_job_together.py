"""Runs of a job that train together leave the files of runs alone, and a kill or a full disk leaves no half run."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from spectral_ssl.data.sources import Dataset
from spectral_ssl.engine import Engine
from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import job, loop
from spectral_ssl.train.group import Group, Row
from spectral_ssl.train.job import Place, run_batch

Settings = Callable[..., RunSettings]
Contents = Callable[[Place, RunSettings], dict[str, Any]]
Files = Callable[[Path], list[str]]
CPU = torch.device("cpu")


class Killed(BaseException):
    """Like a signal: nothing catches it."""


def train(
    runs: list[RunSettings], digits: Dataset, place: Place, together: int, seconds: float = 1e9
) -> list[dict[str, Any]]:
    engine = Engine(together=together, checkpoint_seconds=seconds)
    return run_batch(runs, digits, place, device=CPU, engine=engine)


@pytest.fixture
def runs(settings: Settings) -> list[RunSettings]:
    """Three that may train together; the second one diverges within its first epoch."""
    lost = settings().optimiser.model_copy(update={"learning_rate": 1e30, "name": "sgd"})
    return [settings(), settings(seed=1, optimiser=lost), settings(seed=2)]


@pytest.fixture
def alone(
    runs: list[RunSettings], digits: Dataset, tmp_path: Path, contents: Contents
) -> list[dict[str, Any]]:
    place = Place(tmp_path / "alone", tmp_path / "alone_scratch", "c0de", "da7a" * 16)
    assert [status["status"] for status in train(runs, digits, place, 1)] == [
        "finished",
        "diverged",
        "finished",
    ]
    return [contents(place, run) for run in runs]


def test_a_group_leaves_the_bits_of_runs_alone_also_of_a_diverged_one(
    runs: list[RunSettings],
    alone: list[dict[str, Any]],
    digits: Dataset,
    place: Place,
    contents: Contents,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speed, counted = loop._speed, []

    def watched(group: Group, seconds: float, members: int) -> Row:
        counted.append(members)
        return speed(group, seconds, members)

    monkeypatch.setattr(loop, "_speed", watched)
    train(runs, digits, place, 3, seconds=0)
    assert [contents(place, run) for run in runs] == alone
    assert files(place.scratch) == []
    assert counted == [2] * 4  # the diverged member is no part of the speed


@pytest.mark.parametrize("then", [1, 3])
@pytest.mark.parametrize("written", [1, 3])
def test_a_group_killed_between_two_statuses_ends_as_undisturbed(
    runs: list[RunSettings],
    alone: list[dict[str, Any]],
    digits: Dataset,
    place: Place,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
    written: int,
    then: int,
) -> None:
    write = job.write_json
    done: list[Path] = []

    def killed(path: Path, value: Any) -> None:
        write(path, value)
        done.append(path)
        if [path.name for path in done].count("status.json") == written:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(job, "write_json", killed)
        with pytest.raises(Killed):
            train(runs, digits, place, 3, seconds=0)
    kept = {path: path.stat().st_mtime_ns for path in place.scratch.rglob("features.npz")}
    with monkeypatch.context() as patch:
        patch.setattr(job, "_discard", lambda folder: None)
        train(runs, digits, place, then)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # finished runs are not written again
    train(runs, digits, place, then)
    assert [contents(place, run) for run in runs] == alone
    assert list(place.scratch.iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device", "f"), SafetensorError("No space left")]
)
@pytest.mark.parametrize("name", ["save_file", "_publish"])
def test_a_full_disk_at_the_end_is_one_line_and_no_half_run(
    settings: Settings,
    digits: Dataset,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    name: str,
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(job, name, full)
    with pytest.raises(UserError, match=r"^cannot write .*: No space left.*; make room or make the folder w"):
        train([settings(epochs=1)], digits, place, 1)
    assert not place.results.exists()


def test_a_scratch_folder_that_is_a_file_is_told_before_training(
    settings: Settings, digits: Dataset, place: Place, trained_runs: list[str]
) -> None:
    place.scratch.write_bytes(np.zeros(1).tobytes())
    with pytest.raises(UserError, match=r"^cannot write .*: Not a directory; make room or"):
        train([settings()], digits, place, 1)
    assert trained_runs == []
