"""The pretrain command: files, exit statuses and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.papers.manifest import Batch, build
from spectral_ssl.provenance import read_json

SMALL = (
    "seeds=1",
    "jobs.runs_per_batch=1",
    "probes.names=[knn, few5]",
    "probes.draws=2",
    "training.epochs=1",
    "levels.epochs=[1]",
)
WILD = "training.optimiser.learning_rate=1.0e+30"


def overrides(*extra: str) -> list[str]:
    return [word for value in (*SMALL, *extra) for word in ("--set", value)]


def a_batch(loss: str, *extra: str) -> Batch:
    batches = build(load_tier("smoke", [*SMALL, *extra])).batches.values()
    return next(batch for batch in batches if batch.runs[0].loss == loss)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command sets the number of threads for its process; here it must not outlive a test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ingested")
    assert main(["data", "--tier", "smoke", "--root", str(root), "--quiet"]) == 0
    return root


@pytest.fixture
def root(ingested: Path, tmp_path: Path) -> Path:
    """A folder with the smoke tier's data and nothing else."""
    shutil.copytree(ingested, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def pretrain(root: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """Run the command in this process; its exit status and the lines of its stderr."""

    def command(batch: str, *arguments: str, quiet: bool = True) -> tuple[int, list[str]]:
        line = ["pretrain", "--tier", "smoke", "--root", str(root), "--device", "cpu", "--batch", batch]
        status = main([*line, *(["--quiet"] if quiet else []), *arguments])
        captured = capfd.readouterr()
        assert captured.out == ""
        return status, captured.err.splitlines()

    return command


Command = Callable[..., tuple[int, list[str]]]


def runs(root: Path) -> Path:
    return root / "results" / "smoke" / "runs"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def untouched(root: Path) -> bool:
    """Whether nothing but the data and their receipts are there."""
    files = {path.relative_to(root / "results") for path in (root / "results").rglob("*") if path.is_file()}
    return {path.parts[:2] for path in files} == {("smoke", "data"), ("smoke", "receipts")} and {
        path.parts[2] for path in files if path.parts[1] == "receipts"
    } == {"data"}


def test_a_batch_by_command(pretrain: Command, root: Path) -> None:
    batch = a_batch("vicreg")
    run = batch.runs[0]
    assert pretrain(batch.id, *overrides()) == (0, [])
    assert files(runs(root)) == sorted(f"{run.id}/{name}" for name in RUN_FILES)
    assert read_json(runs(root) / run.id / "status.json") == {
        "run": run.id,
        "status": "finished",
        "epochs": 1,
    }
    assert read_json(runs(root) / run.id / "provenance.json")["settings"] == run.model_dump(mode="json")
    assert {"knn", "few5", "online"} <= read_json(runs(root) / run.id / "probe.json").keys()


def test_a_batch_by_a_process_of_its_own(root: Path) -> None:
    batch = a_batch("simclr", "jobs.runs_per_batch=2")
    line = ["pretrain", "--tier", "smoke", "--root", str(root), "--device", "cpu", "--batch", batch.id]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "spectral_ssl", *line, *overrides("jobs.runs_per_batch=2")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": "src"},
    )
    assert (done.returncode, done.stdout) == (0, "")
    shown = done.stderr.splitlines()
    assert [text.split()[:3] for text in shown] == [[run.id, "epoch", "1/1"] for run in batch.runs]
    assert all(" loss " in text and " online " in text and " views/s, " in text for text in shown)
    assert len(batch.runs) == 2
    assert files(runs(root)) == sorted(f"{run.id}/{name}" for run in batch.runs for name in RUN_FILES)


def refused(pretrain: Command, root: Path, batch: str, *arguments: str) -> str:
    """The message of a command that must exit 2 with one line and leave nothing."""
    status, lines = pretrain(batch, *arguments)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert untouched(root)
    return lines[0].removeprefix("error: ")


def test_unknown_batch_names_the_nearest(pretrain: Command, root: Path) -> None:
    batch = a_batch("vicreg")
    wrong = batch.id[:-1] + "z"
    message = refused(pretrain, root, wrong, *overrides())
    assert message.startswith(f"unknown batch '{wrong}'; did you mean '{batch.id}'? known: ")


def test_batch_larger_than_the_data_set(pretrain: Command, root: Path) -> None:
    size = "training.batch_size=301"
    message = refused(pretrain, root, a_batch("vicreg", size).id, *overrides(size))
    assert message == (
        "batch_size is 301, but digits has 300 training images; set training.batch_size to at most 300"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.projector=d--d", "head 'd--d' is not understood; accepted: widths joined by '-'"),
        ("training.encoder=conv_narow", "unknown encoder 'conv_narow'; did you mean 'conv_narrow'? known: "),
        (
            "data.name=digts",
            "unknown data set 'digts'; did you mean 'digits'? known: cifar10, cifar100, digits",
        ),
        (
            "recipes.vicrag.projector=d-d",
            "unknown method in recipes 'vicrag'; did you mean 'vicreg'? known: ",
        ),
        ("training.batchsize=8", "config/smoke.yaml: unknown key 'batchsize'; did you mean 'batch_size'? "),
        ("training.batch_size=1", "config/smoke.yaml: 'training.batch_size' is 1: input should be greater "),
    ],
    ids=["projector", "encoder", "data set", "method", "key", "batch of one"],
)
def test_settings_that_cannot_be(pretrain: Command, root: Path, override: str, message: str) -> None:
    assert refused(pretrain, root, a_batch("vicreg").id, *overrides(override)).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.augmentation=digits_afine",
            "unknown augmentation 'digits_afine'; did you mean 'digits_affine'? known: ",
        ),
        (
            "recipes.vicreg.hyperparameters.varience=1",
            "unknown hyperparameter of vicreg 'varience'; did you mean 'variance'? known: ",
        ),
        ("training.encoder=resnet50", "encoder 'resnet50' takes images of 64 px or more; found 8 px; use "),
    ],
    ids=["augmentation", "hyperparameter", "encoder"],
)
def test_settings_that_the_run_cannot_use(pretrain: Command, root: Path, override: str, message: str) -> None:
    batch = a_batch("vicreg", override)
    status, lines = pretrain(batch.id, *overrides(override))
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")
    assert not runs(root).exists()


