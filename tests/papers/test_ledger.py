"""Verdicts from measurements whose answers are known."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from spectral_ssl.hypotheses import holm
from spectral_ssl.papers import claims, paper_statements, read
from spectral_ssl.papers.evidence import COLUMNS, NOT_RUN, VERDICTS
from spectral_ssl.papers.ledger import counts
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.rules import TESTED

PRINTED_COLUMNS = (
    "paper,entry,kind,location,printed,measured,spread,ci_low,ci_high,margin,family,p,p_holm,seeds,seeds_needed,"
    "protocol,tier,dataset,rule,verdict"
)
JITTER = (0.0, 0.001, -0.001, 0.0005, -0.0005)
ON_PAR = "figure1/vicreg-and-simclr-on-par"
MARKS = pd.DataFrame(
    [
        {"method": "simclr_tuned", "mark": "embedding_norm", "printed": "1", "n": 2}
        | {"measured": "2 times", "verdict": "differs"},
        {"method": "vicreg", "mark": "embedding_norm", "printed": "none", "n": 0},
    ]
)
OVER = "table1/spectral-over-simclr-longest"


def level(base: float, **by_method: float) -> Any:
    """Accuracies `base` (fractions), other ones for some methods, with the same small jitter over seeds."""

    def probe(cell: Cell) -> dict[str, float]:
        value = by_method.get(cell.method, base) + JITTER[cell.seed] * (1 + (cell.method in by_method))
        names = ("few5", "few1", "lbfgs", "online", "embedding_effective_rank_centred")
        return dict.fromkeys(names, value)

    return probe


def test_the_columns_are_those_that_other_tools_rely_on(bench: Any) -> None:
    context = bench.context()
    bench.fill(context, level(0.5))
    assert ",".join(COLUMNS) == PRINTED_COLUMNS
    assert ",".join(bench.ledger(context, "haochen2021").columns) == PRINTED_COLUMNS


@pytest.mark.parametrize(
    ("paper", "kinds"),
    [
        ("haochen2021", {"value": 34}),
        ("garrido2023", {"value": 44, "mark": 2}),
        ("balestriero2022", {}),
    ],
)
def test_every_printed_thing_is_an_entry_with_a_rule(bench: Any, paper: str, kinds: dict[str, int]) -> None:
    context = bench.context()
    bench.fill(context, level(0.5))
    found = bench.ledger(context, paper, MARKS if "mark" in kinds else None)
    kinds_of_claims = Counter(claim["kind"] for claim in claims(paper).values())
    arrows = 10 if paper == "balestriero2022" else 0
    expected = Counter(kinds) + kinds_of_claims + Counter(statement=len(paper_statements(paper)) + arrows)
    assert Counter(found["kind"]) == expected
    assert found["entry"].is_unique
    assert found["rule"].str.len().gt(0).all()
    assert found["location"].str.len().gt(0).all()
    assert set(found["verdict"]) <= set(VERDICTS)


@pytest.mark.parametrize(("spectral", "verdict"), [(0.9, "holds"), (0.1, "differs"), (0.5, "inconclusive")])
def test_an_order_is_decided_by_the_paired_difference(bench: Any, spectral: float, verdict: str) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, level(0.5, spectral=spectral))
    row = bench.ledger(context, "haochen2021").loc[OVER]
    assert row["verdict"] == verdict
    assert row["seeds"] == 3
    assert row["measured"] == pytest.approx(100 * (spectral - 0.5), abs=1e-9)
    # Student's t with 2 degrees of freedom: 4.302653 at 97.5 %; the jitter's difference has spread 0.1 points.
    assert row["spread"] == pytest.approx(0.1)
    assert row["ci_high"] - row["measured"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)
    assert row["protocol"].startswith("analogue: digits, conv_narrow")


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.0, "holds"), (0.01, "holds"), (0.10, "differs"), (0.0199, "inconclusive")]
)
def test_sameness_needs_the_margin_and_not_just_no_difference(
    bench: Any, difference: float, verdict: str
) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, level(0.5, vicreg=0.5 + difference))
    row = bench.ledger(context, "garrido2023").loc[ON_PAR]
    assert row["verdict"] == verdict
    assert row["margin"] == 2.0
    # Two one-sided tests at 5 % are the 90 % interval: t = 2.919986 with 2 degrees of freedom.
    assert row["ci_high"] - row["measured"] == pytest.approx(2.919986 * 0.1 / math.sqrt(3), rel=1e-6)


def test_wide_spreads_decide_nothing_and_say_how_many_seeds_would(bench: Any) -> None:
    def probe(cell: Cell) -> dict[str, float]:
        wobble = 0.05 * (cell.seed - 1) if cell.method == "vicreg" else 0.0
        return {"few5": 0.5 + wobble, "few1": 0.5}

    context = bench.context("seeds=3")
    bench.fill(context, probe)
    row = bench.ledger(context, "garrido2023").loc[ON_PAR]
    assert row["verdict"] == "inconclusive"
    assert row["seeds_needed"] > 3


def test_one_seed_decides_nothing(bench: Any) -> None:
    context = bench.context("seeds=1")
    bench.fill(context, level(0.5, spectral=0.9, vicreg=0.5))
    found = bench.ledger(context, "haochen2021")
    assert found.loc[OVER, "verdict"] == "inconclusive"
    assert bench.ledger(context, "garrido2023").loc[ON_PAR, "verdict"] == "inconclusive"
    assert found[["p", "p_holm", "seeds_needed"]].isna().all(axis=None)


def test_claims_of_a_family_are_corrected_together_and_others_are_not(bench: Any) -> None:
    context = bench.context("seeds=4")
    bench.fill(context, level(0.5, spectral=0.9))
    found = bench.ledger(context, "haochen2021")
    tested = found[found["p"].notna()]
    assert set(tested["kind"]) <= set(TESTED)
    assert len(set(tested["family"])) > 3
    for name, rows in tested.groupby("family"):
        assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p"].tolist())), name
        decided = rows["verdict"].isin(["holds", "differs"])
        assert decided.tolist() == (rows["p_holm"] < 0.05).tolist()
        for entry, row in rows.iterrows():
            assert row["family"] == claims("haochen2021")[entry].get("family", str(entry).split("/")[0])
    lost = tested[(tested["p"] < 0.05) & (tested["p_holm"] >= 0.05)]
    assert lost["protocol"].str.contains("not after Holm's correction over ").all()


def test_what_no_test_decides_has_no_family_and_no_p(bench: Any) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, level(0.5))
    found = bench.ledger(context, "garrido2023", MARKS)
    untested = found[found["kind"].isin(["figure", "keypoint", "statement", "mark", "underspecified"])]
    assert set(untested["kind"]) == {"figure", "keypoint", "statement", "mark", "underspecified"}
    assert untested[["family", "p", "p_holm"]].isna().all(axis=None)


def test_diverged_seeds_are_left_out_and_counted_out(bench: Any) -> None:
    def probe(cell: Cell) -> dict[str, float] | None:
        lost = cell.method == "spectral" and cell.seed == 0
        return None if lost else level(0.5, spectral=0.9)(cell)

    context = bench.context("seeds=4")
    bench.fill(context, probe)
    row = bench.ledger(context, "haochen2021").loc[OVER]
    assert row["seeds"] == 3
    assert row["verdict"] == "holds"
    assert row["measured"] == pytest.approx(40.0, abs=0.1)


def test_a_side_that_diverged_in_every_seed_decides_nothing(bench: Any) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, lambda cell: None if cell.method == "spectral" else level(0.5)(cell))
    found = bench.ledger(context, "haochen2021")
    assert found.loc[OVER, "verdict"] == "inconclusive"
    assert found.loc[OVER, "seeds"] == 0
    assert found.loc[OVER, "protocol"].endswith("a side diverged in every seed")
    assert found.loc["table1/spectral/cifar10/200", "verdict"] == NOT_RUN


@pytest.mark.parametrize("paper", ["haochen2021", "garrido2023", "balestriero2022"])
def test_a_ledger_where_every_run_diverged(bench: Any, paper: str) -> None:
    context = bench.context()
    bench.fill(context, lambda cell: None)
    found = bench.ledger(context, paper)
    assert set(found.loc[found["kind"] == "value", "verdict"]) <= {NOT_RUN}
    judged = found["kind"].isin(["order", "same"])
    assert not found.loc[judged, "verdict"].isin(["holds", "differs"]).any()


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "holds"),
        ({"verdict": "fails"}, "differs"),
        ({"verdict": "differs"}, "differs"),
        ({"control_verdict": "holds"}, "inconclusive"),
        ({"verdict": "fails", "control_verdict": "holds"}, "inconclusive"),
        ({"measured": "nan", "verdict": "fails"}, "differs"),
    ],
)
def test_a_statement_stands_only_if_its_control_falls(
    bench: Any, changed: dict[str, Any], verdict: str
) -> None:
    context = bench.context()
    bench.fill(context, level(0.5))
    bench.theorems["lpp"] |= changed
    found = bench.ledger(context, "balestriero2022")
    assert found.loc["statement/lpp", "verdict"] == verdict
    assert found.loc["figure1/vicreg-lpp", "verdict"] == verdict
    assert found.loc["statement/simclr-mds", "verdict"] == "holds"
    assert found.loc["figure1/simclr-mds", "verdict"] == "holds"


def test_an_arrow_without_a_check_is_not_claimed(bench: Any) -> None:
    context = bench.context()
    bench.fill(context, level(0.5))
    found = bench.ledger(context, "balestriero2022")
    arrows = read("balestriero2022/published.yaml")["correspondences"]["rows"]
    for name, arrow in arrows.items():
        assert found.loc[f"figure1/{name}", "verdict"] == ("holds" if arrow["checks"] else NOT_RUN)


def test_marks_bring_their_verdicts_where_they_were_measured(bench: Any) -> None:
    context = bench.context()
    bench.fill(context, level(0.5))
    found = bench.ledger(context, "garrido2023", MARKS)
    measured = found.loc["table1/embedding_norm/simclr_tuned"]
    assert (measured["printed"], measured["measured"], measured["verdict"]) == ("1", "2 times", "differs")
    assert measured["seeds"] == 2
    assert found.loc["table1/embedding_norm/vicreg", "verdict"] == NOT_RUN


def test_counts_have_every_verdict_in_a_fixed_order() -> None:
    frame = pd.DataFrame({"verdict": ["differs", "holds", "holds"]})
    assert list(counts(frame).items()) == [
        ("holds", 2),
        ("differs", 1),
        ("inconclusive", 0),
        (NOT_RUN, 0),
        ("underspecified", 0),
    ]
