"""The same stage twice at once: a batch is refused in one line, whatever else is written is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spectral_ssl.data.partial import replacing as folder_replacing
from spectral_ssl.errors import UserError
from spectral_ssl.locks import locked, one_process
from spectral_ssl.provenance import replacing

from . import trials
from .trials import Stages

HOLD = """
import sys, time
from pathlib import Path
from spectral_ssl.locks import one_process
with one_process(Path(sys.argv[1]), "training of a run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_batch_that_is_trained_twice_at_once_is_refused_in_one_line(
    prepared: Stages, tmp_path: Path
) -> None:
    alone, work = prepared.prepare("pretrain"), prepared.works["pretrain"]
    folder = prepared.copy(tmp_path / "both", without=work)
    # Of several one trains; the others find its lock, or its finished files if they come late.
    found = prepared.ask(folder, [list(prepared.words(work))] * 4)
    refused = [one for one in found if one["status"] == 2]
    assert {one["status"] for one in found} == {0, 2}, found
    (line,) = refused[-1]["said"].splitlines()
    assert line.startswith("error: pretrain/digits-byol")
    assert "is under way already in process " in line
    assert trials.contents(folder, work) == alone["contents"]
    assert trials.litter(folder) == []


@pytest.mark.parametrize("stage", ["data", "views", "networks"])
def test_other_stages_twice_at_once_leave_whole_files(prepared: Stages, tmp_path: Path, stage: str) -> None:
    alone, work = prepared.prepare(stage), prepared.works[stage]
    folder = prepared.copy(tmp_path / "both", without=work)
    found = prepared.ask(folder, [list(prepared.words(work))] * 3)
    assert {one["status"] for one in found} in ({0, 2}, {0}), found  # a late one may find nobody there
    refused = [one["said"] for one in found if one["status"]]
    assert all("is under way already in process" in line for line in refused), found
    assert trials.contents(folder, work) == alone["contents"]
    assert trials.litter(folder) == []


def test_the_lock_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    lock = tmp_path / ".run.lock"
    environment = os.environ | {"PYTHONPATH": str(trials.SOURCE)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(
                UserError, match=rf"^a run is under way already in process {holder.pid} on .* since 20"
            ),
            one_process(lock, "a run"),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    assert lock.exists()
    with one_process(lock, "a run"):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
    assert not lock.exists()


def test_who_waited_for_a_lock_has_the_file_that_has_the_name_then(tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = locked(path, wait=True)
    assert first is not None
    assert locked(path, wait=False) is None
    found: list[bool] = []

    def second() -> None:
        file = locked(path, wait=True)
        assert file is not None
        with file:
            found.append(os.path.samestat(os.fstat(file.fileno()), path.stat()))

    waiting = threading.Thread(target=second)
    waiting.start()
    path.rename(tmp_path / "elsewhere")
    first.close()
    waiting.join(10)
    assert found == [True]


def test_writers_of_one_file_leave_one_whole_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    (tmp_path / ".text.part").write_text("what a killed process left, longer than what comes" * 100)

    def write(letter: str) -> None:
        for _ in range(20):
            with replacing(path) as file:
                for _ in range(50):
                    file.write(letter.encode())
                    file.flush()

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert path.read_text() in {letter * 50 for letter in "abcd"}
    assert [one.name for one in tmp_path.iterdir()] == ["text"]


def test_a_failed_writer_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("earlier")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "of it"])  # type: ignore[list-item]
    assert [one.name for one in tmp_path.iterdir()] == ["text"]
    assert path.read_text() == "earlier"


def test_folders_that_end_at_once_leave_one_whole(tmp_path: Path) -> None:
    def write(letter: str) -> None:
        for _ in range(10):
            with folder_replacing(tmp_path / "out", 1) as part:
                for name in ("one", "two"):
                    (part / name).write_text(letter)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert len({(tmp_path / "out" / name).read_text() for name in ("one", "two")}) == 1
