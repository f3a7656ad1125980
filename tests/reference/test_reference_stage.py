"""The stage `reference`: item by item, within a time, through interruptions, and what it refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.data.arrays import read_arrays
from spectral_ssl.provenance import read_json, sha256_file
from spectral_ssl.reference.items import asked, read_items
from spectral_ssl.stages import report

from ..stages.test_report import tree
from .made import ITEMS, Bench, one

Made = Callable[[str], Bench]
CHECKOUT = Path(__file__).parents[2]


def test_a_run_is_kept_with_its_provenance_and_without_weights(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(one(1))
    assert here.run() == 0
    (name,) = here.runs
    folder = here.reference.layout.runs / name
    assert {path.name for path in folder.iterdir()} == {
        *("history.csv", "probe.json", "features.npz", "provenance.json", "status.json")
    }
    fresh = here.context.layout.runs / name
    made = read_json(folder / "provenance.json")
    assert made["item"] == "one"
    assert made["device"] == "cpu"
    assert made["settings"]["epochs"] == 1
    assert made["encoder_sha256"] == sha256_file(fresh / "encoder.safetensors")
    assert made["evaluation_seconds"] > 0
    data = here.reference.layout.data("jpeg") / "meta.json"
    assert made["data_sha256"] == sha256_file(data)
    assert read_json(data)["source_sha256"] == sha256_file(here.archive)
    for same in ("history.csv", "probe.json"):
        assert (folder / same).read_bytes() == (fresh / same).read_bytes()
    small = read_arrays(folder / "features.npz", ["embeddings", "agreement"])
    assert small["embeddings"].size == 0
    assert small["agreement"].dtype == np.float16
    assert "nothing is missing" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in here.reference.layout.runs.rglob("*")}
    shutil.rmtree(here.root / "results")  # what is kept needs nothing else
    assert here.run() == 0
    assert before == {path: path.stat().st_mtime_ns for path in here.reference.layout.runs.rglob("*")}


def test_training_needs_no_package_of_the_workflow_or_the_report(bench: Made) -> None:
    """What docs/reference.md names is enough on a machine that only trains."""
    here = bench(one(1))
    names = (
        "snakemake",
        "papermill",
        "nbclient",
        "nbconvert",
        "nbformat",
        "seaborn",
        "matplotlib",
        "latex2mathml",
    )
    code = f"""
import sys
for name in {(*names, "jinja2", "tabulate", "pyarrow", "requests")}:
    sys.modules[name] = None  # importing it is an ImportError
