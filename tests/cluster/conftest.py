"""A real Slurm on this machine, for `python -m pytest tests/cluster --cluster`; without the option all is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..workflow.checkout import copy_project
from .environment import make_environment
from .slurm import PROGRAMS, Slurm
from .snakemake import ClusterCheckout

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster", action="store_true", help="run tests/cluster on a real Slurm (Debian, root)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--cluster"):
        return
    reason = "starts a real Slurm: python -m pytest tests/cluster --cluster (on Debian, as root)"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def packages() -> None:
    """Slurm and munge, from Debian's packages where they are not installed."""
    if os.geteuid() != 0:
        pytest.fail("Slurm's daemons start jobs as root; run these tests as root", pytrace=False)
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        pytest.fail(f"found no {', '.join(missing)} and no apt-get; install Slurm and munge", pytrace=False)
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]):
        done = subprocess.run(
            ["apt-get", "--quiet", *words],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"apt-get {' '.join(words)}: {done.stderr[-1000:]}", pytrace=False)


@pytest.fixture(scope="session")
def slurm(packages: None) -> Iterator[Slurm]:
    """A running Slurm; nothing of it is left afterwards."""
    cluster = Slurm()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def environment_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of an environment that has the executor plugins."""
    return make_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def new_checkout(
    slurm: Slurm, environment_of_its_own: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], ClusterCheckout]:
    """Makes a copy of the project in which nothing has been run, for a test that must not see others' results."""

    def make() -> ClusterCheckout:
        folder = tmp_path_factory.mktemp("checkout")
        copy_project(folder)
        return ClusterCheckout(folder, environment_of_its_own, slurm)

    return make


@pytest.fixture(scope="session")
def checkout(new_checkout: Callable[[], ClusterCheckout]) -> ClusterCheckout:
    """A copy of the project that tests share, results included."""
    return new_checkout()
