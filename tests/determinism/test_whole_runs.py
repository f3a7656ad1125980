"""Two whole runs of the tiny tier, by the workflow, on another number of cores and in another environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ..workflow.checkout import copy_project, plain_environment, snakemake_words

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

PLAIN = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
OTHER = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first, second = (tmp_path_factory.mktemp(name) for name in ("two cores", "one core"))
    running = []
    for folder, cores, environment, umask in ((first, "2", PLAIN, 0o022), (second, "1", OTHER, 0o077)):
        copy_project(folder)
        running.append(
            subprocess.Popen(
                [sys.executable, *snakemake_words(("--cores", cores), "tiny.yaml")],
                cwd=folder,
                env=plain_environment() | environment,
                umask=umask,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], told[0][-3000:] + told[1][-3000:]
    return first, second


@pytest.mark.slow
def test_every_file_but_the_exempt_is_the_same(comparing: ModuleType, both: tuple[Path, Path]) -> None:
    found = comparing.compare(*both, tier="tiny")
    assert (found.different, found.missing, found.changed) == ({}, [], []), comparing.told(found)
    assert found.agree
    assert {"results/ledger.csv", "results/theorems.csv"} <= set(found.identical)
    assert {Path(name).suffix for name in found.identical} >= {".pdf", ".svg", ".png", ".tex", ".safetensors"}
