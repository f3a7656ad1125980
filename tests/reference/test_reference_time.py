"""The stage `reference` within a time, and through interruptions."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pytest

from spectral_ssl import provenance
from spectral_ssl.provenance import read_json
from spectral_ssl.reference import clock, place

from .made import Bench, one

Made = Callable[[str], Bench]


def test_a_budget_stops_a_run_and_the_next_call_goes_on_from_there(
    bench: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clock, "RESERVE", 0.2)
    here = bench(one(150))
    calls = 0
    while not here.runs:
        calls += 1
        assert here.run("--budget", "4") == 0
        assert calls < 30
        if not here.runs:
            assert "next: one" in capsys.readouterr().out
    assert calls > 1
    assert not (here.reference.layout.tables("haochen2021")).exists()  # the time is the runs'
    (name,) = here.runs
    interrupted = here.reference.layout.runs / name
    other = Bench(here.root / "undisturbed", here.list, here.archive)
    assert other.run() == 0
    whole = other.reference.layout.runs / name
    assert (whole / "probe.json").read_bytes() == (interrupted / "probe.json").read_bytes()
    kept = [read_json(place / "provenance.json")["encoder_sha256"] for place in (whole, interrupted)]
    assert kept[0] == kept[1]
    columns = ["epoch", "loss", "online_accuracy"]
    first, second = (pd.read_csv(place / "history.csv")[columns] for place in (whole, interrupted))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("at", ["history.csv", "features.npz", "provenance.json", "status.json"])
def test_what_stopped_while_it_was_kept_is_kept_by_the_next_call(
    bench: Made, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    here = bench(one(1))
    whole = place.replacing

    def stopping(path: Path) -> AbstractContextManager[BinaryIO]:
        if path.name == at and "reference" in path.parts:
            raise KeyboardInterrupt
        return whole(path)

    monkeypatch.setattr(place, "replacing", stopping)
    monkeypatch.setattr(provenance, "replacing", stopping)
    assert here.run() == 130
    assert not here.runs
    monkeypatch.undo()
    trained = {path: path.stat().st_mtime_ns for path in here.context.layout.runs.rglob("*")}
    assert here.run() == 0
    assert len(here.runs) == 1
    assert trained == {path: path.stat().st_mtime_ns for path in here.context.layout.runs.rglob("*")}


def test_someone_elses_sigterm_is_no_end_of_the_budget(bench: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    here = bench(one(400))
    timer = threading.Timer(6, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        assert here.run() == 128 + signal.SIGTERM
    finally:
        timer.cancel()
    assert not here.runs
    assert list(here.context.layout.scratch.glob("*/together-*/*"))


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "5"])
def test_a_budget_without_room_for_a_checkpoint_is_refused(
    bench: Made, capsys: pytest.CaptureFixture[str], budget: str
) -> None:
    here = bench(one(1))
    assert here.run("--budget", budget) == 2
    assert "--budget is" in capsys.readouterr().err
    assert not here.reference.layout.results.exists()
