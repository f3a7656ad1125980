"""How much memory is free: what the system says, and what control groups leave of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from spectral_ssl.train import room
from spectral_ssl.train.room import free_memory

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GiB available and no control groups."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  16777216 kB\nMemAvailable:  8388608 kB\n")
    monkeypatch.setattr(room, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(room, "_GROUPS", tmp_path / "cgroup")
    return tmp_path


def member(system: Path, *lines: str) -> None:
    (system / "proc" / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def group(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def test_this_machine_has_some() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory(CPU) <= pages


def test_without_a_group_the_system_says(system: Path) -> None:
    assert free_memory(CPU) == 8 * GIB
    member(system, "0::/", "3:cpuset:/here")
    assert free_memory(CPU) == 8 * GIB


def test_a_container_may_use_what_its_limit_leaves_beside_cached_files(system: Path) -> None:
    member(system, "0::/")
    stat = f"anon {GIB}\nactive_file {GIB // 2}\ninactive_file {GIB // 4}"
    files = {"memory.max": 3 * GIB, "memory.current": 2 * GIB, "memory.stat": stat}
    group(system / "cgroup", files)
    assert free_memory(CPU) == GIB + GIB * 3 // 4
    group(system / "cgroup", {"memory.max": "max"})
    assert free_memory(CPU) == 8 * GIB


def test_a_jobs_limit_holds_for_the_groups_below_it(system: Path) -> None:
    member(system, "0::/slurm/job_7/step_0/task_0")
    free = {"memory.max": "max", "memory.current": GIB, "memory.stat": "anon 5"}
    for name in ("slurm", "slurm/job_7/step_0", "slurm/job_7/step_0/task_0"):
        group(system / "cgroup" / name, free)
    group(system / "cgroup" / "slurm" / "job_7", free | {"memory.max": 2 * GIB})
    assert free_memory(CPU) == GIB


def test_the_older_interface_is_read_and_a_hosts_path_that_cannot_be_seen(system: Path) -> None:
    member(system, "9:cpu,cpuacct:/docker/abc", "4:memory:/docker/abc", "0::/")
    stat = f"inactive_file 1\ntotal_inactive_file {GIB}\ntotal_active_file 0"
    files = {"memory.limit_in_bytes": 4 * GIB, "memory.usage_in_bytes": 3 * GIB, "memory.stat": stat}
    group(system / "cgroup" / "memory", files)
    assert free_memory(CPU) == 2 * GIB
    group(system / "cgroup" / "memory", {"memory.limit_in_bytes": 2**63 - 4096})
    assert free_memory(CPU) == 8 * GIB


def test_elsewhere_than_on_linux_all_of_it_counts(system: Path) -> None:
    (system / "proc" / "meminfo").unlink()
    assert free_memory(CPU) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 * GIB, 8 * GIB))
    assert free_memory(torch.device("cuda")) == 5 * GIB
