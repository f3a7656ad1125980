"""What faults are tried on: a tier and the process that runs its stages, copies of the project, small disks."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import trials as stage_trials
from .trials import Stages
from .workflow import Faulty, make


@pytest.fixture(scope="session")
def tiny_tier() -> dict[str, Any]:
    """The tier of the workflow's tests, as plain values."""
    path = Path(__file__).parents[1] / "workflow" / "checkout.py"
    text = path.read_text(encoding="utf-8").split('TIER = """')[1].split('"""')[0]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, tiny_tier: dict[str, Any], request: pytest.FixtureRequest
) -> Iterator[Stages]:
    """The process, and a folder with the data sets, or with --trials 100 with all that tables need."""
    with stage_trials.stages(tmp_path_factory.mktemp("undisturbed"), tiny_tier) as found:
        if request.config.getoption("--trials") >= 100:
            found.prepare_all()
        else:
            found.prepare("data")
        yield found


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file system in memory with these options, or, with the folder mounted already, changes them."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if folder.is_mount() else ["-o", options]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *again, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield mounted
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """Nothing run; not to be changed."""
    return make(tmp_path_factory.mktemp("project") / "new")


@pytest.fixture(scope="session")
def few(project: Faulty) -> tuple[Faulty, float]:
    """A few jobs done, and the seconds that they took; not to be changed."""
    copy = project.copy(project.folder.with_name("few"))
    begin = time.monotonic()
    copy.run(*copy.few()).succeeded()
    return copy, time.monotonic() - begin


@pytest.fixture(scope="session")
def whole(project: Faulty) -> tuple[Faulty, float]:
    """Everything done, and the seconds that it took; not to be changed."""
    copy = project.copy(project.folder.with_name("whole"))
    begin = time.monotonic()
    copy.run().succeeded()
    return copy, time.monotonic() - begin


@pytest.fixture
def new(project: Faulty, tmp_path: Path) -> Faulty:
    """A copy of its own with nothing run."""
    return project.copy(tmp_path / "new")


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Callable[[int], range]:
    """The numbers of a test's trials, `share` hundredths of all that are asked for; at least one."""
    return lambda share: range(max(1, request.config.getoption("--trials") * share // 100))
