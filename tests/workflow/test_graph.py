"""The graph on a tiny tier: one run, then what reruns and what does not."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.papers import PAPERS
from spectral_ssl.targets import Targets

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

DRAWN = {f"{kind}_{paper}" for kind in ("tables", "figures", "notebook") for paper in PAPERS} | {"report"}


def targets(folder: Path) -> Targets:
    return Targets({"tier": str(folder / "tiny.yaml")}, folder / "config")


def methods(rules: set[str]) -> set[str]:
    """The data sets and methods of the pretraining rules, `pretrain_<data set>_<method>_<hash>`."""
    return {
        rule.removeprefix("pretrain_").rpartition("_")[0] for rule in rules if rule.startswith("pretrain_")
    }


@contextmanager
def edited(path: Path, change: Callable[[str], str]) -> Iterator[None]:
    """A file with other text for a while."""
    text = path.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def test_the_run_leaves_every_output_and_no_scratch(finished: Any) -> None:
    folder = finished.folder
    missing = [name for name in targets(folder).everything() if not (folder / name).is_file()]
    assert missing == []
    assert list(folder.glob("results/.scratch/tiny/*")) == []
    assert list(folder.glob("results/**/*.part*")) == []


def test_a_second_run_has_nothing_to_do(finished: Any) -> None:
    done = finished.snakemake()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_divergence_is_a_result(finished: Any) -> None:
    runs = finished.folder / "results" / "tiny" / "runs"
    statuses = {path.parent.name: json.loads(path.read_text()) for path in runs.glob("*/status.json")}
    diverged = {run for run, status in statuses.items() if status["status"] == "diverged"}
    assert diverged == {run for run in statuses if run.startswith("digits-simsiam-")}
    for run in diverged:
        assert statuses[run]["step"] == 2  # of the two steps; the first one ruins the weights
        assert json.loads((runs / run / "probe.json").read_text()) == {}
    table = (finished.folder / "results/tiny/tables/haochen2021/table1.md").read_text()
    assert "diverged" in next(line for line in table.splitlines() if "SimSiam" in line)
    with (finished.folder / "results" / "ledger.csv").open() as file:
        rows = {row["entry"]: row for row in csv.DictReader(file) if row["paper"] == "haochen2021"}
    claim = rows["table1/spectral-over-simsiam-longest"]
    assert claim["verdict"] == "inconclusive"
    assert "diverged" in claim["protocol"]


def test_the_summary_says_so_and_exits_2(finished: Any) -> None:
    done = finished.stage("summary")
    assert done.returncode == 2
    assert "diverged (2 runs): digits-simsiam-" in done.stdout
    assert "out of date" not in done.stdout
    assert str(finished.folder / "results" / "report.html") in done.stdout


def test_words_and_times_rerun_nothing(finished: Any) -> None:
    source = finished.folder / "src" / "spectral_ssl"
    for path in (*source.rglob("*.py"), *(finished.folder / "config").iterdir()):
        os.utime(path)
    with (
        edited(source / "losses" / "vicreg.py", lambda text: text.replace('"""', '"""Reworded: ', 1)),
        edited(source / "losses" / "contrastive.py", lambda text: text + "\n\n# a remark\n"),
        edited(source / "train" / "loop.py", lambda text: text.replace("\n\n\n", "\n\n\n\n\n")),
    ):
        assert finished.plan() == set()


def test_a_constant_in_a_loss_reruns_its_batches_and_what_draws_them(finished: Any) -> None:
    source = finished.folder / "src" / "spectral_ssl" / "losses" / "vicreg.py"
    with edited(source, lambda text: text.replace("variance: float = 25.0", "variance: float = 24.0")):
        rules = finished.plan()
        summary = finished.stage("summary").stdout
    assert methods(rules) == {"digits_vicreg", "factors_vicreg"}
    drawn = {rule for rule in rules if not rule.startswith(("pretrain_", "theorems_"))}
    assert drawn >= {"tables_garrido2023", "figures_garrido2023", "notebook_garrido2023", "report"}
    assert drawn <= DRAWN
    # HaoChen et al. do not use VICReg: nothing of theirs is drawn again.
    assert {rule for rule in drawn if rule.endswith("haochen2021")} == set()
    checked = [paper for paper in PAPERS if f"theorems_{paper}" in rules]
    batches = [rule for rule in rules if rule.startswith("pretrain_")]
    found = re.search(
        r"^out of date \((\d+) made by other code or settings than these\): pretrain/", summary, re.M
    )
    assert found
    assert len(batches) + len(checked) <= int(found[1]) <= len(rules)


def test_a_data_sets_reader_reruns_what_was_trained_on_it_and_no_other_pretraining(finished: Any) -> None:
    source = finished.folder / "src" / "spectral_ssl" / "data" / "factors.py"
    with edited(source, lambda text: text.replace("SEED = 20210608", "SEED = 20210609")):
        rules = finished.plan()
    assert {"data_factors", "views"} <= rules  # a contact sheet of every data set
    assert "data_digits" not in rules
    assert methods(rules) == {f"factors_{name}" for name in ("vicreg", "simclr", "barlow_twins")}


def test_moved_together_with_snakemakes_records_nothing_reruns(finished: Any) -> None:
    old, new = finished.folder, finished.folder.with_name("moved")
    old.rename(new)
    try:
        assert type(finished)(new).plan() == set()
    finally:
        new.rename(old)


def test_a_stale_lock_names_unlock(finished: Any) -> None:
    locks = finished.folder / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / "0.output.lock"
    wanted = "results/tiny/data/digits/meta.json"
    lock.write_text(wanted + "\n")
    try:
        done = finished.snakemake(wanted, "--forcerun", "data_digits")
    finally:
        lock.unlink()
    assert done.returncode != 0
    assert "--unlock" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
