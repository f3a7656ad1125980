"""A real Slurm of two nodes on the loopback: own key, own ports, own folder, nothing of the machine's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .slurm_files import write_files

T = TypeVar("T")

USABLE = ("idle", "mixed", "allocated")  # states of a node that takes or has jobs
FREEZER = Path("/sys/fs/cgroup/freezer")  # version 1; Slurm's use of version 2 asks for systemd
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")

# squeue's name of a column -> field of Job.
COLUMNS = {
    "JobID": "id",
    "Name": "name",
    "Comment": "comment",
    "State": "state",
    "Reason": "reason",
    "NodeList": "nodes",
    "Partition": "partition",
    "NumCPUs": "cpus",
    "MinMemory": "memory",
    "tres-per-node": "gres",
    "tres-per-job": "gpus",
    "TimeLimit": "time_limit",
    "RestartCnt": "restarts",
    "exit_code": "exit_code",
    "WorkDir": "folder",
}
WIDTH = 400


@dataclass(frozen=True)
class Job:
    """A line of squeue, as text; `gres` and `gpus` are what was asked for by `--gres` and `--gpus`, or `N/A`."""

    id: str
    name: str
    comment: str
    state: str
    reason: str
    nodes: str
    partition: str
    cpus: str
    memory: str
    gres: str
    gpus: str
    time_limit: str
    restarts: str
    exit_code: str
    folder: str


class Slurm:
    """munged, slurmctld and one slurmd a node, as root. `stop` ends them and every process that they started.

    In seconds, `grace`: from the warning of preemption to the end; `node_timeout`: after which a silent node is down
    and its jobs are queued again; `requeue_delay`: for which a job that is queued again has to wait. `proctrack`:
    `cgroup`, as on most clusters, where SIGTERM reaches a batch script or a step's task but not its children, or
    `linuxproc`, where it reaches them too; by default `cgroup` if it can be had.
    """

    def __init__(
        self,
        *,
        grace: int = 5,
        node_timeout: int = 20,
        requeue_delay: int = 10,
        proctrack: str | None = None,
    ) -> None:
        self.proctrack = proctrack or ("cgroup" if os.access(FREEZER, os.W_OK) else "linuxproc")
        # Slurm and munge have sockets in it, whose paths may have 108 characters: pytest's folders are too long.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # munged refuses a socket that not everybody can reach
        self.nodes = write_files(
            self.folder,
            grace=grace,
            node_timeout=node_timeout,
            requeue_delay=requeue_delay,
            proctrack=self.proctrack,
        )
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """All daemons; returns when both nodes take jobs."""
        munge = self.folder / "munge"
        files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "seed")]
        self._spawn("munged", "munged", "--foreground", f"--socket={munge / 'socket'}", *files)
        self.wait_for((munge / "socket").exists, 10, "munged")
        self.start_controller()
        for node in self.nodes:
            self.start_slurmd(node)

    def stop(self) -> None:
        """Kill daemons, shepherds and jobs, whatever state they are in, and remove the folder."""
        for name in ("slurmctld", *self.nodes, "munged"):
            self._kill(name, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while left := family(f"SLURM_CONF={self.environment['SLURM_CONF']}"):
            assert time.monotonic() < deadline, f"processes {left} outlive SIGKILL"
            for process in left:
                kill(process)
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)
        remove_cgroups(self.nodes)

    def start_controller(self) -> None:
        """slurmctld, which reads the queue that an earlier one has left."""
        self._spawn("slurmctld", "slurmctld", "-D")
        self.wait_for(lambda: self._call("scontrol", "ping").returncode == 0, 20, "slurmctld")

    def stop_controller(self) -> None:
        """SIGTERM, upon which slurmctld saves the queue; jobs run on."""
        self._kill("slurmctld", signal.SIGTERM)

    def restart_controller(self) -> None:
        """Stop and start; nodes come back by themselves."""
        self.stop_controller()
        self.start_controller()
        self.wait_for(lambda: all(self.node_state(node) in USABLE for node in self.nodes), 40, "nodes")

    def kill_slurmd(self, node: str) -> None:
        """SIGKILL to a node's slurmd, as if the node had hung; the shepherds of its jobs live on."""
        self._kill(node, signal.SIGKILL)

    def kill_node(self, node: str) -> None:
        """SIGKILL to all of a node, as if its power had failed: slurmd, shepherds, then their jobs."""
        self.kill_slurmd(node)
        deadline = time.monotonic() + 20
        while jobs := family(f"SLURMD_NODENAME={node}"):  # one may be starting another
            assert time.monotonic() < deadline, f"processes {jobs} outlive SIGKILL"
            for process in [*shepherds(jobs), *jobs]:
                kill(process)
            time.sleep(0.05)

    def start_slurmd(self, node: str) -> None:
        """A node's slurmd, which finds the jobs that an earlier one has left; returns when it takes jobs."""
        self._spawn(node, "slurmd", "-D", "-N", node)
        self.wait_for(lambda: self.node_state(node) in USABLE, 40, f"node {node}")

    def node_state(self, node: str) -> str:
        """`idle`, `mixed`, `allocated`, `down`...; with `*` while the node does not answer."""
        return self._call("sinfo", "--noheader", "--nodes", node, "--format=%T").stdout.partition("\n")[0]

    def run(self, *command: str) -> str:
        """Output of a Slurm command; fails with what it says."""
        done = self._call(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def submit(self, script: str, *options: str) -> str:
        """Id of a batch job that runs lines of bash in the folder `jobs`, with its output in `ID.out`."""
        path = self.folder / "jobs/script"
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        place = [f"--chdir={path.parent}", "--output=%j.out", "--open-mode=append"]
        return self.run("sbatch", "--parsable", *place, *options, str(path)).strip()

    def output(self, job: str) -> str:
        """What a job of `submit` has written."""
        path = self.folder / f"jobs/{job}.out"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def jobs(self) -> list[Job]:
        """Every job since the start, in order of ids, ended ones too."""
        columns = ",".join(f"{name}:{WIDTH}" for name in COLUMNS)
        text = self.run("squeue", "--states=all", "--noheader", "--sort=i", f"--Format={columns}")
        return [Job(*cells(line)) for line in text.splitlines()]

    def job(self, id: str) -> Job:
        """The job of an id."""
        return next(job for job in self.jobs() if job.id == id)

    def wait_for(self, condition: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
        """First true value of `condition`; fails with `what` and the daemons' logs when it stays untrue."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                told = what if isinstance(what, str) else what()
                raise AssertionError(f"not within {seconds} s: {told}\n{self.logs()}")
            time.sleep(0.2)
        return value

    def wait_for_state(self, job: str, state: str, seconds: float = 20) -> Job:
        """The job, once it is in a state."""
        self.wait_for(lambda: self.job(job).state == state, seconds, lambda: f"{state} of {self.job(job)}")
        return self.job(job)

    def logs(self, lines: int = 15) -> str:
        """Last lines of each daemon's log."""
        parts = []
        for path in sorted(self.folder.glob("*.err")):
            # A daemon that stops before it has opened its log has told the reason here.
            path = log if (log := path.with_suffix(".log")).exists() else path
            told = path.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = [line for line in told if "mpi" not in line.lower()][
                -lines:
            ]  # no PMIx, which nobody needs
            parts.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(parts)

    def _call(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=False
        )

    def _spawn(self, name: str, *command: str) -> None:
        # A session of its own: Ctrl-C in a terminal ends the tests, which then end the daemons in good order.
        # pdeathsig: daemons do not outlive tests that are killed.
        with (self.folder / f"{name}.err").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=os.environ | self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _kill(self, name: str, number: signal.Signals) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is not None:
            daemon.send_signal(number)
            daemon.wait(20)


def cells(line: str) -> list[str]:
    """A line of squeue in columns of equal width."""
    return [line[start : start + WIDTH].strip() for start in range(0, WIDTH * len(COLUMNS), WIDTH)]


def remove_cgroups(nodes: Iterable[str]) -> None:
    """Remove the cgroups of nodes that have no process left; Slurm leaves them behind."""
    for cgroup in [path for node in nodes for path in FREEZER.glob(f"slurm_{node}")]:
        for path in [*sorted(cgroup.rglob("*/"), reverse=True), cgroup]:
            path.rmdir()


def family(marker: str) -> list[int]:
    """Processes whose environment holds `marker`, with their descendants; no zombies."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            marked = marker.encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
            found |= {int(folder.name)} if marked else set()
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def shepherds(processes: Iterable[int]) -> set[int]:
    """The slurmstepd that have started any of the processes."""
    found = set()
    for process in processes:
        with contextlib.suppress(OSError):
            parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
            if Path(f"/proc/{parent}/comm").read_text().startswith("slurmstepd"):
                found.add(int(parent))
    return found


def kill(process: int) -> None:
    """SIGKILL to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
