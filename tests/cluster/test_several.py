"""GPUs and several processes: what jobs get, and two nodes by the lines that docs/distributed.md prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .long_job import TIER, LongJob
from .slurm import Slurm
from .snakemake import ClusterCheckout

PAGE = Path(__file__).parents[2] / "docs/distributed.md"


@pytest.fixture(scope="module")
def prepared(new_checkout: Callable[[], ClusterCheckout]) -> LongJob:
    return LongJob.prepare(new_checkout(), epochs=2)


@pytest.fixture
def job(prepared: LongJob, tmp_path: Path) -> LongJob:
    return prepared.copy(tmp_path)


def trained_by(job: LongJob) -> set[int]:
    """The number of processes of each of the job's runs."""
    folders = job.folders()
    assert folders
    return {json.loads((folder / "provenance.json").read_text())["processes"] for folder in folders}


@pytest.mark.parametrize(
    ("resources", "asked"),
    [({}, ("gres:gpu:1", "N/A")), ({"gres": "gpu"}, ("N/A", "gres:gpu:1"))],
    ids=["gpu", "gres"],
)
def test_gpus_are_asked_for_as_the_profile_says(
    job: LongJob, resources: dict[str, str], asked: tuple[str, str]
) -> None:
    """Slurm's own words: GPUs of a job by --gpus, and of a node by --gres."""
    job.checkout.profile("slurm", "default-resources", slurm_partition="gpu", **resources)
    running = job.start("config:jobs={gpus: 1}")
    assert running.wait(240) == 0, running.text[-3000:] + job.log
    (only,) = job.submitted()
    assert (only.gpus, only.gres) == asked
    assert trained_by(job) == {1}


def test_a_job_of_two_processes(job: LongJob) -> None:
    running = job.start("config:engine={processes: 2}", "config:jobs={gpus: 1}", option="--profile")
    assert running.wait(240) == 0, running.text[-3000:] + job.log
    (only,) = job.submitted()
    assert (only.cpus, only.memory, only.gpus) == ("2", "4000M", "gres:gpu:2")
    assert trained_by(job) == {2}


def script(job: LongJob) -> str:
    """The page's batch script, for two nodes of one process each and this job."""
    (block,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    changes = {
        "--gpus-per-node=4 --cpus-per-task=16": "--cpus-per-task=1",
        "--nproc-per-node 4": "--nproc-per-node 1",
        ".venv/bin/python": str(job.checkout.python),
        "--tier gpu --batch ID": f"--tier {TIER} --batch {job.batch}",
        # Both nodes are this machine, and nobody resolves their names.
        '"$head:$port"': '"127.0.0.1:$port"',
    }
    for printed, here in changes.items():
        assert printed in block
        block = block.replace(printed, here)
    return block


def test_the_printed_script_trains_on_two_nodes(slurm: Slurm, job: LongJob) -> None:
    source = f"cd {job.checkout.folder}\n"
    _, lines = script(job).split("\n", 1)
    options = re.findall(r"^#SBATCH (.*)$", lines, flags=re.M)
    assert any("--nodes=2" in line for line in options)
    sent = slurm.submit(source + lines, *" ".join(options).split())
    ended = slurm.wait_for_state(sent, "COMPLETED", 180)
    assert "[" in ended.nodes or "," in ended.nodes
    assert trained_by(job) == {2}, slurm.output(sent)
