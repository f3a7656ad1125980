"""The comparison of two runs: what it finds, what it exempts, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

RUN = "results/smoke/runs/digits-vicreg-0123abcd"
LEDGER = "results/smoke/tables/garrido2023/ledger.csv"
CHECK = "results/smoke/theorems/garrido2023/welch.json"


def write(root: Path, run: str = RUN, **settings: Any) -> Path:
    """A results folder with a run, a ledger, a statement, a figure, a notebook and a receipt."""
    texts = {
        f"{run}/history.csv": "epoch,loss,seconds\n1,2.5,0.31\n2,2.0,0.29\n",
        f"{run}/provenance.json": json.dumps({"settings": {"seed": 0, "threads": 1} | settings}),
        LEDGER: f"entry,run,measured,verdict\none,{run.rsplit('/', 1)[1]},0.5,holds\ntwo,,,differs\n",
        CHECK: json.dumps(
            {
                **{"measured": 1e-16, "tolerance": 1e-12, "verdict": "holds", "control_verdict": "fails"},
                **{"seconds": 0.1, "detail": {"time: exponent of N": 1.1, "spread": 2.0}},
            }
        ),
        "figures/smoke/garrido2023/figure1.svg": "<svg/>\n",
        "results/smoke/reports/garrido2023.html": "<p>Tuesday</p>\n",
        "results/smoke/receipts/views.json": "{}\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    np.savez(root / run / "features.npz", embeddings=np.array([[3.0, 4.0], [0.0, 0.0]]))
    save_file({"weight": np.ones((2, 2), np.float32)}, root / run / "encoder.safetensors")
    return root


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a"), write(tmp_path / "b")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_equal_folders(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    found = comparing.compare(*pair)
    assert found.identical == sorted(
        [
            *(f"{RUN}/{name}" for name in ("encoder.safetensors", "features.npz", "history.csv")),
            *(LEDGER, CHECK, "figures/smoke/garrido2023/figure1.svg"),
        ]
    )
    assert (found.different, found.missing, found.changed) == ({}, [], [])
    assert found.verdicts == 4
    assert found.agree
    assert len(found.exempt) == 3
    assert not any(one.cells for one in found.apart.values())
    assert comparing.told(found) == (
        "6 files compared: 6 identical, 0 different; 3 exempt\n4 verdicts: none changed"
    )


def test_what_a_clock_writes_is_exempt(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    edit(pair[1] / RUN / "history.csv", "0.31", "7.31")
    edit(pair[1] / CHECK, '"seconds": 0.1', '"seconds": 0.2')
    edit(pair[1] / CHECK, "1.1", "0.9")
    edit(pair[1] / RUN / "provenance.json", '{"settings"', '{"written": "today", "settings"')
    edit(pair[1] / "results/smoke/reports/garrido2023.html", "Tuesday", "Friday")
    edit(pair[1] / "results/smoke/receipts/views.json", "{}", '{"bytes": 1}')
    found = comparing.compare(*pair)
    assert found.different == {}
    assert found.agree


def test_a_number_that_differs_is_placed_and_measured(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    edit(pair[1] / RUN / "history.csv", "2.0,0.29", "2.5,0.29")
    found = comparing.compare(*pair)
    assert found.different == {f"{RUN}/history.csv": "line 3: '2,2.0' and '2,2.5'"}
    loss = found.apart["runs/*/history.csv loss"]
    assert (loss.relative, loss.absolute, loss.cells, loss.of) == (0.2, 0.5, 1, 2)
    assert "runs/*/history.csv loss: 1 of 2 cells differ, by 0.2 relative, 0.5 absolute" in comparing.told(
        found
    )


@pytest.mark.parametrize(("loss", "agree"), [("2.1", True), ("2.2", False)])
def test_a_loss_beyond_rounding_does_not_agree(
    comparing: ModuleType, pair: tuple[Path, Path], loss: str, agree: bool
) -> None:
    edit(pair[1] / RUN / "history.csv", "2.0,0.29", f"{loss},0.29")
    found = comparing.compare(*pair)
    assert found.agree is agree
    words = "beyond what rounding explains: runs/*/history.csv loss"
    assert (words in comparing.told(found)) is not agree


def test_a_check_is_measured_against_its_tolerance(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    edit(pair[1] / CHECK, "1e-16", "4e-16")
    measured = comparing.compare(*pair).apart["theorems/*/*.json measured"]
    assert measured.relative == pytest.approx(3e-4)
    assert measured.absolute == pytest.approx(3e-16)


def test_arrays_are_measured_by_their_norm(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    np.savez(pair[1] / RUN / "features.npz", embeddings=np.array([[3.0, 4.0], [0.0, 0.5]]))
    save_file({"weight": np.full((2, 2), 2, np.float32)}, pair[1] / RUN / "encoder.safetensors")
    found = comparing.compare(*pair)
    assert found.different[f"{RUN}/features.npz"].startswith("byte ")
    embeddings = found.apart["runs/*/features.npz embeddings"]
    assert embeddings.relative == pytest.approx(0.5 / np.hypot(5, 0.5))
    assert (embeddings.cells, embeddings.of) == (1, 4)
    assert found.apart["runs/*/encoder.safetensors tensors"].relative == 0.5


@pytest.mark.parametrize("other", [np.ones((3, 2)), np.full((2, 2), np.nan)])
def test_arrays_that_cannot_be_compared_are_infinitely_apart(
    comparing: ModuleType, pair: tuple[Path, Path], other: np.ndarray
) -> None:
    np.savez(pair[1] / RUN / "features.npz", embeddings=other)
    assert comparing.compare(*pair).apart["runs/*/features.npz embeddings"].relative == np.inf


def test_a_number_beside_none_is_infinitely_apart(comparing: ModuleType, pair: tuple[Path, Path]) -> None:
    edit(pair[1] / LEDGER, "0.5,holds", ",holds")
    assert comparing.compare(*pair).apart["tables/*/ledger.csv measured"].relative == np.inf


def test_a_changed_verdict_and_a_missing_file_do_not_agree(
    comparing: ModuleType, pair: tuple[Path, Path]
) -> None:
    edit(pair[1] / LEDGER, "differs", "holds")
    found = comparing.compare(*pair)
    assert found.changed == [f"{LEDGER} tables/*/ledger.csv verdict: differs and holds"]
    assert not found.agree
    edit(pair[1] / LEDGER, "two,,,holds", "two,,,differs")
    shutil.rmtree(pair[1] / "figures")
    found = comparing.compare(*pair)
    assert found.missing == [f"figures/smoke/garrido2023/figure1.svg (in {pair[0]} only)"]
    assert not found.agree


def test_runs_of_other_threads_are_paired(comparing: ModuleType, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", RUN.replace("0123abcd", "fedc9876"), threads=2)
    assert comparing.aliases(a, b, "smoke") == {"digits-vicreg-fedc9876": "digits-vicreg-0123abcd"}
    found = comparing.compare(a, b)
    assert (found.different, found.missing) == ({}, [])
    other = write(tmp_path / "c", RUN.replace("0123abcd", "fedc9876"), threads=2, seed=1)
    assert len(comparing.compare(a, other).missing) == 6  # three files a run


def command(benchmarks: Path, *words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(benchmarks / "compare.py"), *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command(benchmarks: Path, pair: tuple[Path, Path]) -> None:
    done = command(benchmarks, *pair, "--same")
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "4 verdicts: none changed")
    edit(pair[1] / RUN / "history.csv", "2.0,0.29", "2.0001,0.29")
    assert [command(benchmarks, *pair, *more).returncode for more in ((), ("--same",))] == [0, 1]
    done = command(benchmarks, *pair, "--tier", "absent")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: neither {pair[0]} nor {pair[1]} has results of tier absent: run it in both first\n"
    )
