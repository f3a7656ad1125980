"""What a cluster does to jobs: each goes on from its checkpoint and ends with the bits of an undisturbed one."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .long_job import LongJob
from .slurm import Slurm
from .slurm_files import GPUS_PER_NODE
from .snakemake import ClusterCheckout, Running

RESUMED = "going on from a checkpoint"


@pytest.fixture(scope="module")
def prepared(new_checkout: Callable[[], ClusterCheckout]) -> LongJob:
    return LongJob.prepare(new_checkout())


@pytest.fixture(scope="module")
def undisturbed(prepared: LongJob, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return prepared.copy(tmp_path_factory.mktemp("alone")).alone().results()


@pytest.fixture
def job(prepared: LongJob, undisturbed: dict[str, str], tmp_path: Path) -> LongJob:
    return prepared.copy(tmp_path)


def ended(running: Running, job: LongJob, undisturbed: dict[str, str], seconds: float = 240) -> None:
    """The workflow succeeds, and the results are those of a job that nobody disturbed."""
    assert running.wait(seconds) == 0, running.text[-3000:] + job.log
    assert job.results() == undisturbed


def test_a_cancelled_job_is_sent_again_with_more_and_resumes(slurm: Slurm, job: LongJob, undisturbed) -> None:
    running = job.start()
    slurm.run("scancel", job.until_checkpoint().id)
    ended(running, job, undisturbed)
    first, second = job.submitted()
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    assert (first.memory, second.memory) == ("2000M", "4000M")
    assert (first.time_limit, second.time_limit) == ("1:00:00", "2:00:00")
    assert RESUMED in job.log


@pytest.mark.parametrize("profile", ["slurm", "generic"])
def test_a_job_outlives_its_slurmd_and_the_controller(
    slurm: Slurm, job: LongJob, undisturbed, profile: str
) -> None:
    running = job.start(profile=profile)
    node = job.until_checkpoint().nodes
    slurm.stop_controller()
    slurm.kill_slurmd(node)
    time.sleep(20)  # several questions without an answer
    slurm.start_controller()
    slurm.start_slurmd(node)
    ended(running, job, undisturbed)
    (only,) = job.submitted()
    assert (only.state, only.restarts) == ("COMPLETED", "0")
    assert RESUMED not in job.log


def test_a_job_whose_node_dies_runs_elsewhere_and_resumes(slurm: Slurm, job: LongJob, undisturbed) -> None:
    running = job.start()
    lost = job.until_checkpoint()
    slurm.kill_node(lost.nodes)
    try:
        slurm.wait_for(lambda: slurm.job(lost.id).restarts == "1", 90, "job queued again")
    finally:
        slurm.start_slurmd(lost.nodes)
    ended(running, job, undisturbed)
    (only,) = job.submitted()
    assert (only.state, only.id) == ("COMPLETED", lost.id)
    assert RESUMED in job.log


def test_a_preempted_job_is_queued_again_and_resumes(slurm: Slurm, job: LongJob, undisturbed) -> None:
    job.checkout.profile("slurm", "default-resources", slurm_partition="scavenge")
    running = job.start()
    victim = job.until_checkpoint()
    urgent = slurm.submit("sleep 1", "--partition=urgent", "--exclusive")
    slurm.wait_for_state(urgent, "COMPLETED", 60)
    ended(running, job, undisturbed)
    assert slurm.job(victim.id).restarts == "1"
    assert RESUMED in job.log


def test_a_warned_job_goes_back_to_the_queue_and_resumes(slurm: Slurm, job: LongJob, undisturbed) -> None:
    running = job.start()
    warned = job.until_checkpoint()
    assert "--signal=TERM@120" in job.checkout.profile("slurm", "default-resources")["slurm_extra"]
    # What Slurm does by itself at that time, to steps alone; its clock for it has a resolution of half a minute.
    slurm.run("scancel", "--signal=TERM", warned.id)
    ended(running, job, undisturbed)
    (only,) = job.submitted()
    assert (only.id, only.state, only.restarts) == (warned.id, "COMPLETED", "1")
    assert (only.memory, only.time_limit) == (warned.memory, warned.time_limit)
    assert RESUMED in job.log


def test_an_interrupted_workflow_cancels_its_jobs_and_resumes(
    slurm: Slurm, job: LongJob, undisturbed
) -> None:
    running = job.start()
    sent = job.until_checkpoint()
    running.signal(signal.SIGINT)
    assert running.wait(120) != 0
    slurm.wait_for_state(sent.id, "CANCELLED", 60)
    ended(job.start(), job, undisturbed)
    assert RESUMED in job.log


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("jobs={memory: 9999999}", "Memory specification can not be satisfied"),
        (f"jobs={{gpus: {GPUS_PER_NODE + 1}}}", "Requested node configuration is not available"),
    ],
)
def test_what_no_node_has_is_refused_in_a_line(job: LongJob, config: str, reason: str) -> None:
    running = job.start("--retries", "0", f"config:{config}")
    assert running.wait(200) == 1  # the plugin ends a minute late
    (line,) = [line for line in running.text.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: Slurm refused {job.rule}: {reason}")
    assert "jobs:" in line
    assert all(
        (sent.state, sent.nodes) == ("FAILED", "") for sent in job.submitted()
    )  # Slurm may remember it


def test_nodes_are_usable_again(slurm: Slurm) -> None:
    assert {slurm.node_state(node) for node in slurm.nodes} == {"idle"}
