"""Where the workflow runs: awkward paths, a C locale, no home, one core, a disk that is full or read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .workflow import Faulty

AWKWARD = 'it\'s a "folder" of $HOME, 100% %s; ünï·日本'
C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": None, "PYTHONIOENCODING": None}
NO_HOME = dict.fromkeys(
    ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "MPLCONFIGDIR")
)


def test_an_awkward_path_a_c_locale_no_home_and_one_core(few, project: Faulty, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / AWKWARD)
    copy.run("--cores", "1", copy.few()[0], environment={**C_LOCALE, **NO_HOME}).succeeded()
    digests = copy.digests()
    assert digests
    assert digests.items() <= few[0].digests().items()


@pytest.mark.slow
def test_the_whole_graph_there(whole, project: Faulty, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / AWKWARD)
    copy.run("--cores", "1", environment={**C_LOCALE, **NO_HOME}).succeeded()
    assert copy.digests() == whole[0].digests()


@pytest.mark.parametrize("name", ["a {wildcard}", pytest.param("half {", marks=pytest.mark.slow)])
def test_braces_in_the_path_are_refused_in_a_line(project: Faulty, tmp_path: Path, name: str) -> None:
    copy = project.copy(tmp_path / name)
    done = copy.run("--dry-run", copy.targets().data("digits")[0])
    assert done.status == 1
    assert "Traceback" not in done.text
    said = f"found a brace in the checkout's path {copy.folder}, which Snakemake takes for a wildcard; rename"
    assert sum(said in line for line in done.text.splitlines()) == 1


def with_environment(copy: Faulty) -> Faulty:
    """With the files that make's targets look at, and this interpreter's environment as if installed there."""
    root = Path(__file__).parents[2]
    for name in ("Makefile", "requirements.lock", "requirements-cluster.lock"):
        shutil.copy(root / name, copy.folder)
    environment = copy.folder / ".venv"
    (environment / ".installed").mkdir(parents=True)
    shutil.copy(root / "requirements.lock", environment / ".installed")
    for path in Path(sys.prefix).iterdir():
        if path.name != ".installed":
            (environment / path.name).symlink_to(path)
    return copy


@pytest.mark.slow
@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="needs a virtual environment")
def test_make_in_an_awkward_path_with_a_home_that_cannot_be_written(project: Faulty, tmp_path: Path) -> None:
    copy = with_environment(project.copy(tmp_path / AWKWARD))
    command = ["make", "reproduce", "TIER=tiny.yaml", "ARGS=data --cores 1"]
    nowhere = {**C_LOCALE, **NO_HOME, "HOME": "/dev/null"}
    done = copy.start_command(command, nowhere).wait()
    # Of the tier only data sets were asked for; so the summary says what is missing.
    (line,) = done.errors
    assert "results/ledger.csv is not there" in line
    assert "Finished jobid" in done.text
    assert done.status == 2
    assert (copy.folder / copy.targets().data("factors")[0]).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder]).returncode
    ):
        pytest.skip("needs root and mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_results_on_a_full_disk(few, new: Faulty, small_disk: Path) -> None:
    (new.folder / "results").symlink_to(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2**21 - 2**17))
    failed = new.run(*new.few())
    assert failed.status == 1
    assert "Traceback" not in failed.text
    assert any(line.startswith("error: data_") and "room" in line for line in failed.errors), failed.text[
        -3000:
    ]
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    new.run(*new.few()).succeeded()
    assert new.digests() == few[0].digests()
    assert new.leftovers() == []


@pytest.mark.slow
def test_results_that_may_only_be_read(few, tmp_path: Path) -> None:
    copy = few[0].copy(tmp_path / "copy")
    results = copy.folder / "results"
    digests = copy.digests()
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", results, results]).returncode:
        pytest.skip("needs root and mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", results], check=True)
        copy.run(*copy.few()).succeeded()  # nothing to do
        failed = copy.run("--forceall", *copy.few())
        assert failed.status == 1
        assert "Traceback" not in failed.text
        assert "rite-protected output files" in failed.text
        assert copy.digests() == digests
    finally:
        subprocess.run(["umount", results], check=True)
    copy.run(*copy.few()).succeeded()
    assert copy.digests() == digests
