"""The summary: counts, what diverged, what failed, what is out of date, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spectral_ssl.codes import batch_code, theorems_code
from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.provenance import write_json, write_text
from spectral_ssl.stages import Context, summary

CONFIG = Path(__file__).parents[2] / "config"
RUN = "digits-spectral-"


GOOD = {"verdict": "holds", "ok": True}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A finished tier in which all is well; another tier's entries lie beside."""
    context = Context(load_tier("smoke", folder=CONFIG), tmp_path, quiet=True)
    verdicts = ["holds", "holds", "differs", "not run at this tier"]
    ledger = pd.DataFrame({"tier": ["smoke"] * 4 + ["gpu"], "verdict": [*verdicts, "inconclusive"]})
    write_text(tmp_path / "results" / "ledger.csv", ledger.to_csv(index=False))
    for batch in context.manifest.batches.values():
        for run in batch.runs:
            write_json(context.layout.runs / run.id / "status.json", {"status": "finished"})
            write_json(context.layout.runs / run.id / "provenance.json", {"code": batch_code(batch)})
    for paper in PAPERS:
        for name in paper_statements(paper):
            write_json(context.layout.theorem(paper, name), {**GOOD, "code": theorems_code(paper)})
    return context


def a_run(context: Context) -> Path:
    return next(folder for folder in sorted(context.layout.runs.iterdir()) if folder.name.startswith(RUN))


def test_all_well(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary.run(context) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == f"report: {(context.root / 'results' / 'report.html').resolve()}"
    assert "ledger of tier smoke, 4 entries:" in text
    counted = [line.split(maxsplit=1) for line in text.splitlines()[2:]]
    assert counted == [
        ["2", "holds"],
        ["1", "differs"],
        ["0", "inconclusive"],
        ["1", "not run at this tier"],
        ["0", "underspecified"],
    ]


def test_a_diverged_run_is_named(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(context)
    write_json(folder / "status.json", {"status": "diverged", "term": "invariance", "epoch": 1, "step": 2})
    assert summary.run(context) == 2
    assert f"diverged (1 runs): {folder.name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("check", "status"),
    [
        ({"verdict": "fails", "ok": False}, 2),
        ({"verdict": "holds", "ok": False}, 2),
        ({"verdict": "differs", "ok": True}, 0),
    ],
)
def test_a_failed_or_broken_check_is_named(
    context: Context, check: dict[str, object], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(
        context.layout.theorem("haochen2021", "cheeger"), {**check, "code": theorems_code("haochen2021")}
    )
    assert summary.run(context) == status
    assert ("failed checks (1): haochen2021/cheeger" in capsys.readouterr().out) == (status == 2)


def test_results_of_other_code_are_named_and_no_failure(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(context)
    write_json(folder / "provenance.json", {"code": "0123456789abcdef"})
    write_json(context.layout.theorem("haochen2021", "cheeger"), {**GOOD, "code": "0123456789abcdef"})
    assert summary.run(context) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("out of date"))
    assert line.startswith("out of date (2 made by other code than this checkout's)")
    assert folder.name in line
    assert "haochen2021/cheeger" in line


def test_before_the_first_run_it_says_what_to_do(tmp_path: Path) -> None:
    context = Context(load_tier("smoke", folder=CONFIG), tmp_path, quiet=True)
    with pytest.raises(UserError, match="is not there; run `snakemake --config tier=smoke` first"):
        summary.run(context)


def test_an_unfinished_run_is_told(context: Context) -> None:
    folder = a_run(context)
    (folder / "status.json").unlink()
    with pytest.raises(UserError, match=f"{folder.name} is not finished; run `snakemake"):
        summary.run(context)
