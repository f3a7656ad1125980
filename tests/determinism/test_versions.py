"""benchmarks/versions.py: a row a part of the results, from what two checkouts hold, and nothing typed in."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results" / "versions.csv"


def write(root: Path, *, torch: str, measured: float = 0.5, verdict: str = "holds") -> Path:
    """A run with its provenance, and a ledger of one entry."""
    packages = {"torch": torch, "numpy": "2.4", "scipy": "1.17"}
    made = {"settings": {}, "packages": packages, "python": "3.11", "threads": 1}
    texts = {
        "runs/digits-vicreg-0123abcd/provenance.json": json.dumps(made),
        "tables/garrido2023/ledger.csv": f"entry,measured,verdict\none,{measured},{verdict}\n",
    }
    for name, text in texts.items():
        path = root / "results" / "smoke" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return root


def command(benchmarks: Path, out: Path, *roots: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(benchmarks / "versions.py"), *map(str, roots), "--out", str(out)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("other", "status", "identical", "changed", "relative"),
    [
        ({}, 0, "1", "0", "0"),
        ({"measured": 0.4}, 0, "0", "0", "0.2"),
        ({"verdict": "inconclusive"}, 1, "0", "1", "0"),
    ],
)
def test_rows(
    benchmarks: Path,
    tmp_path: Path,
    other: dict[str, Any],
    status: int,
    identical: str,
    changed: str,
    relative: str,
) -> None:
    roots = write(tmp_path / "a", torch="2.12"), write(tmp_path / "b", torch="2.11", **other)
    done = command(benchmarks, tmp_path / "versions.csv", *roots)
    assert (done.returncode, done.stderr) == (status, "")
    with (tmp_path / "versions.csv").open(encoding="utf-8") as file:
        rows = {row["part"]: row for row in csv.DictReader(file)}
    tables = rows["tables"]
    assert (tables["reference_torch"], tables["torch"], tables["threads"]) == ("2.12", "2.11", "1")
    assert [tables[name] for name in ("files", "identical", "verdicts_changed")] == ["1", identical, changed]
    assert (tables["cells"], tables["largest_relative"]) == ("1", relative)
    assert rows["figures"]["files"] == "0"


def test_runs_of_two_environments_in_one_checkout_are_refused(benchmarks: Path, tmp_path: Path) -> None:
    root = write(tmp_path / "a", torch="2.12")
    other = root / "results/smoke/runs/digits-byol-0123abcd/provenance.json"
    other.parent.mkdir()
    text = (root / "results/smoke/runs/digits-vicreg-0123abcd/provenance.json").read_text(encoding="utf-8")
    other.write_text(text.replace("2.12", "2.11"), encoding="utf-8")
    done = command(benchmarks, tmp_path / "versions.csv", root, root)
    assert done.returncode == 1
    assert (
        done.stderr == f"error: {root} has runs of 2 environments at tier smoke: expected one; run it anew\n"
    )
    assert not (tmp_path / "versions.csv").exists()


def test_what_is_committed_has_every_supported_version() -> None:
    with COMMITTED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    made = {(row["python"].rsplit(".", 1)[0], row["torch"].rsplit(".", 1)[0], row["threads"]) for row in rows}
    assert {("3.12", "2.12", "1"), ("3.11", "2.11", "1")} <= made
    for row in rows:
        if row["threads"] == row["reference_threads"]:
            assert (row["missing"], row["verdicts_changed"]) == ("0", "0")
