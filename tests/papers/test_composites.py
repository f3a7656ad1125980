"""Figures and key points, which other entries decide; claims files that name what is not there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from spectral_ssl.papers import PAPERS, claims, paper_statements, read
from spectral_ssl.papers.evidence import NOT_RUN, VERDICTS
from spectral_ssl.papers.ledger import WORST_FIRST
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.rules import COMPOSITE


def constant(cell: Cell) -> dict[str, float]:
    return {"few5": 0.5, "few1": 0.5, "lbfgs": 0.5, "online": 0.5}


def composites(paper: str) -> dict[str, dict[str, Any]]:
    return {entry: claim for entry, claim in claims(paper).items() if claim["kind"] in COMPOSITE}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_composite_has_the_worst_verdict_of_its_entries(bench: Any, paper: str) -> None:
    context = bench.context("seeds=2")
    bench.fill(context, constant)
    statements = paper_statements(paper)
    bench.theorems[statements[0]] |= {"verdict": "fails"}
    bench.theorems[statements[1]] |= {"control_verdict": "holds"}
    found = bench.ledger(context, paper)
    assert composites(paper)
    for entry, claim in composites(paper).items():
        verdicts = found.loc[claim["entries"], "verdict"].tolist()
        ranks = [WORST_FIRST.index(verdict) for verdict in verdicts]
        assert found.loc[entry, "verdict"] == verdicts[ranks.index(min(ranks))], entry
        told = {word: int(n) for n, word in re.findall(r"(\d+) ([a-z ]+)", found.loc[entry, "protocol"])}
        assert told == {verdict: verdicts.count(verdict) for verdict in verdicts}
        assert all(name in found.loc[entry, "rule"] for name in claim["entries"])
        assert found.loc[entry, ["family", "p", "p_holm"]].isna().all()


def test_verdicts_are_ordered_from_worst_to_best() -> None:
    assert sorted(WORST_FIRST) == sorted(VERDICTS)
    assert WORST_FIRST[0] == "differs"
    assert WORST_FIRST[-1] == "holds"  # only where nothing else is left


@pytest.mark.parametrize(
    ("check", "arrow", "figure"),
    [
        ({}, "holds", "holds"),
        ({"control_verdict": "holds"}, "inconclusive", "inconclusive"),
        ({"verdict": "fails"}, "differs", "differs"),
    ],
)
def test_a_composite_of_a_composite_follows(
    bench: Any, check: dict[str, str], arrow: str, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = claims("balestriero2022")
    whole = own["figure1"] | {"kind": "keypoint", "entries": ["figure1"]}
    monkeypatch.setattr("spectral_ssl.papers.ledger.claims", lambda paper: own | {"whole": whole})
    arrows = read("balestriero2022/published.yaml")["correspondences"]["rows"]
    assert all(row["checks"] for row in arrows.values())
    context = bench.context()
    bench.fill(context, constant)
    bench.theorems[arrows["vicreg-lpp"]["checks"][0]] |= check
    found = bench.ledger(context, "balestriero2022")["verdict"]
    assert found["figure1/vicreg-lpp"] == arrow
    assert found["figure1"] == found["whole"] == figure


def test_what_a_tier_leaves_out_is_worse_than_what_holds(bench: Any) -> None:
    context = bench.context("companions={}")
    bench.fill(context, constant)
    found = bench.ledger(context, "balestriero2022")
    aligned = [name for name, claim in claims("balestriero2022").items() if _graph(claim)]
    assert len(aligned) >= 9
    assert set(found.loc[aligned, "verdict"]) == {NOT_RUN}
    assert found.loc["advice/arxiv-misaligned", "verdict"] == NOT_RUN


def _graph(claim: dict[str, Any]) -> bool:
    measure = claim.get("measure", {})
    sides = [measure, measure.get("high", {}), measure.get("low", {})]
    return any(str(side.get("experiment")).startswith("graph_") for side in sides)


def test_a_claim_on_a_companion_names_its_data_set(bench: Any) -> None:
    context = bench.context()
    bench.fill(context, constant)
    found = bench.ledger(context, "balestriero2022")
    row = found.loc["alignment/misaligned-vicreg-over-simclr"]
    assert row["dataset"] == "factors"
    assert row["protocol"].startswith(
        "analogue: factors, conv_narrow, offline_accuracy (percentage points); graph_vicreg"
    )
    assert found.loc["alignment/high-invariance-for-few-labels", "dataset"] == "digits"


@pytest.mark.parametrize("paper", PAPERS)
def test_every_name_in_a_composite_is_an_entry_of_the_ledger(bench: Any, paper: str) -> None:
    context = bench.context()
    bench.fill(context, constant)
    entries = set(bench.ledger(context, paper)["entry"])
    for entry, claim in composites(paper).items():
        assert set(claim["entries"]) <= entries, entry
        assert len(set(claim["entries"])) == len(claim["entries"]) > 0
