"""A clock that jumps backwards, and results that are moved: what runs again, and what cannot be vouched for."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from .workflow import Faulty

HOUR = 3600
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib64/faketime/libfaketime.so.1")


@pytest.mark.slow
def test_a_clock_that_jumps_backwards_within_a_run(few, new: Faulty) -> None:
    data, *rest = new.few()
    new.run(data, rest[0]).succeeded()
    future = time.time() + HOUR  # as if the clock had been put back since
    for path in (new.folder / "results").rglob("*"):
        os.utime(path, (future, future))
    new.run(*new.few()).succeeded()
    assert new.digests() == few[0].digests()
    again = new.run(*new.few()).succeeded()
    # What was trained is older than what it was trained on: the runs are made again, to the same bytes, until the
    # clock has caught up. The data sets are not.
    assert "ingest" not in again.text
    assert new.digests() == few[0].digests()


@pytest.mark.slow
def test_the_real_thing(few, new: Faulty, tmp_path: Path) -> None:
    library = next((path for path in LIBRARIES if Path(path).exists()), os.environ.get("LIBFAKETIME"))
    if not library:
        pytest.skip("needs libfaketime, in a usual place or named by LIBFAKETIME")
    clock = tmp_path / "clock"
    clock.write_text("+1h")
    fake = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    running = new.start(*new.few(), environment=fake)
    running.until(new.folder / ".snakemake/locks/0.output.lock")
    clock.write_text("-1h")
    running.wait().succeeded()
    assert new.digests() == few[0].digests()
    new.run(*new.few()).succeeded()
    assert new.digests() == few[0].digests()


def moved(few: tuple[Faulty, float], project: Faulty, tmp_path: Path, names: list[str]) -> Faulty:
    """Another checkout, into which these folders of finished jobs are moved."""
    copy = project.copy(tmp_path / "another path")
    for name in names:
        shutil.copytree(few[0].folder / name, copy.folder / name)
    return copy


def test_results_moved_with_their_records_rerun_nothing(few, project: Faulty, tmp_path: Path) -> None:
    copy = moved(few, project, tmp_path, ["results", ".snakemake"])
    assert copy.plan(*copy.few()) == set()


@pytest.mark.slow
def test_results_moved_without_their_records_are_taken_as_they_are(
    few, project: Faulty, tmp_path: Path
) -> None:
    copy = moved(few, project, tmp_path, ["results"])
    assert copy.plan(*copy.few()) == set()  # Snakemake goes by times and has nothing to compare code with


@pytest.mark.slow
def test_the_summary_says_what_it_cannot_vouch_for(whole, project: Faulty, tmp_path: Path) -> None:
    copy = moved(whole, project, tmp_path, ["results", "figures"])
    assert copy.plan() == set()
    shutil.rmtree(copy.folder / "results/tiny/receipts/tables")
    said = copy.stage("summary")
    assert "tables/haochen2021" in said.stdout + said.stderr
    assert said.returncode == 2
