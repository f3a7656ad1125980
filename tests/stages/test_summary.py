"""The summary: counts, what diverged, failed, is damaged, out of date or not vouched for, and the exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from spectral_ssl import receipts
from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.jobs import Jobs
from spectral_ssl.provenance import read_json, write_json, write_text
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
    jobs = Jobs(context.tier, context.layout, context.manifest)
    for file in map(Path, jobs.everything()):
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"status.json": {"status": "finished"}, "meta.json": {"sha256": {}}}.get(file.name, GOOD)
        if file != tmp_path / "results" / "ledger.csv":
            file.write_text(json.dumps(content), encoding="utf-8")
    with receipts.writing(context.layout, list(jobs.jobs.values())):
        pass
    return context


def vouch_again(context: Context) -> None:
    """Let the receipts be of the files as they are."""
    shutil.rmtree(context.layout.results / "receipts")
    with receipts.writing(context.layout, list(Jobs(context.tier, context.layout).jobs.values())):
        pass


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
    vouch_again(context)
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
    write_json(context.layout.theorem("haochen2021", "cheeger"), check)
    vouch_again(context)
    assert summary.run(context) == status
    assert ("failed checks (1): haochen2021/cheeger" in capsys.readouterr().out) == (status == 2)


def test_results_of_other_code_or_settings_are_named_and_no_failure(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in ("views", "theorems/haochen2021"):
        file = receipts.path(context.layout, job)
        write_json(file, read_json(file) | {"parameters": "0123456789abcdef"})
    assert summary.run(context) == 0
    found = capsys.readouterr().out
    assert "out of date (2 made by other code or settings than these): views, theorems/haochen2021" in found
    assert "cannot be vouched for" not in found


def test_what_left_no_receipt_is_not_vouched_for(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    receipts.path(context.layout, "figures/garrido2023").unlink()
    assert summary.run(context) == 0
    found = capsys.readouterr().out
    assert "cannot be vouched for (1 made by what left no receipt): figures/garrido2023" in found


def test_a_result_that_was_cut_is_a_failure(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    cut = next(context.layout.runs.glob("*/features.npz"))
    cut.write_bytes(cut.read_bytes()[:7])
    assert summary.run(context) == 2
    whole = len(json.dumps(GOOD))
    assert f"damaged: {cut}: it has 7 bytes and had {whole} when it was written;" in capsys.readouterr().out


def test_a_changed_byte_is_found_where_every_byte_is_compared(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = context.layout.figures("garrido2023") / "figure1.png"
    changed.write_bytes(b"?" + changed.read_bytes()[1:])
    assert summary.run(context) == 0
    assert "damaged" not in capsys.readouterr().out
    assert summary.run(context, checksums=True) == 2
    assert f"damaged: {changed}: its checksum is not the one" in capsys.readouterr().out


def test_a_file_that_is_missing_is_a_failure(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    missing = context.layout.tables("garrido2023") / "ledger.csv"
    missing.unlink()
    assert summary.run(context) == 2
    assert f"damaged: {missing}: it is missing" in capsys.readouterr().out


def test_before_the_first_run_it_says_what_to_do(tmp_path: Path) -> None:
    context = Context(load_tier("smoke", folder=CONFIG), tmp_path, quiet=True)
    with pytest.raises(UserError, match="is not there; run `snakemake --config tier=smoke` first"):
        summary.run(context)


def test_an_unfinished_run_is_told(context: Context) -> None:
    folder = a_run(context)
    (folder / "status.json").unlink()
    with pytest.raises(UserError, match=f"{folder.name} is not finished; run `snakemake"):
        summary.run(context)
