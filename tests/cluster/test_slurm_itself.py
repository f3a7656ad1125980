"""The Slurm of the other tests does what a cluster does: queue, GPUs, lost daemons, preemption."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .slurm import Slurm, family, remove_cgroups

ROOT = Path(__file__).parents[2]


def until(slurm: Slurm, name: str) -> tuple[str, str]:
    """Path of a file, and lines of bash that wait for it."""
    path = slurm.folder / "jobs" / name
    return str(path), f"until [ -e {path} ]; do sleep 0.1; done"


def test_a_job_runs_to_its_end(slurm: Slurm) -> None:
    options = [
        "--comment=rule_x_wildcards_a=b c",
        "--job-name=a name",
        "--mem=300",
        "--time=7",
        "--cpus-per-task=2",
    ]
    job = slurm.submit("echo here; nproc; exit 0", *options)
    ended = slurm.wait_for_state(job, "COMPLETED")
    assert (ended.name, ended.comment, ended.partition) == ("a name", "rule_x_wildcards_a=b c", "cpu")
    assert (ended.memory, ended.time_limit, ended.cpus, ended.exit_code) == ("300M", "7:00", "2", "0")
    assert slurm.output(job).startswith("here\n")


def test_a_failing_job_fails(slurm: Slurm) -> None:
    job = slurm.submit("exit 3")
    assert slurm.wait_for_state(job, "FAILED").reason == "NonZeroExitCode"


def test_more_memory_than_a_node_has_is_refused(slurm: Slurm) -> None:
    with pytest.raises(AssertionError, match="Memory specification can not be satisfied"):
        slurm.submit("true", "--mem=9999999")


def test_jobs_on_gpus_see_different_ones(slurm: Slurm) -> None:
    flag, wait = until(slurm, "gpus")
    script = f"echo GPU=$CUDA_VISIBLE_DEVICES; {wait}"
    jobs = [
        slurm.submit(script, "--partition=gpu", f"--nodelist={slurm.nodes[0]}", "--gres=gpu:1")
        for _ in range(2)
    ]
    both = slurm.submit(script, "--partition=gpu", f"--nodelist={slurm.nodes[0]}", "--gres=gpu:2")
    for job in jobs:
        slurm.wait_for(lambda job=job: slurm.output(job), 20, "output of a job on a GPU")
    assert slurm.job(both).state == "PENDING"
    assert sorted(slurm.output(job) for job in jobs) == ["GPU=0\n", "GPU=1\n"]
    open(flag, "w").close()
    assert slurm.wait_for_state(both, "COMPLETED").gres == "gres:gpu:2"
    assert slurm.output(both) == "GPU=0,1\n"


def test_a_job_outlives_a_lost_slurmd(slurm: Slurm) -> None:
    flag, wait = until(slurm, "slurmd")
    job = slurm.submit(f"{wait}; echo done", f"--nodelist={slurm.nodes[0]}")
    slurm.wait_for_state(job, "RUNNING")
    slurm.kill_slurmd(slurm.nodes[0])
    slurm.start_slurmd(slurm.nodes[0])
    assert slurm.job(job).state == "RUNNING"
    open(flag, "w").close()
    assert slurm.wait_for_state(job, "COMPLETED").restarts == "0"
    assert slurm.output(job) == "done\n"


def test_a_job_of_a_node_without_power_runs_elsewhere(slurm: Slurm) -> None:
    flag, wait = until(slurm, "power")
    job = slurm.submit(
        f"echo on $SLURMD_NODENAME; srun --ntasks=1 bash -c '{wait}'", "--requeue", "--exclusive"
    )
    slurm.wait_for(lambda: slurm.output(job), 20, "start of the job")
    node = slurm.job(job).nodes
    try:
        slurm.kill_node(node)
        assert family(f"SLURMD_NODENAME={node}") == []
        slurm.wait_for(lambda: slurm.output(job).count("on") == 2, 100, "second start")
    finally:
        slurm.start_slurmd(node)
    open(flag, "w").close()
    ended = slurm.wait_for_state(job, "COMPLETED")
    assert (ended.restarts, ended.nodes == node) == ("1", False)


def test_the_queue_outlives_the_controller(slurm: Slurm) -> None:
    flag, wait = until(slurm, "controller")
    running = slurm.submit(wait)
    held = slurm.submit("true", "--hold")
    slurm.wait_for_state(running, "RUNNING")
    before = [(job.id, job.state) for job in slurm.jobs()]
    slurm.restart_controller()
    assert [(job.id, job.state) for job in slurm.jobs()] == before
    assert (running, "RUNNING") in before
    open(flag, "w").close()
    slurm.run("scontrol", "release", held)
    for job in (running, held):
        slurm.wait_for_state(job, "COMPLETED")


def test_an_urgent_job_preempts_and_requeues(slurm: Slurm) -> None:
    _, wait = until(slurm, "preempted")
    warned = "trap 'echo warned; exit 1' TERM; echo start $SLURM_RESTART_COUNT"
    victim = slurm.submit(f"{warned}; {wait}", "--partition=scavenge", "--exclusive")
    slurm.wait_for(lambda: slurm.output(victim), 20, "start of the victim")
    urgent = slurm.submit("sleep 1", "--partition=urgent", "--exclusive")
    slurm.wait_for_state(urgent, "COMPLETED", 30)
    assert slurm.job(victim).restarts == "1"
    assert slurm.output(victim).startswith("start\n")
    assert "DUE TO PREEMPTION" in slurm.output(victim)
    assert "warned\n" in slurm.output(victim)
    slurm.run("scancel", victim)
    assert slurm.wait_for_state(victim, "CANCELLED")


def test_a_signal_reaches_a_task_and_without_cgroups_its_children(slurm: Slurm) -> None:
    listen = "trap 'echo {0} told; exit 0' USR1; echo {0} listens; for i in {{1..300}}; do sleep 0.1; done"
    step = f"({listen.format('child')}) & {listen.format('task')}"
    job = slurm.submit(f"srun --ntasks=1 bash -c {shlex.quote(step)}")
    slurm.wait_for(lambda: slurm.output(job).count("listens") == 2, 20, "start of the step")
    slurm.run("scancel", "--signal=USR1", job)
    slurm.wait_for_state(job, "COMPLETED")
    assert "task told" in slurm.output(job)
    assert ("child told" in slurm.output(job)) == (slurm.proctrack == "linuxproc")


def test_srun_finds_its_slurm_without_the_environment(slurm: Slurm) -> None:
    job = slurm.submit("id=$SLURM_JOB_ID; unset ${!SLURM_*}; SLURM_JOB_ID=$id srun --ntasks=1 echo step")
    slurm.wait_for_state(job, "COMPLETED")
    assert slurm.output(job) == "step\n"


def test_a_second_cluster_disturbs_none_and_leaves_nothing(slurm: Slurm) -> None:
    flag, wait = until(slurm, "two")
    job = slurm.submit(wait)
    other = Slurm()
    try:
        other.start()
        slurm.wait_for_state(job, "RUNNING")
        assert other.jobs() == []
        sleeper = other.submit("setsid sleep 600 & sleep 600", "--export=NONE")
        other.wait_for_state(sleeper, "RUNNING")
        assert len(family(f"SLURM_CONF={other.environment['SLURM_CONF']}")) > 4
    finally:
        other.stop()
    assert family(f"SLURM_CONF={other.environment['SLURM_CONF']}") == []
    assert not other.folder.exists()
    assert slurm.job(job).state == "RUNNING"
    open(flag, "w").close()
    slurm.wait_for_state(job, "COMPLETED")


def test_daemons_do_not_outlive_tests_that_are_killed(slurm: Slurm) -> None:
    program = """
        from tests.cluster.slurm import Slurm
        cluster = Slurm()
        cluster.start()
        print(cluster.folder, *cluster.nodes, flush=True)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    tests = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    folder, *nodes = tests.stdout.readline().split()
    marker = f"SLURM_CONF={folder}/slurm.conf"
    assert len(family(marker)) >= 4
    tests.kill()
    tests.communicate()
    slurm.wait_for(lambda: family(marker) == [], 10, "end of the daemons")
    shutil.rmtree(folder)
    remove_cgroups(nodes)
