"""A clock that jumps backwards: the run completes with the same bytes, and the next one has nothing to do."""

from __future__ import annotations

import os
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
    assert new.plan(*new.few()) == set()


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
