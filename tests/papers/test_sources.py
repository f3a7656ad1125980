"""Where entries are shown and what they rest on."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from spectral_ssl.jobs import products
from spectral_ssl.papers import PAPERS, claims, paper_statements, read
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.ledger import Entry, entries
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.rules import COMPOSITE
from spectral_ssl.papers.sources import Source, of_parts, shown_in

MARKS = pd.DataFrame([{"method": "simclr_tuned", "mark": "embedding_norm", "printed": "1", "n": 0}])
NAMES = ("few5", "few1", "lbfgs", "online", "separation_before", "separation_after", "embedding_gram_mean")


def constant(cell: Cell) -> dict[str, float]:
    return dict.fromkeys(NAMES, 0.5 + 0.01 * cell.seed)


def sources(bench: Any, paper: str, *overrides: str) -> dict[str, Entry]:
    context = bench.context("seeds=2", *overrides)
    bench.fill(context, constant)
    theorems = {name: bench.theorems[name] for name in paper_statements(paper)}
    marks = MARKS if paper == "garrido2023" else None
    evidence = Evidence(context, paper, bench.frame(context, paper), theorems, marks)
    return {one.row["entry"]: one for one in entries(evidence)}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_entrys_table_and_figure_is_one_that_the_paper_has(bench: Any, paper: str) -> None:
    found = sources(bench, paper)
    named = {one.source.table for one in found.values()} - {None}
    drawn = {one.source.figure for one in found.values()} - {None}
    assert named <= set(products(paper, "tables"))
    assert drawn <= set(products(paper, "figures"))
    assert named
    assert drawn
    statements = {name for one in found.values() for name in one.source.statements}
    assert statements == {f"{paper}/{name}" for name in paper_statements(paper)}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_experiment_and_sample_names_products(paper: str) -> None:
    spec = read(f"{paper}/experiments.yaml")
    for name, one in {**spec["experiments"], **spec.get("samples", {})}.items():
        assert one.get("table") in {None, *products(paper, "tables")}, name
        assert one.get("figure") in {None, *products(paper, "figures")}, name


@pytest.mark.parametrize("paper", PAPERS)
def test_a_measured_entry_has_the_runs_that_it_is_measured_on(bench: Any, paper: str) -> None:
    manifest = bench.context("seeds=2").manifest
    runs = manifest.runs
    for entry, one in sources(bench, paper).items():
        assert len(set(one.source.runs)) == len(one.source.runs)
        assert set(one.source.runs) <= set(runs)
        claim = claims(paper).get(entry, {})
        if one.row["kind"] in COMPOSITE:
            assert one.source.entries == tuple(claim["entries"])
            assert not one.source.runs
        elif one.row["kind"] != "mark" and one.row["measured"] is not None and not one.source.statements:
            assert len(one.source.runs) >= one.row["seeds"], entry


def test_the_runs_of_a_pair_are_those_of_both_sides_in_order(bench: Any) -> None:
    found = sources(bench, "haochen2021")["table2/spectral-over-byol"]
    cells = [
        cell
        for cell in bench.context("seeds=2").manifest.paper_cells("haochen2021")
        if cell.experiment == "table2"
    ]
    expected = [cell.run for method in ("spectral", "byol") for cell in cells if cell.method == method]
    assert found.source.runs == tuple(expected)
    assert (found.source.table, found.source.figure) == shown_in("haochen2021", ["table2"], {})


def test_marks_arrows_and_statements(bench: Any) -> None:
    mark = sources(bench, "garrido2023")["table1/embedding_norm/simclr_tuned"].source
    assert (mark.table, len(mark.runs)) == ("table1", 2)
    found = sources(bench, "balestriero2022")
    arrow = found["figure1/vicreg-lpp"].source
    assert (arrow.table, arrow.statements) == ("correspondences", ("balestriero2022/lpp",))
    assert found["statement/lpp"].source == Source(statements=("balestriero2022/lpp",))


def test_the_runs_of_a_printed_value_are_those_of_its_analogue(bench: Any) -> None:
    found = sources(bench, "garrido2023")
    runs = bench.context("seeds=2").manifest.runs
    for entry, temperature in [("simclr_best_before", 0.5), ("simclr_tuned", 0.15), ("simclr_abs", 0.15)]:
        used = [runs[run] for run in found[f"values/{entry}"].source.runs]
        assert len(used) == 2
        assert {run.hyperparameters["temperature"] for run in used} == {temperature}


def test_what_this_tier_does_not_measure_is_still_shown_somewhere(bench: Any) -> None:
    found = sources(bench, "balestriero2022", "companions={}")
    source = found["alignment/misaligned-vicreg-over-simclr"].source
    assert source.table == read("balestriero2022/experiments.yaml")["experiments"]["graph_vicreg"].get(
        "table"
    )
    assert source.runs == ()


def test_a_claim_overrides_its_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "experiments": {"a": {"table": "one"}, "b": {"table": "two", "figure": "three"}},
        "samples": {"c": {"figure": "four"}},
    }
    monkeypatch.setattr("spectral_ssl.papers.sources.read", lambda name: spec)
    assert shown_in("x", ["a"], {}) == ("one", None)
    assert shown_in("x", ["a", "b"], {}) == ("one", "three")
    assert shown_in("x", ["a", "b"], {"table": "mine"}) == ("mine", "three")
    assert shown_in("x", ["c", "absent"], {}) == (None, "four")


def test_a_composite_is_shown_where_all_of_its_parts_are() -> None:
    parts = {
        "a": Source("one", "f"),
        "b": Source("one"),
        "c": Source("two"),
        "d": Source(statements=("p/s",)),
    }
    assert of_parts({"entries": ["a", "b", "d"]}, parts) == Source("one", "f", entries=("a", "b", "d"))
    assert of_parts({"entries": ["a", "c"]}, parts) == Source(None, "f", entries=("a", "c"))
    assert of_parts({"entries": ["d"], "table": "mine"}, parts).table == "mine"


def test_sources_as_json_has_them() -> None:
    assert Source("one", runs=("r1", "r2")).plain() == {
        "table": "one",
        "figure": None,
        "statements": [],
        "runs": ["r1", "r2"],
        "entries": [],
    }
