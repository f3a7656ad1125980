"""rules/step.sh: when a job goes back to the queue, and which status it ends with. Slurm's commands are stand-ins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

STEP = Path(__file__).parents[2] / "rules/step.sh"


@pytest.fixture
def step(tmp_path):
    """Run a command by step.sh; returns its status and the calls of Slurm's commands."""

    def run(status: int, state: str = "RUNNING 0", *, squeue: int = 0, scontrol: int = 0, **variables: str):
        calls = tmp_path / "calls"
        calls.write_text("")
        answers = {"srun": ("", status), "squeue": (state, squeue), "scontrol": ("", scontrol)}
        for name, (said, code) in answers.items():
            program = tmp_path / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\necho "{said}"\nexit {code}\n')
            program.chmod(0o755)
        slurm = {"SLURM_JOB_ID": "17", "SLURM_CPUS_PER_TASK": "4", "STEP_PAUSE": "0", "STEP_PATIENCE": "0"}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", STEP, "train", "a b"], env=os.environ | path | slurm | variables, check=False
        )
        return done.returncode, calls.read_text().splitlines()

    return run


def requeued(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("scontrol")]


@pytest.mark.parametrize("status", [0, 1, 3, 4, 137])
def test_any_other_end_is_passed_on(step, status):
    found, calls = step(status)
    assert found == status
    assert calls == ["srun --overlap --ntasks=1 --cpus-per-task=4 --cpu-bind=none train a b"]


def test_a_warned_job_is_queued_again(step):
    found, calls = step(143)
    assert found == 143
    assert requeued(calls) == ["scontrol requeue 17"]


@pytest.mark.parametrize("state", ["COMPLETING 0", "CANCELLED 3", "RUNNING 20", ""])
def test_a_cancelled_job_and_one_that_gets_nowhere_are_not(step, state):
    found, calls = step(143, state)
    assert found == 143
    assert requeued(calls) == []


def test_a_task_of_an_array_is_queued_by_its_own_number(step):
    _, calls = step(143, SLURM_ARRAY_JOB_ID="17", SLURM_ARRAY_TASK_ID="2")
    assert requeued(calls) == ["scontrol requeue 17_2"]


def test_a_silent_controller_is_asked_again_and_a_refusal_is_a_failure(step):
    found, calls = step(143, squeue=1)
    assert (found, requeued(calls)) == (143, [])
    assert len([call for call in calls if call.startswith("squeue")]) == 5
    assert step(143, scontrol=1)[0] == 143
