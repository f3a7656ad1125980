"""Two processes that torchrun started are told to stop: their checkpoint is gone on from by two, and by one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.layout import RUN_FILES, Layout
from spectral_ssl.papers.manifest import Batch, build
from spectral_ssl.provenance import read_json

SETTINGS = (
    *("seeds=1", "jobs.runs_per_batch=1", "probes.names=[few5]", "probes.draws=2", "data.train_limit=200"),
    *("training.epochs=12", "training.optimiser.name=sgd", "levels.optimiser=[sgd]"),
    "engine.checkpoint_seconds=0",  # after every step
)
CLOCKS = ["seconds", "views_per_second", "utilisation"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "spectral_ssl"]


@pytest.fixture(scope="module")
def batch() -> Batch:
    batches = build(load_tier("smoke", SETTINGS)).batches.values()
    return next(batch for batch in batches if batch.runs[0].loss == "vicreg")


@pytest.fixture(scope="module")
def arguments(batch: Batch) -> list[str]:
    changes = [word for value in SETTINGS for word in ("--set", value)]
    return ["--tier", "smoke", *changes, "--batch", batch.id, "--device", "cpu"]


def start(root: Path, arguments: list[str], *extra: str) -> subprocess.Popen[str]:
    """The command in two processes."""
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, "pretrain", "--root", root, *arguments, *extra],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )


def steps(root: Path) -> list[int]:
    """The steps of the checkpoints, ascending."""
    return sorted(int(path.name) for path in root.rglob("checkpoints/*") if path.name.isdecimal())


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> tuple[Path, str]:
    """The folder of a job that got SIGTERM after its first epochs, and what it said."""
    root = tmp_path_factory.mktemp("stopped")
    limit = [word for value in SETTINGS for word in ("--set", value)]
    assert (
        main(["data", "--tier", "smoke", *limit, "--root", str(root), "--quiet", "--dataset", "digits"]) == 0
    )
    job = start(root, arguments)
    while not (done := steps(root)) or done[-1] < 7:
        assert job.poll() is None, job.stderr and job.stderr.read()
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    return root, job.communicate()[1]


def history(root: Path, batch: Batch) -> pd.DataFrame:
    """The finished run's history; no other file is left in the results, and none in the scratch folder."""
    runs = Layout("smoke", root).runs
    found = sorted(str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file())
    assert found == sorted(f"{batch.runs[0].id}/{name}" for name in RUN_FILES)
    assert read_json(runs / batch.runs[0].id / "status.json")["status"] == "finished"
    assert steps(root) == []
    return pd.read_csv(runs / batch.runs[0].id / "history.csv")


def test_sigterm_to_torchrun_leaves_a_checkpoint_of_the_last_step(stopped: tuple[Path, str]) -> None:
    root, said = stopped
    lines = re.findall(
        r"^error: stopped by SIGTERM after step (\d+) .*; the same command goes on", said, re.M
    )
    assert lines == [str(steps(root)[-1])] * 2  # each process says so
    assert not Layout("smoke", root).runs.exists()


def test_one_process_and_two_go_on_alike(
    tmp_path: Path, stopped: tuple[Path, str], arguments: list[str], batch: Batch
) -> None:
    for name in ("one", "two", "never"):
        shutil.copytree(stopped[0], tmp_path / name)
    shutil.rmtree(Layout("smoke", tmp_path / "never").scratch)
    job = start(tmp_path / "two", arguments, "--quiet")
    threads = torch.get_num_threads()
    for name in ("one", "never"):
        assert main(["pretrain", "--root", str(tmp_path / name), *arguments, "--quiet"]) == 0
    torch.set_num_threads(threads)
    said = job.communicate()[1]
    assert job.returncode == 0, said
    one, two, never = (history(tmp_path / name, batch) for name in ("one", "two", "never"))
    # What was measured before the interruption is in both; it is not trained again.
    assert one["seconds"][0] == two["seconds"][0] != never["seconds"][0]
    for found in (one, two):
        pd.testing.assert_frame_equal(found.drop(columns=CLOCKS), never.drop(columns=CLOCKS), rtol=1e-3)


def test_more_devices_than_present_are_refused(
    tmp_path: Path, stopped: tuple[Path, str], arguments: list[str]
) -> None:
    if torch.cuda.device_count() > 1:
        pytest.skip("this machine has a CUDA device for each")
    job = start(stopped[0], arguments, "--device", "cuda")
    said = job.communicate()[1]
    assert job.returncode == 1
    refusal = (
        r"^error: 2 processes on this node need a CUDA device each, but \d CUDA devices are present; .*$"
    )
    assert len(re.findall(refusal, said, re.M)) == 2
