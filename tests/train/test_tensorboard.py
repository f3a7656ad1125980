"""Rows for TensorBoard: what is written and when, and what is said where the package is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.train.tensorboard import writer

ROW = {"epoch": 1, "loss": 2.5, "rank": 7.0}


class Recorder:
    """Stands in for SummaryWriter."""

    made: list[Recorder] = []  # noqa: RUF012

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.waiting: list[tuple[str, float, int]] = []
        self.written: list[tuple[str, float, int]] = []
        self.closed = False
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.waiting.append((name, value, step))

    def flush(self) -> None:
        self.written += self.waiting
        self.waiting = []

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    monkeypatch.setattr(Recorder, "made", [])
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Recorder))
    return Recorder.made


def test_each_column_is_a_scalar_at_its_epoch(tmp_path: Path, recorders: list[Recorder]) -> None:
    with writer(tmp_path / "events", True) as write:
        assert recorders == []  # a run that is complete already writes no file
        write(4, ROW | {"epoch": 4})
        assert recorders[0].written == [("loss", 2.5, 4), ("rank", 7.0, 4)]  # not only at the end
        write(5, {"loss": 1.5})
    (made,) = recorders
    assert made.folder == str(tmp_path / "events")
    assert made.purge_step == 4  # what another process wrote of epoch 4 and later is void
    assert made.written[2:] == [("loss", 1.5, 5)]
    assert made.closed


def test_the_file_is_closed_when_training_fails(tmp_path: Path, recorders: list[Recorder]) -> None:
    with pytest.raises(ZeroDivisionError), writer(tmp_path, True) as write:  # noqa: PT012
        write(1, ROW)
        raise ZeroDivisionError
    assert recorders[0].closed


def test_nothing_is_imported_or_written_unless_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it fails
    with writer(tmp_path / "events", False) as write:
        write(1, ROW)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_said_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = (
        r"engine\.tensorboard is true, but tensorboard cannot be imported .*; pip install tensorboard, or set"
    )
    with pytest.raises(UserError, match=said) as caught, writer(tmp_path / "events", True):
        pytest.fail("entered")
    assert "\n" not in str(caught.value)


def test_a_resumed_run_shows_every_epoch_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with writer(tmp_path, True) as write:
        for epoch in (1, 2, 3, 4):
            write(epoch, {"epoch": epoch, "loss": 10.0 * epoch})
    with writer(tmp_path, True) as write:  # of 4 epochs a checkpoint kept 2
        for epoch in (3, 4, 5):
            write(epoch, {"epoch": epoch, "loss": 100.0 * epoch})
    events: Any = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [
        (1, 10.0),
        (2, 20.0),
        (3, 300.0),
        (4, 400.0),
        (5, 500.0),
    ]
    assert events.Tags()["scalars"] == ["loss"]
