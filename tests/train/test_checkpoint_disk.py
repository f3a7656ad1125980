"""Checkpoints on a disk that fills up, refuses or loses its writer: the earlier ones stay whole."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from spectral_ssl.errors import UserError
from spectral_ssl.train.checkpoint import Checkpoints

CPU = torch.device("cpu")
WEIGHTS = {"weight": torch.arange(6.0)}


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        assert checkpoints.save(WEIGHTS, {"step": step}, step)


def newest(folder: Path) -> int:
    found = Checkpoints(folder, {}).load(CPU)
    assert found is not None
    assert torch.equal(found[0]["weight"], WEIGHTS["weight"])
    step: int = found[1]["step"]
    return step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from spectral_ssl.train.checkpoint import Checkpoints
from spectral_ssl.train import checkpoint_files as files

torch.set_num_threads(1)
CPU, STEPS, MOVES = torch.device("cpu"), [1, 2, 2, 3], ("open", "os.", "shutil.")

def child(folder, kill_at, pipe):
    seen = 0
    def hook(event, _):
        nonlocal seen
        seen += armed and event.startswith(MOVES)
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    armed = False
    sys.addaudithook(hook)
    checkpoints = Checkpoints(folder, {})
    for count, step in enumerate(STEPS):
        armed = True
        checkpoints.save({"w": torch.full((4,), float(count))}, {"count": count}, step)
        armed = False
        os.write(pipe, b"x")
    os._exit(0)

for kill_at in range(1, 10000):
    folder = Path(sys.argv[1]) / str(kill_at)
    read, write = os.pipe()
    if not (pid := os.fork()):
        child(folder, kill_at, write)
    os.close(write)
    status = os.waitpid(pid, 0)[1]
    done = len(os.read(read, 100))
    found = Checkpoints(folder, {}).load(CPU)
    weights, state = found or ({"w": torch.full((4,), -1.0)}, {"count": -1})
    left = sorted(os.listdir(folder / "checkpoints")) if (folder / "checkpoints").exists() else []
    for name in left:
        files.read(folder / "checkpoints" / name)
    print(json.dumps([done, state["count"], set(weights["w"].tolist()) == {state["count"]}, left]))
    if status == 0:
        break
"""


def test_killed_at_every_call_to_the_file_system_leaves_whole_checkpoints(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(outcomes) > 50
    for done, count, belongs, left in outcomes:
        assert count in (done - 1, done)  # the last one saved, or the one that was being saved
        assert belongs
        assert all(name.isdecimal() for name in left)
    assert {done for done, *_ in outcomes} == {0, 1, 2, 3, 4}
    assert outcomes[-1] == [4, 3, True, ["000000000002", "000000000003"]]


def test_files_reach_the_disk_before_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.split(".")[0])
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        order.append(f"rename to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    save(Checkpoints(tmp_path, {}), 1)
    assert order == ["weights", "state", "manifest", "", "rename to 000000000001", "checkpoints"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=20)


def test_a_full_disk_is_a_warning_and_keeps_what_there_is(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(disk, {})
    save(checkpoints, 1, 2)
    large = {"weight": torch.zeros(2**19)}  # 2 MiB
    for step in (3, 4):
        assert not checkpoints.save(large, {"epoch": step}, step)
    assert names(disk) == ["000000000001", "000000000002"]
    assert len(caplog.messages) == 1  # said once
    text = caplog.messages[0].replace(str(disk), "DISK")
    assert text.startswith(
        "no checkpoint written in DISK/checkpoints: No space left on device; 2.0 MiB are needed "
    )
    assert "and 1.0 MiB are free; training goes on without: make room there, or a stop costs" in text
    assert newest(disk) == 2
    save(checkpoints, 5)
    assert names(disk) == ["000000000002", "000000000005"]


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_failing_write_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at: int, number: int
) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    save(checkpoints, 1)
    calls: list[int] = []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == at:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    if number == errno.EROFS:
        with pytest.raises(
            UserError, match=r"cannot write checkpoints in .*: Read-only file system; make the"
        ):
            checkpoints.save(WEIGHTS, {}, 2)
    else:
        assert not checkpoints.save(WEIGHTS, {}, 2)
        assert os.strerror(number) in caplog.text
        assert caplog.records[0].levelno == logging.WARNING
    whole = ["000000000001", "000000000002"][: 1 + (at == 5)]  # the fifth comes after the renaming
    assert names(tmp_path) == whole
