"""Stages killed, stopped and robbed of bytes at random moments: what is there is whole, the next call completes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from spectral_ssl.jobs import Jobs
from spectral_ssl.receipts import wrong

from . import trials
from .trials import Stages

SEED = 2
SHARES = {  # of 100
    **{"data": 10, "views": 12, "pretrain": 22, "own": 8, "networks": 8},
    **{"theorems": 8, "tables": 10, "figures": 10, "notebook": 4, "report": 8},
}
QUICK = ("data", "views", "pretrain", "own", "networks", "pretrain")  # those that need no whole tier


def chosen(count: int) -> list[tuple[int, str]]:
    """Numbered trials: with 100 or more all stages in their shares, otherwise the quick ones in turn."""
    if count < 100:
        return [(number, QUICK[number % len(QUICK)]) for number in range(count)]
    order = [stage for stage, share in SHARES.items() for _ in range(share)]
    return [(number, order[number % 100]) for number in range(count)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trial" in metafunc.fixturenames:
        trials_ = chosen(metafunc.config.getoption("--trials"))
        metafunc.parametrize("trial", trials_, ids=[f"{number}-{stage}" for number, stage in trials_])


def test_a_disturbed_stage_leaves_nothing_half_written_and_completes(
    prepared: Stages, trial: tuple[int, str], tmp_path: Path
) -> None:
    number, stage = trial
    draw = random.Random(f"{SEED} {number}")
    alone, work = prepared.prepare(stage), prepared.works[stage]
    folder = prepared.copy(tmp_path / "disturbed", without=work if draw.random() < 0.7 else None)
    told = f"seed {SEED}, trial {number}, stage {stage}"
    if draw.random() < 0.6:
        moment = trials.stop(draw, alone)
        ended = prepared.run(folder, work, stop=moment)
        told += f", {moment}: status {ended['status']}\n{ended['said']}"
        assert "Traceback" not in ended["said"], told
        there = trials.contents(folder, work)
        assert {name: there[name] == alone["contents"][name] for name in there} == dict.fromkeys(
            there, True
        ), told
        unfinished = [path for path in (folder / "results/.scratch").rglob("*") if path.is_file()]
        if unfinished and draw.random() < 0.5:
            victim = draw.choice(sorted(unfinished))
            if victim.stat().st_size:
                told += f", {victim} cut to {trials.cut(victim, draw)} bytes"
    else:
        prepared.run(folder, work)
        victim = draw.choice(trials.files(folder, work))
        told += f", {victim} cut to {trials.cut(victim, draw)} bytes"
        if stage != "own":  # which is no job of the tier
            assert str(victim) in [
                str(file) for job in jobs(folder) for file, _ in wrong(trials.layout(folder), job)
            ], told
    again = prepared.run(folder, work)
    assert again["status"] == alone["status"], told + again["said"]
    assert trials.contents(folder, work) == alone["contents"], told
    assert trials.litter(folder) == [], told
    shutil.rmtree(folder)


def jobs(folder: Path) -> list[str]:
    """The tier's jobs."""
    from spectral_ssl.config import load_tier
    from spectral_ssl.papers.manifest import build

    tier = load_tier(str(folder / "tiny.yaml"), [])
    return list(Jobs(tier, trials.layout(folder), build(tier)).jobs)


def test_a_cut_data_set_is_refused_in_one_line_until_it_is_made_again(
    prepared: Stages, tmp_path: Path
) -> None:
    for number in range(8):
        draw = random.Random(f"{SEED} cut {number}")
        folder = prepared.copy(tmp_path / str(number))
        digits = folder / "results/tiny/data/digits"
        victim = draw.choice(sorted(digits.iterdir()))
        left = trials.cut(victim, draw)
        for stage in ("views", "pretrain"):
            answer = prepared.run(folder, prepared.works[stage])
            (line,) = answer["said"].splitlines()
            assert (answer["status"], str(victim.name) in line) == (2, True), (
                f"{victim} cut to {left}: {line}"
            )


def test_a_hundred_trials_reach_every_stage() -> None:
    assert sum(SHARES.values()) == 100
    assert {stage for _, stage in chosen(100)} == set(SHARES)
    assert {stage for _, stage in chosen(12)} == set(QUICK)
