"""Profiles: every key has its comment, every rule says what it asks for, the generic profile's commands work."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))


def uncommented(text: str) -> list[str]:
    """Keys, at the top or one level down, with a comment neither on the line before nor behind them."""
    lines = ["", *text.splitlines()]
    keys = [(re.match(r" {0,2}([a-z_-]+):", line), line, before) for before, line in pairwise(lines)]
    return [
        key[1] for key, line, before in keys if key and "#" not in line and not before.strip().startswith("#")
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_is_commented(name):
    text = (ROOT / f"profiles/{name}/config.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    assert uncommented(text) == []


def test_a_key_without_comment_is_found():
    assert uncommented("# why\nexecutor: slurm\njobs: 3\n") == ["jobs"]


def test_profiles_for_batch_systems_agree():
    """What both say, they say alike: tries, submissions, what stays here."""
    slurm, generic = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text(encoding="utf-8"))
        for name in ("slurm", "generic")
    )
    common = slurm.keys() & generic.keys() - {"executor", "max-status-checks-per-second"}
    assert len(common) >= 8
    assert {key: slurm[key] for key in common} == {key: generic[key] for key in common}
    assert slurm["slurm-requeue"] is True
    assert "--requeue" in generic["cluster-generic-submit-cmd"]
    warning = slurm["default-resources"]["slurm_extra"].strip("'")
    assert warning in generic["cluster-generic-submit-cmd"]


def rules_of(text: str) -> list[str]:
    """The bodies of rules that run a command."""
    return [body for body in re.split(r"^\s*rule\b.*:$", text, flags=re.M)[1:] if "shell:" in body]


def test_every_rule_says_what_it_asks_for():
    bodies = [body for path in (ROOT / "rules").glob("*.smk") for body in rules_of(path.read_text())]
    assert len(bodies) == 9
    for body in bodies:
        assert re.search(r"threads: [^\n]+\n\s+resources:\n\s+\*\*asks\(", body), body


@pytest.fixture
def status(tmp_path):
    """status.sh, answered by programs that print what the test says."""

    def ask(squeue: str, code: int = 0, sacct: str = "") -> str:
        for name, said, status in (("squeue", squeue, code), ("sacct", sacct, 0)):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{said}\nEOF\nexit {status}\n")
            program.chmod(0o755)
        done = subprocess.run(
            ["sh", ROOT / "profiles/generic/status.sh", "17"],
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return ask


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("COMPLETED", "success"),
        ("PENDING", "running"),
        ("RUNNING", "running"),
        ("COMPLETING", "running"),
        ("REQUEUED", "running"),
        ("FAILED", "failed"),
        ("TIMEOUT", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("PREEMPTED", "failed"),
        ("SIGNALING", "running"),
        ("STAGE_OUT", "running"),
        ("squeue: warning: the cluster is old\nRUNNING", "running"),
    ],
)
def test_status_of_a_job_in_the_queue(status, state, meaning):
    assert status(state) == meaning


def test_status_of_a_job_that_the_queue_has_forgotten(status):
    gone = "slurm_load_jobs error: Invalid job id specified"
    assert status(gone, 1, "COMPLETED") == "success"
    assert status(gone, 1, "CANCELLED by 0") == "failed"
    assert status(gone, 1) == "failed"
    assert status("", 0, "COMPLETED") == "success"


def test_a_silent_controller_has_lost_no_job(status):
    assert status("slurm_load_jobs error: Unable to contact slurm controller", 1) == "running"
