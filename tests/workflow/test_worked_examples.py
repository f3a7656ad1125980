"""The worked examples of docs/adding.md, applied to a copy of the checkout as they stand there, and run."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^`(?P<path>[^`\n]+)`, (?P<place>a new file|at the end|below the line `(?P<line>[^`\n]+)`):\n\n"
    r"```\w+\n(?P<text>.*?)^```$",
    flags=re.M | re.S,
)
BATCHES = (
    "from spectral_ssl.targets import Targets; print(*Targets({'tier': 'tiny.yaml'}, None).manifest.batches)"
)


def section(title: str) -> str:
    """A section of the document, from its heading to the next one."""
    (found,) = re.findall(rf"^## {title}\n.*?(?=^## |\Z)", TEXT, flags=re.M | re.S)
    return str(found)


def apply(text: str, folder: Path) -> None:
    """Write the blocks of a text into a copy of the checkout."""
    for block in BLOCK.finditer(text):
        file = folder / block["path"]
        if block["place"] == "a new file":
            assert not file.exists(), f"{block['path']} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["text"], encoding="utf-8")
            continue
        before = file.read_text(encoding="utf-8")
        assert before.endswith("\n")
        if block["place"] == "at the end":
            file.write_text(before + block["text"], encoding="utf-8")
        else:
            lines = before.splitlines(keepends=True)
            assert lines.count(f"{block['line']}\n") == 1, f"{block['path']}: no line {block['line']}"
            lines.insert(lines.index(f"{block['line']}\n") + 1, block["text"])
            file.write_text("".join(lines), encoding="utf-8")


def shell(folder: Path, text: str, **words: str) -> str:
    """Run the shell blocks of a text as they stand, but for the words given; what they printed."""
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", text, flags=re.M | re.S))
    for word, instead in words.items():
        script = re.sub(rf"\b{word}\b", instead, script)
    script = script.replace("--tier tiny", "--tier tiny.yaml")
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'python() {{ "{sys.executable}" "$@"; }}\n{script}'],
        cwd=folder,
        env=plain | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def fresh(checkout: Any, tmp_path: Path) -> Path:
    """A copy of the project with its tests, and nothing run."""
    folder = tmp_path / "copy"
    shutil.copytree(
        checkout.folder, folder, ignore=shutil.ignore_patterns("results", "figures", ".snakemake")
    )
    for name in ("tests", "benchmarks"):  # measured costs, by which `plan` predicts
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_every_block_is_headed_by_its_place_or_is_run() -> None:
    fences = re.findall(r"^```(\w+)$", TEXT, flags=re.M)
    assert len(list(BLOCK.finditer(TEXT))) == 9
    assert len(fences) == 9 + fences.count("sh")


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = [\n]\n")
    text = "`a.py`, below the line `x = [`:\n\n```python\n    1,\n```\n"
    with pytest.raises(AssertionError, match=r"a\.py: no line y = \["):
        apply(text.replace("x", "y"), tmp_path)
    apply(text, tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = [\n    1,\n]\n"
    with pytest.raises(AssertionError, match=r"a\.py is there already"):
        apply("`a.py`, a new file:\n\n```python\n```\n", tmp_path)


def test_a_loss(fresh: Path) -> None:
    text = section("A loss")
    apply(text, fresh)
    batches = shell(fresh, f'```sh\npython -c "{BATCHES}"\n```').split()
    (batch,) = (name for name in batches if name.startswith("digits-uniformity-"))
    printed = shell(fresh, text, smoke="tiny", ID=batch)
    assert batch in printed  # `plan --batches` lists it
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) > 20  # three of its own, the others those of all losses
    runs = list((fresh / "results" / "tiny" / "runs").iterdir())
    assert len(runs) == 2  # a seed each
    for folder in runs:
        assert {"alignment", "uniformity"} <= set(rows(folder / "history.csv")[0])
        assert 0 <= json.loads((folder / "probe.json").read_text())["few1"] <= 1


def test_a_data_set(fresh: Path) -> None:
    text = section("A data set")
    apply(text, fresh)
    shell(fresh, text)
    data = fresh / "results" / "moons" / "data" / "moons"
    assert np.bincount(np.load(data / "train_labels.npy")).tolist() == [150, 150]  # the smoke tier's limit
    assert np.load(data / "train_images.npy").shape == (300, 12, 12, 1)
    assert json.loads((data / "meta.json").read_text())["source"] == "two moons"
    assert len(list(fresh.glob("results/moons/views/moons-*/contact_sheet.png"))) == 1


def test_a_claim_and_what_runs_again(finished: Any, tmp_path: Path) -> None:
    """Nothing is trained for a claim, and for a loss only its own batch."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    copy = type(finished)(folder)
    drawn = {f"{stage}_haochen2021" for stage in ("tables", "figures", "notebook")} | {"report"}
    apply(section("A claim"), folder)
    assert {"tables_haochen2021", "report"} <= copy.plan() <= drawn
    printed = shell(folder, section("A claim"), smoke="tiny")
    tables = folder / "results" / "tiny" / "tables" / "haochen2021"
    (row,) = (row for row in rows(tables / "ledger.csv") if row["entry"] == "table2/simclr-and-byol-on-par")
    assert row["entry"] in printed
    assert (row["kind"], row["family"]) == ("same", "table2")
    assert (float(row["margin"]), float(row["seeds"])) == (2.0, 2.0)
    assert float(row["p_holm"]) >= float(row["p"])
    sources = json.loads((tables / "sources.json").read_text(encoding="utf-8"))
    assert sources[row["entry"]]["table"] == "table2"
    assert row["verdict"] in ("holds", "differs", "inconclusive")
    assert row["printed"] == "Trained equally long, SimCLR and BYOL learn the same. (66.5 = 66.5)"
    measured = [row for row in rows(tables / "measurements.csv") if row["experiment"] == "table2"]
    simclr, byol = (
        np.mean([float(row["accuracy"]) for row in measured if row["method"] == method])
        for method in ("simclr", "byol")
    )
    assert float(row["measured"]) == pytest.approx(simclr - byol, abs=1e-3)
    apply(section("A loss"), folder)
    again = {
        rule for rule in copy.plan() if not rule.startswith(("tables_", "figures_", "notebook_", "report"))
    }
    assert len(again) == 1
    assert again.pop().startswith("pretrain_digits_uniformity_")
