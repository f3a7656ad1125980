"""Jobs that are killed or fail: siblings go on, the failure is one line with its cause, the next run completes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from .workflow import Faulty

KILLED = """

import os
import sys

if "digits" in sys.argv:
    os.kill(os.getpid(), 9)
"""
FULL = """

import sys

if "digits" in sys.argv:
    raise OSError(28, "No space left on device", "here")
"""
GREEDY = """

import sys

if "digits" in sys.argv:
    held = bytearray(4 * 2**30)
"""
CGROUPS = Path("/sys/fs/cgroup/memory")


def broken_then_repaired(new: Faulty, code: str, before: tuple[str, ...] = ()) -> str:
    """The error line of a run whose stage `data` ends with that code, for one of two data sets."""
    stage = new.folder / "src/spectral_ssl/stages/data.py"
    text = stage.read_text(encoding="utf-8")
    stage.write_text(text + code, encoding="utf-8")
    targets = [new.targets().data(name)[0] for name in ("digits", "factors")]
    failed = new.start(*targets, before=before).wait()
    assert failed.status == 1
    assert "Traceback" not in failed.text
    assert not (new.folder / targets[0]).exists()
    assert (new.folder / targets[1]).exists()  # a sibling
    stage.write_text(text, encoding="utf-8")
    new.run(*targets).succeeded()
    assert (new.folder / targets[0]).exists()
    (line,) = [line for line in failed.errors if line.startswith("error: data_digits")]
    return line


def test_a_job_that_is_killed_is_named_with_its_cause(new: Faulty) -> None:
    line = broken_then_repaired(new, KILLED)
    assert line.startswith("error: data_digits: killed (SIGKILL), perhaps for want of memory: ")


@pytest.fixture
def one_gibibyte() -> Iterator[tuple[str, ...]]:
    """A command that puts what follows it into a memory cgroup of a gibibyte."""
    group = CGROUPS / f"spectral_ssl_{os.getpid()}"
    if os.geteuid() != 0 or not (CGROUPS / "memory.limit_in_bytes").exists():
        pytest.skip("needs root and a memory controller of cgroups v1")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(2**30))
    yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
    group.rmdir()


@pytest.mark.slow
def test_the_kernel_kills_a_job_for_memory(new: Faulty, one_gibibyte: tuple[str, ...]) -> None:
    line = broken_then_repaired(new, GREEDY, one_gibibyte)
    assert line.startswith("error: data_digits: killed (SIGKILL), perhaps for want of memory: ")


@pytest.mark.slow
def test_a_job_that_refuses_is_named_with_its_own_line(new: Faulty) -> None:
    line = broken_then_repaired(new, FULL)
    assert line == (
        "error: data_digits: here: No space left on device; check the path, its rights and the room on its disk"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "its kernel died"),
    ],
)
def test_a_notebook_cell_that_fails(whole, tmp_path: Path, cell: str, said: str) -> None:
    copy = whole[0].copy(tmp_path / "copy")
    notebook = copy.folder / "notebooks/haochen2021.ipynb"
    text = notebook.read_text(encoding="utf-8")
    broken = nbformat.reads(text, 4)
    broken.cells[-1] = nbformat.v4.new_code_cell(cell)
    nbformat.write(broken, notebook, version=4)
    reports = copy.folder / "results/tiny/reports"
    other = reports / "garrido2023.ipynb"
    other.unlink()
    failed = copy.run()
    (line,) = [line for line in failed.errors if line.startswith("error: notebook_")]
    assert failed.status == 1
    assert line.startswith("error: notebook_haochen2021: notebooks/haochen2021.ipynb")
    assert said in line
    assert not list(reports.glob("haochen2021.*"))
    assert other.exists()
    notebook.write_text(text, encoding="utf-8")
    copy.run().succeeded()
    assert copy.digests() == whole[0].digests()
    assert copy.leftovers() == []
