"""Tables and figures with holes: methods that diverged, every run diverged, a data set that the tier has not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from spectral_ssl import plotting
from spectral_ssl.jobs import products
from spectral_ssl.layout import TABLE_FORMATS
from spectral_ssl.papers import PAPERS
from spectral_ssl.stages import Context, figures, tables

Fill = Callable[..., Context]
MEASURED = {  # tables of trained runs: each says that they diverged
    "haochen2021": ("table1", "table2", "table3", "ablations", "agreement"),
    "garrido2023": ("figure1", "figure2", "table1", "supplement", "supplement_d", "supplement_e", "tuning"),
    "balestriero2022": ("rank", "alignment"),
}


def make(context: Context, paper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the paper's tables, and its figures as PNG alone: the others hold the same, and PDF takes longest."""
    monkeypatch.setattr(plotting, "METADATA", {"png": plotting.METADATA["png"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tables.run(context, paper) == 0
        assert figures.run(context, paper) == 0


def check_tables(folder: Path, paper: str) -> None:
    names = products(paper, "tables")
    expected = {f"{name}.{ending}" for name in names for ending in TABLE_FORMATS}
    assert {path.name for path in folder.iterdir()} == expected | {
        "measurements.csv",
        "ledger.csv",
        "sources.json",
    }
    for name in names:
        assert len(pd.read_csv(folder / f"{name}.csv").columns) > 1
        markdown = (folder / f"{name}.md").read_text(encoding="utf-8")
        _, _, body = markdown.partition("\n\n")
        assert len({line.count("|") for line in body.strip().splitlines()}) <= 1
        assert not re.search(r"\bnan\b", body)
        latex = (folder / f"{name}.tex").read_text(encoding="utf-8")
        for mark in ("begin{table}", "end{table}", "begin{tabular}", "end{tabular}", "toprule", "bottomrule"):
            assert latex.count(f"\\{mark}") == 1, (name, mark)


def check_pictures(folder: Path, paper: str) -> None:
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in products(paper, "figures")}
    for path in folder.iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.width == 1080  # 6.75 inches at 160 dots an inch
            assert picture.convert("L").getextrema()[0] < 100  # not blank: at least its title


@pytest.mark.parametrize("paper", PAPERS)
def test_if_some_methods_diverged(fill: Fill, paper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"haochen2021": "spectral", "garrido2023": "simclr_tuned", "balestriero2022": "vicreg"}[paper]
    context = fill(diverged=lambda method: method == lost)
    make(context, paper, monkeypatch)
    check_tables(context.layout.tables(paper), paper)
    check_pictures(context.layout.figures(paper), paper)


@pytest.mark.parametrize("paper", PAPERS)
def test_if_every_run_diverged_each_row_says_so(
    fill: Fill, paper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = fill(diverged=lambda method: True)
    make(context, paper, monkeypatch)
    check_tables(context.layout.tables(paper), paper)
    check_pictures(context.layout.figures(paper), paper)
    for name in MEASURED[paper]:
        text = (context.layout.tables(paper) / f"{name}.md").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("|")][2:]
        assert rows, name
        assert all("diverged" in row for row in rows), name


@pytest.mark.parametrize("lost", [False, True], ids=["finished", "diverged"])
def test_if_the_tier_has_no_companion_data_set(
    fill: Fill, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = "balestriero2022"
    context = fill("companions={}", diverged=lambda method: lost)
    make(context, paper, monkeypatch)
    check_tables(context.layout.tables(paper), paper)
    check_pictures(context.layout.figures(paper), paper)
    assert pd.read_csv(context.layout.tables(paper) / "alignment.csv").empty
