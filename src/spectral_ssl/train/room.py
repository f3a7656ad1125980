"""How much memory a device has left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken on a device.

    On a CPU what the system calls available, or less where a control group (a container, a cluster's job) sets a
    limit: what this leaves, its cached files counted as free.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min([_available(), *_left_in_groups()])


def _available() -> int:
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux: all that the machine has
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_groups() -> Iterator[int]:
    """What every control group above this process leaves; both versions of the kernel's interface."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, total = _GROUPS, ""
            limit, used = "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, total = _GROUPS / "memory", "total_"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        # In a container the path may be the host's, of which only the root can be seen.
        for group in (folder, *folder.parents)[: len(folder.relative_to(root).parts) + 1]:
            try:
                most, now = ((group / name).read_text().strip() for name in (limit, used))
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            except OSError:
                continue
            if most != "max":
                cached = sum(int(stat.get(f"{total}{kind}_file", 0)) for kind in ("active", "inactive"))
                yield int(most) - int(now) + cached
