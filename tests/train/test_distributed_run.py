"""The pretrain command under torchrun: SIGTERM stops both processes, and the command in one process goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.layout import RUN_FILES, Layout
from spectral_ssl.papers.manifest import build
from spectral_ssl.provenance import read_json

SETTINGS = (
    *("seeds=1", "jobs.runs_per_batch=1", "probes.names=[few5]", "probes.draws=2", "data.train_limit=200"),
    *("training.epochs=10", "engine.checkpoint_seconds=0"),  # a checkpoint after every step
)
TORCHRUN = ("-m", "spectral_ssl.train.launch", "--standalone", "--nproc-per-node", "2")
SOURCE = Path(__file__).parents[2] / "src"


def steps(root: Path) -> list[int]:
    """The steps of the checkpoints, ascending."""
    return sorted(int(path.name) for path in root.rglob("checkpoints/*") if path.name.isdecimal())


def test_sigterm_to_torchrun_leaves_a_checkpoint_that_one_process_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    batches = build(load_tier("smoke", SETTINGS)).batches.values()
    batch = next(batch for batch in batches if batch.runs[0].loss == "vicreg")
    tier = [
        "--tier",
        "smoke",
        *(word for value in SETTINGS for word in ("--set", value)),
        "--root",
        str(tmp_path),
    ]
    pretrain = ["pretrain", *tier, "--quiet", "--batch", batch.id, "--device", "cpu"]
    assert main(["data", *tier, "--quiet", "--dataset", "digits"]) == 0
    log = tmp_path / "log"
    with log.open("w") as output:
        job = subprocess.Popen(
            [sys.executable, *TORCHRUN, "-m", "spectral_ssl", *pretrain],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stderr=output,
        )
    while not (done := steps(tmp_path)) or done[-1] < 4:  # in the second epoch
        assert job.poll() is None, log.read_text()
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait() == 128 + signal.SIGTERM
    said = re.findall(r"stopped by SIGTERM after step (\d+) .*?; the same command goes on", log.read_text())
    assert said == [str(steps(tmp_path)[-1])] * 2  # each process says so
    layout = Layout("smoke", tmp_path)
    assert not layout.runs.exists()

    threads = torch.get_num_threads()
    assert main(pretrain) == 0
    torch.set_num_threads(threads)
    folder = layout.runs / batch.runs[0].id
    assert read_json(folder / "status.json") == {"run": folder.name, "status": "finished", "epochs": 10}
    assert {path.name for path in layout.runs.rglob("*") if path.is_file()} == set(RUN_FILES)
    assert steps(tmp_path) == []
