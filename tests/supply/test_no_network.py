"""Nothing asks for a network: stages, and with `--slow` a whole tier, where not even the loopback interface is up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ..workflow.checkout import Checkout, copy_project, plain_environment, snakemake_words

CHILD = Path(__file__).with_name("all_stages.py")
STAGES = (
    "data",
    "views",
    "theorems --paper garrido2023 --only welch",
    "pretrain --device cpu --batch {batch}",
    "notebook --paper garrido2023",
)
TRIES = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=2)"


@cache
def alone() -> tuple[str, ...]:
    """What starts a command without a network; skips where this user may make no namespace."""
    for words in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return ()


@pytest.fixture
def without_network() -> tuple[str, ...]:
    return alone() or pytest.skip("this system lets this user make no network namespace")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("offline")
    copy_project(folder)
    return Checkout(folder)


def run(words: tuple[str, ...] | list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = plain_environment() | {"PYTHONPATH": str(folder / "src")}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_namespace_has_no_network(without_network: tuple[str, ...], tmp_path: Path) -> None:
    done = run([*without_network, sys.executable, "-c", TRIES], tmp_path)
    assert "Network is unreachable" in done.stderr
    assert "Connection refused" in run([sys.executable, "-c", TRIES], tmp_path).stderr


def test_stages_ask_for_no_address(without_network: tuple[str, ...], checkout: Checkout) -> None:
    batch = checkout.stage("plan", "--batches").stdout.split()
    audit = checkout.folder / "audit.txt"
    named = next(word for word in batch if word.startswith("digits-"))
    commands = [stage.format(batch=named) for stage in STAGES]
    words = [*without_network, sys.executable, str(CHILD), str(audit), "tiny.yaml", *commands]
    done = run(words, checkout.folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert audit.read_text(encoding="utf-8") == ""
    assert (checkout.folder / "results/tiny/reports/garrido2023.html").is_file()


def test_the_audit_sees_what_asks(tmp_path: Path) -> None:
    """A stage that asks is found: here `own` reads a loss whose file connects when it is run."""
    copy_project(tmp_path)
    loss = f"{TRIES}\ndef asks(z1, z2):\n    return {{}}\n"
    (tmp_path / "asks.py").write_text(loss, encoding="utf-8")
    words = [sys.executable, str(CHILD), "audit.txt", "tiny.yaml", "data", "own --loss asks.py --device cpu"]
    done = run(words, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "socket.connect (('127.0.0.1', 9),)" in (tmp_path / "audit.txt").read_text(encoding="utf-8")


def addresses(trace: str) -> list[str]:
    """Calls of a trace that name an address of IPv4 or IPv6, looking one up included; binding names one's own."""
    lines = [line for line in trace.splitlines() if re.search(r"\bAF_INET6?\b", line)]
    return [line for line in lines if not re.search(r"\bbind\(", line)]


def test_an_address_in_a_trace_is_found() -> None:
    other = '7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 0'
    near = '7 connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0'
    own = '7 bind(4, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0'
    assert addresses("\n".join([near, own, other])) == [other]


@pytest.mark.slow
def test_a_whole_tier_asks_for_no_address(without_network: tuple[str, ...], tmp_path: Path) -> None:
    """Every job and every process it starts, kernels of notebooks included, to the end."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    copy_project(tmp_path)
    trace = tmp_path / "trace.txt"
    calls = "trace=connect,sendto,sendmsg,sendmmsg,bind"
    watch = ["strace", "--follow-forks", "--quiet=all", "-e", calls, "-o", str(trace)]
    words = [*watch, sys.executable, *snakemake_words(("--cores", str(os.cpu_count())), "tiny.yaml")]
    done = run([*without_network, *words], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = trace.read_text(encoding="utf-8", errors="replace")
    assert "AF_UNIX" in found  # the trace is one: kernels are spoken to
    assert addresses(found) == []
    assert len(list(tmp_path.glob("results/tiny/reports/*.html"))) == 3
    assert (tmp_path / "results/report.html").is_file()