from spectral_ssl.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    words = here.words("--items", str(here.list), "--device", "cpu", "--budget", "100")
    done = subprocess.run(
        [sys.executable, "-c", code, "reference", *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(here.runs) == 1


def test_other_settings_under_the_same_name_are_refused(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(one(1))
    assert here.run() == 0
    assert here.run(training__batch_size="8") == 2
    assert "training.batch_size 16 there and 8 here" in capsys.readouterr().err
    assert here.run(jobs__memory="3000", engine="{checkpoint_seconds: 5}") == 0
    elsewhere = shutil.copy(here.archive, here.root / "elsewhere.tar.xz")
    assert here.run(data__path=str(elsewhere)) == 0
    settings = here.reference.layout.results / "tier.yaml"
    assert read_items(settings.with_name("list.yaml")).keys() == {"one"}


def test_other_images_under_the_same_name_are_refused(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(one(1))
    assert here.run() == 0
    path = here.reference.layout.data("jpeg") / "meta.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"sha256": {', '"sha256": {"x": "0",', 1))
    here.list.write_text(one(2), encoding="utf-8")
    assert here.run() == 2
    assert "describes other images" in capsys.readouterr().err
    assert len(here.runs) == 1


def test_unknown_items_lists_and_missing_data_are_told(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(one(1))
    assert here.run("--item", "two") == 2
    assert "unknown item 'two'" in capsys.readouterr().err
    assert here.run("--items", str(here.root / "no.yaml")) == 2
    assert "no.yaml" in capsys.readouterr().err
    assert here.run(data__path=str(here.root / "no.tar.xz")) == 2
    assert "no.tar.xz" in capsys.readouterr().err
    assert not here.reference.layout.results.exists()


def test_a_run_that_diverged_is_kept_as_one(bench: Made) -> None:
    here = bench(
        "one:\n  title: t\n  runs: [{method: spectral, settings: {epochs: 1, hyperparameters.mu: 1.0e+38}}]\n"
    )
    assert here.run() == 0
    (name,) = here.runs
    assert read_json(here.reference.layout.runs / name / "status.json")["status"] in ("diverged", "finished")


def test_what_cannot_be_measured_holds_nothing_up(bench: Made, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {
        "needs: [no_such_package], seconds: 1": "no_such_package is not installed",
        "seconds: 100000": "takes up to 100000 s",
    }
    for text, told in texts.items():
        here = bench(f"a:\n  title: t\n  benchmark: {{script: engine.py, makes: x, {text}}}\n" + one(1))
        assert here.run("--budget", "60") == 0
        found = capsys.readouterr().out
        assert told in found
        assert "next: a" in found
        assert len(here.runs) == 1


def test_what_fails_is_told_at_the_end_and_holds_nothing_up(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(
        "a:\n  title: t\n  benchmark: {script: no_such.py, makes: x, seconds: 1}\n"
        "b:\n  title: t\n  runs: [{method: vicreg, settings: {epochs: 1, batch_size: 1000}}]\n" + one(1)
    )
    assert here.run("--budget", "60") == 2
    told = capsys.readouterr()
    assert "2 failed, the first a: benchmarks/no_such.py ended with status 2" in told.err
    assert "next: a" in told.out
    assert len(here.runs) == 1
    assert not list(here.reference.layout.results.glob("benchmarks/*"))


def test_showing_runs_nothing(bench: Made, capsys: pytest.CaptureFixture[str]) -> None:
    here = bench(ITEMS)
    assert here.run("--show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(read_items(here.list))
    assert "0 of 3" in lines[0]
    assert lines[-1].startswith("next: table1;")
    assert not here.reference.layout.results.exists()


def test_every_item_is_done_in_turn_and_shown_in_the_report(
    bench: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    here = bench(ITEMS)
    names = list(read_items(here.list))
    for name in names:
        assert here.run("--item", name, "--budget", "600") == 0
        state = next(line for line in capsys.readouterr().out.splitlines() if line.split()[0] == name)
        assert state.split()[1] == ("0" if name == "beside-another" else "done"), state
    manifest = here.context.manifest
    wanted = {
        one.run.id for name, item in read_items(here.list).items() for one in asked(name, item, manifest)
    }
    assert here.runs == wanted
    assert here.run() == 0
    assert "next: beside-another" in capsys.readouterr().out
    ledgers = pd.concat(
        pd.read_csv(path) for path in here.reference.layout.results.glob("tables/*/ledger.csv")
    )
    assert set(ledgers["tier"]) == {"tiny"}
    values = ledgers[ledgers["kind"] == "value"].set_index("entry")
    assert values.loc["table1/spectral/cifar10/200", "verdict"] == "not run at this tier"
    assert values.loc["table1/spectral/cifar10/200", "protocol"].startswith("analogue: jpeg")
    assert 0 < values.loc["table1/spectral/cifar10/200", "measured"] <= 100

    assert report.run(tree(here.root, "smoke")) == 0
    page = (here.root / "results" / "report.html").read_text(encoding="utf-8")
    _, _, shown = page.partition('id="reference"')
    for words in ("Table 1", "the same with a second seed", "3 of 3", "bicubic crops", "the best test epoch"):
        assert words in shown
    assert f"sha256 {sha256_file(here.archive)}" in shown
    assert "tiny (reference)" in page
    for table in ("table1", "table2", "table3", "ablations", "agreement", "augmentation_graph"):
        assert f'id="reference-tiny-table-haochen2021-{table}"' in shown
    for figure in ("figure1", "tuning", "supplement_d", "supplement_e"):
        assert f'id="reference-tiny-figure-garrido2023-{figure}"' in shown
    merged = pd.read_csv(here.root / "results" / "ledger.csv")
    assert (merged["tier"] == "tiny (reference)").sum() == len(ledgers)
