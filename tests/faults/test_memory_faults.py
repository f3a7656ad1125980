"""A stage out of memory, by a limit or at the system's hands: one line, its checkpoint stays, the next completes."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.exhaustion import exhaustion_line

from . import trials
from .trials import Stages

SEED = 3
CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
"""How a library ends a process where it does not look whether an allocation failed: rare, and as good as SIGKILL."""

TRIES = 4
"""Rarely the interpreter itself makes another error of it, such as a syntax tree without a part: one line as well."""


@pytest.mark.parametrize("stage", ["data", "views", "pretrain", "own", "networks"])
@pytest.mark.parametrize(
    "spare", [0, *(pytest.param(size << 20, marks=pytest.mark.slow) for size in (2, 4, 8, 12, 16, 24, 32))]
)
def test_a_limit_on_memory_is_told_in_one_line_and_without_it_the_next_call_completes(
    prepared: Stages, tmp_path: Path, stage: str, spare: int
) -> None:
    alone, work = prepared.prepare(stage), prepared.works[stage]
    folder = prepared.copy(tmp_path / "limited", without=work)
    answers = []
    while not answers or not told(answers[-1], spare):
        answers.append(prepared.run(folder, work, memory=spare or 1))
        assert answers[-1]["status"] in (2, 1, *CRASHES) or (spare and answers[-1]["status"] == 0), answers
        assert answers[-1]["said"].count("error: ") <= 1, answers
        assert len(answers) <= TRIES, answers
    there = trials.contents(folder, work)
    assert there == {name: alone["contents"][name] for name in there}
    again = prepared.run(folder, work)
    assert again["status"] == 0, again["said"]
    assert trials.contents(folder, work) == alone["contents"]
    assert trials.litter(folder) == []


def told(answer: dict[str, Any], spare: int) -> bool:
    """Whether there was room after all, or one line says that there was none, and no stack trace but what Python
    itself says of exceptions in its finalisers; or a library ended the process.
    """
    if (answer["status"] == 0 and spare) or answer["status"] in CRASHES:
        return True
    lines = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    traces = answer["said"].count("Traceback") - answer["said"].count("Exception ignored in")
    return answer["status"] == 2 and len(lines) == 1 and "out of memory" in lines[0] and traces <= 0


def test_killed_by_the_system_training_goes_on_from_its_checkpoint(prepared: Stages, tmp_path: Path) -> None:
    alone, work = prepared.prepare("pretrain"), prepared.works["pretrain"]
    folder = prepared.copy(tmp_path / "killed", without=work)
    draw = random.Random(SEED)
    scratch = folder / "results/.scratch"
    saved = 0
    for _ in range(8):
        event = draw.randint(alone["events"] // 3, alone["events"] * 2 // 3)
        ended = prepared.run(folder, work, stop={"signal": signal.SIGKILL, "event": event, "after": 0.0})
        saved = max(saved, len(list(scratch.rglob("checkpoints/0*"))))
        if ended["status"] != -signal.SIGKILL:
            break
    assert saved, f"seed {SEED}: no checkpoint was there after a kill"
    again = prepared.run(folder, work)
    assert again["status"] == 0, again["said"]
    assert trials.contents(folder, work) == alone["contents"]


def test_other_errors_are_not_taken_for_exhaustion() -> None:
    assert exhaustion_line(RuntimeError("shapes do not match"), "views") is None
    assert exhaustion_line(RuntimeError("could not create a primitive"), "pretrain")
    assert exhaustion_line(SystemError("error return without exception set"), "data")
    assert exhaustion_line(RuntimeError("could not create a primitive descriptor"), "pretrain") is None
    assert exhaustion_line(ValueError("out of memory"), "views") is None
    line = exhaustion_line(MemoryError(), "views")
    assert line is not None
    assert line.startswith("out of memory in the stage views (no more is known); end other processes")
