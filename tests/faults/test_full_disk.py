"""A disk that is full: one clear line, nothing half written, and the next call after room is made completes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from . import trials
from .trials import Stages

MADE = (
    "data",
    "views",
    "pretrain",
    "own",
    "networks",
)  # with data, in this order; others in --trials 100 only


def stages_to_try(metafunc: pytest.Metafunc) -> list[str]:
    more = ["theorems", "tables", "figures", "report"] if metafunc.config.getoption("--trials") >= 100 else []
    return [*MADE, *more]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", stages_to_try(metafunc))


@pytest.mark.parametrize("left", [0, *(pytest.param(size, marks=pytest.mark.slow) for size in (4096, 16384))])
def test_a_full_disk_is_told_in_one_line_and_the_next_call_completes(
    prepared: Stages, mount: Callable[[str], Path], stage: str, left: int
) -> None:
    alone, work = prepared.prepare(stage), prepared.works[stage]
    folder = prepared.copy(mount("size=200m") / "checkout", without=work)
    disk = folder.parent
    for path in folder.rglob("receipts/*"):  # so that the receipt is a file to be written, too
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    filling = disk / "filling"
    free = shutil.disk_usage(disk).free
    with filling.open("wb") as file:
        file.write(bytes(max(free - left, 0)))
    answer = prepared.run(folder, work)
    lines = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    assert (answer["status"], len(lines)) == (2, 1), answer
    assert "Traceback" not in answer["said"]
    assert "defect" not in lines[0]
    assert str(disk) in lines[0] or "results/" in lines[0] or "figures/" in lines[0], lines
    there = trials.contents(folder, work)
    assert there == {name: alone["contents"][name] for name in there}
    filling.unlink()
    again = prepared.run(folder, work)
    assert again["status"] == 0, again["said"]
    assert trials.contents(folder, work) == alone["contents"]
    assert trials.litter(folder) == []