def test_unknown_loss_of_a_method(pretrain: Command, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectral_ssl.papers import manifest

    read = manifest.read

    def misspelt(name: str) -> Any:
        found = read(name)
        return found | {"vicreg": {**found["vicreg"], "loss": "vicrag"}} if name == "methods.yaml" else found

    batch = a_batch("vicreg")
    monkeypatch.setattr(manifest, "read", misspelt)
    message = refused(pretrain, root, batch.id, *overrides())
    assert message.startswith("unknown loss 'vicrag'; did you mean 'vicreg'? known: ")


def test_unknown_tier(pretrain: Command, root: Path) -> None:
    message = refused(pretrain, root, "any", "--tier", "smke")
    assert (
        message == "unknown tier 'smke'; did you mean 'smoke'? known: cluster, gpu, imagenet, laptop, smoke"
    )


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "mps", "meta"])
def test_unknown_device(pretrain: Command, root: Path, device: str) -> None:
    message = refused(pretrain, root, a_batch("vicreg").id, *overrides(), "--device", device)
    assert message == f"unknown device '{device}'; expected cpu, cuda or cuda:<index>"


def test_absent_device(pretrain: Command, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    message = refused(pretrain, root, a_batch("vicreg").id, *overrides(), "--device", "cuda:1")
    assert message == "device 'cuda:1' asked for, but 1 CUDA devices are present; use cpu"


def test_data_not_ingested(pretrain: Command, root: Path) -> None:
    shutil.rmtree(root / "results" / "smoke" / "data" / "digits")
    message = refused(pretrain, root, a_batch("vicreg").id, *overrides())
    assert message.startswith(f"{root}/results/smoke/data/digits/meta.json is missing: ")


def test_divergence_exits_3_with_results(pretrain: Command, root: Path) -> None:
    batch = a_batch("vicreg", WILD)
    run = batch.runs[0]
    status, lines = pretrain(batch.id, *overrides(WILD))
    assert status == 3
    assert len(lines) == 1
    found = read_json(runs(root) / run.id / "status.json")
    assert lines[0] == (
        f"error: 1 of 1 runs diverged; first {run.id}: term '{found['term']}' is not finite at epoch 1, "
        f"step {found['step']}; try a lower learning rate or longer warm-up"
    )
    assert found["status"] == "diverged"
    assert files(runs(root)) == sorted(f"{run.id}/{name}" for name in RUN_FILES)
    assert read_json(runs(root) / run.id / "probe.json") == {}
    assert pd.read_csv(runs(root) / run.id / "history.csv").empty


def test_debug_raises(pretrain: Command, root: Path) -> None:
    with pytest.raises(UserError, match=r"^unknown batch 'none'; known: digits-"):
        pretrain("none", *overrides(), "--debug")
    with pytest.raises(Divergence, match=r"^1 of 1 runs diverged; first digits-vicreg-"):
        pretrain(a_batch("vicreg", WILD).id, *overrides(WILD), "--debug")


def test_interruption_exits_130(pretrain: Command, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectral_ssl.train import job

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "train_together", interrupted)
    status, lines = pretrain(a_batch("vicreg").id, *overrides())
    assert (status, lines) == (130, ["error: interrupted; the next run resumes"])
    assert not runs(root).exists()


def test_a_defect_exits_1_in_one_line(pretrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectral_ssl.train import job

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(job, "train_together", broken)
    status, lines = pretrain(a_batch("vicreg").id, *overrides())
    assert status == 1
    assert lines == ["error: ZeroDivisionError: division by zero (a defect: --debug shows where)"]
