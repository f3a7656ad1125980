"""Reference results grow a run at a time: what is made of some runs, and what the ledger says of the others."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from spectral_ssl import plotting
from spectral_ssl.layout import REFERENCE
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.evidence import NOT_RUN
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.provenance import read_json, write_json
from spectral_ssl.stages import Context, figures, tables

Fill = Callable[..., Context]


@pytest.fixture
def partial(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """Reference results with the runs of chosen cells, and of the data its description alone."""
    monkeypatch.setattr(plotting, "METADATA", {"png": plotting.METADATA["png"]})

    def made(chosen: Callable[[Cell], bool], *extra: str) -> Context:
        whole = fill(*extra)
        context = replace(whole, base=REFERENCE)
        for run in {cell.run for cell in whole.manifest.cells if chosen(cell)}:
            folder = context.layout.runs / run
            shutil.copytree(whole.layout.runs / run, folder)
            write_json(folder / "probe.json", read_json(folder / "probe.json") | {"validation": 0.5})
        name = whole.tier.data.slug
        context.layout.data(name).mkdir(parents=True)
        shutil.copy(whole.layout.data(name) / "meta.json", context.layout.data(name))
        shutil.rmtree(whole.layout.results)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for paper in PAPERS:
                assert tables.run(context, paper) == 0
                assert figures.run(context, paper) == 0
        return context

    return made


def ledger(context: Context, paper: str) -> pd.DataFrame:
    return pd.read_csv(context.layout.tables(paper) / "ledger.csv").set_index("entry")


def made_of(context: Context, paper: str) -> tuple[set[str], set[str]]:
    """The names of tables and of figures."""
    named = {path.stem for path in context.layout.tables(paper).glob("*.md")}
    drawn = {path.stem for path in context.layout.figures(paper).glob("*.png")}
    return named, drawn


def test_without_a_run_every_entry_is_not_run(partial: Callable[..., Context]) -> None:
    context = partial(lambda cell: False)
    for paper in PAPERS:
        assert made_of(context, paper) == (set(), set())
        found = ledger(context, paper)
        assert set(found["verdict"]) <= {NOT_RUN, "underspecified"}
        assert {f"statement/{name}" for name in paper_statements(paper)} <= set(found.index)
        assert found["measured"].isna().all()


def test_two_methods_of_one_length_fill_a_part_of_one_table(partial: Callable[..., Context]) -> None:
    def chosen(cell: Cell) -> bool:
        is_one = (cell.paper, cell.experiment, cell.seed) == ("haochen2021", "table1", 0)
        return is_one and cell.factors["epochs"] == 2 and cell.method in ("spectral", "simsiam")

    context = partial(chosen, "levels.epochs=[1, 2]", "training.epochs=3", "seeds=2")
    named, drawn = made_of(context, "haochen2021")
    assert {"table1"} <= named
    assert drawn == named - {"agreement"} | ({"agreement"} & named)
    table = pd.read_csv(context.layout.tables("haochen2021") / "table1.csv").set_index(["method", "epochs"])
    assert table.loc[("spectral", 2), "n"] == 1
    assert table.loc[("spectral", 1), "n"] == table.loc[("simclr", 2), "n"] == 0
    text = (context.layout.tables("haochen2021") / "table1.md").read_text(encoding="utf-8")
    assert "not run" in text
    assert "diverged" not in text
    frame = pd.read_csv(context.layout.tables("haochen2021") / "measurements.csv")
    assert set(frame["status"]) == {"finished", "not run"}


def test_a_seed_that_lacks_a_cell_decides_no_claim(partial: Callable[..., Context]) -> None:
    """One side's second seed is missing: the claim is of the first seed alone."""

    def chosen(cell: Cell) -> bool:
        return cell.experiment == "supplement_d" and (cell.seed == 0 or cell.method == "simclr_sq")

    context = partial(chosen, "seeds=2")
    found = ledger(context, "garrido2023")
    rows = found[found["protocol"].fillna("").str.contains("simclr_sq|simclr_abs") & found["seeds"].notna()]
    assert len(rows)
    assert (rows["seeds"] == 1).all()


def test_methods_are_tuned_once_every_candidate_was_run(partial: Callable[..., Context]) -> None:
    def chosen(cell: Cell) -> bool:
        whole = cell.method != "vicreg" or cell.factors.get("candidate") != 2
        return cell.experiment in ("tuning", "recipes") and whole

    context = partial(chosen, "probes.validation=few1")
    table = pd.read_csv(context.layout.tables("garrido2023") / "tuning.csv")
    text = (context.layout.tables("garrido2023") / "tuning.md").read_text(encoding="utf-8")
    assert not table.loc[table["method"] == "vicreg", "chosen"].any()
    (line,) = [line for line in text.splitlines() if line.startswith("| VICReg ")]
    assert "not chosen" in line
    chosen_of = table[table["chosen"]].groupby("method").size()
    assert dict(chosen_of) == {"simclr_tuned": 1, "vicreg_ctr": 1, "vicreg_exp": 1}
    found = ledger(context, "garrido2023")
    assert found.loc["tuned/vicreg-and-simclr-on-par", "verdict"] == NOT_RUN
    assert found.loc["tuned/vicreg-and-vicreg-exp-on-par", "verdict"] == NOT_RUN
    assert found.loc["tuned/vicreg-ctr-and-simclr-on-par", "seeds"] == 2
