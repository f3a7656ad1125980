"""Runs that are stopped again and again, for test_killed_run.py; it writes what became of them and judges nothing.

Every life of a run is a process of its own, forked so that torch is imported once. Usage: killed_run.py FOLDER, which
holds `digits` (ingested) and `plans.json`: by name, a run's settings, the seconds between checkpoints and the
stops, each {"signal": number, "step": step, "wait": seconds} or {"write": count}. After these a run lives to its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # by optimisers at their first step, in seconds: here once for all lives
from safetensors.torch import save_file

from spectral_ssl.data.sources import load
from spectral_ssl.engine import Engine
from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import train

LIMIT = 60.0  # seconds that a life may last


def live(folder: Path, plan: dict[str, Any], stop: dict[str, Any], begun: int) -> int:
    """One life of the run, to its end or its stop; the process's exit status."""
    if "write" in stop:
        die_at_write(stop["write"])
    run = RunSettings(**plan["run"])
    images = Images.of(load(folder.parent / "digits"), torch.device("cpu"))
    engine = Engine(checkpoint_seconds=plan["seconds"])
    try:
        trained = train(run, images, folder / "scratch", engine=engine, progress=lambda *_: tell(begun))
    except UserError as error:
        with (folder / "said.txt").open("a") as file:
            print(error, file=file)
        return error.exit_code
    save_file(
        {name: value.contiguous() for name, value in trained.method.state_dict().items()},
        folder / "weights.safetensors",
    )
    (folder / "history.json").write_text(json.dumps(trained.history))
    return 0


def tell(begun: int) -> None:
    """Say that an epoch is over."""
    os.write(begun, b"e")


def die_at_write(count: int) -> None:
    """Kill this process when it brings a file or folder to the disk for the `count`-th time."""
    calls, fsync = [], os.fsync

    def deadly(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = deadly


def saved(folder: Path) -> list[str]:
    """The names of what lies beside the checkpoints, and of these."""
    place = folder / "scratch" / "checkpoints"
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def newest(folder: Path) -> int:
    """The newest checkpoint's step, -1 without one."""
    return max((int(name) for name in saved(folder) if name.isdecimal()), default=-1)


def wait_for(folder: Path, step: int, begun: int) -> None:
    """Wait until the run has saved this step or, for step 0, has finished an epoch of this life."""
    if step == 0:
        os.read(begun, 1)
    else:
        deadline = time.monotonic() + LIMIT
        while newest(folder) < step and time.monotonic() < deadline:
            time.sleep(0.0005)


def stopped(folder: Path, plan: dict[str, Any], stop: dict[str, Any]) -> dict[str, Any]:
    """Let the run live until its stop, and say how it ended and what it left."""
    read, write = os.pipe()
    if not (child := os.fork()):
        signal.alarm(int(LIMIT))
        os._exit(live(folder, plan, stop, write))
    os.close(write)
    if "signal" in stop:
        wait_for(folder, stop["step"], read)
        time.sleep(stop["wait"])
        os.kill(child, stop["signal"])
    asked = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(read)
    return {
        "status": status,
        "seconds": time.monotonic() - asked,
        "left": saved(folder),
        "step": newest(folder),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, plan in json.loads((Path(sys.argv[1]) / "plans.json").read_text()).items():
        place = Path(sys.argv[1]) / name
        place.mkdir()
        lives = [stopped(place, plan, stop) for stop in [*plan["stops"], {}]]
        (place / "lives.json").write_text(json.dumps(lives))
