"""Each kind of claim from measurements whose verdict is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from spectral_ssl.papers.decide import decide
from spectral_ssl.papers.evidence import NOT_RUN, Evidence
from spectral_ssl.papers.rules import PAIRED
from spectral_ssl.power import seeds_for_different, seeds_for_order, seeds_for_same, seeds_for_within

Row = dict[str, Any]


def cells(method: str, values: Sequence[float | None], column: str = "accuracy", **factors: Any) -> list[Row]:
    """A cell a seed; None is a run that diverged."""
    return [
        {"experiment": "one", "method": method, "seed": seed, "run": f"{method}-{factors}-{seed}"}
        | {"status": "diverged" if value is None else "finished", column: value}
        | factors
        for seed, value in enumerate(values)
    ]


def evidence(*groups: list[Row]) -> Evidence:
    frame = pd.DataFrame([row for group in groups for row in group])
    run = SimpleNamespace(dataset="factors", encoder="conv32")
    runs = dict.fromkeys(frame["run"], run) if len(frame) else {}
    tier = SimpleNamespace(probes=SimpleNamespace(metric="few5"))
    context: Any = SimpleNamespace(manifest=SimpleNamespace(runs=runs), tier=tier)
    return Evidence(context, "haochen2021", frame, {})


def paired(kind: str, margin: float | None = None, **measure: Any) -> dict[str, Any]:
    sides = {"high": {"method": "a"}, "low": {"method": "b"}}
    claim: dict[str, Any] = {
        "kind": kind,
        "measure": {"experiment": "one", "column": "accuracy", **sides} | measure,
    }
    return claim | ({} if margin is None else {"margin": margin})


def apart(differences: Sequence[float]) -> Evidence:
    """Two methods whose paired differences are these."""
    low = [70.0, 71.5, 69.0, 70.4, 68.8][: len(differences)]
    high = [value + gap for value, gap in zip(low, differences, strict=True)]
    return evidence(cells("a", high), cells("b", low))


@pytest.mark.parametrize(
    ("kind", "margin", "differences", "verdict"),
    [
        ("order", None, [1.0, 1.1, 0.9], "holds"),
        ("order", None, [-1.0, -1.1, -0.9], "differs"),
        ("order", None, [1.0, -1.0, 0.5], "inconclusive"),
        ("order", None, [0.0, 0.0, 0.0], "inconclusive"),  # equal is not above
        ("order", None, [5.0], "inconclusive"),  # one seed
        ("same", 2.0, [0.1, -0.1, 0.05], "holds"),
        ("same", 2.0, [1.5, 1.6, 1.4], "holds"),  # significant, and small all the same
        ("same", 2.0, [3.0, 3.1, 2.9], "differs"),
        ("same", 2.0, [-3.0, -3.1, -2.9], "differs"),
        ("same", 2.0, [2.0, 2.1, 1.9], "inconclusive"),
        ("same", 2.0, [4.0, -4.0, 0.0], "inconclusive"),  # no significant difference is no sameness
        ("same", 2.0, [0.0], "inconclusive"),
        ("noninferior", 2.0, [-1.0, -1.1, -0.9], "holds"),  # worse, by less than the margin
        ("noninferior", 2.0, [9.0, 9.1, 8.9], "holds"),
        ("noninferior", 2.0, [-3.0, -3.1, -2.9], "differs"),
        ("noninferior", 2.0, [-2.0, -2.1, -1.9], "inconclusive"),
        ("noninferior", 2.0, [0.0], "inconclusive"),
        ("different", 1.0, [1.5, 1.6, 1.4], "holds"),
        ("different", 1.0, [-1.5, -1.6, -1.4], "holds"),  # either way
        ("different", 1.0, [0.1, -0.1, 0.05], "differs"),
        ("different", 1.0, [3.0, -2.0, 0.5], "inconclusive"),
        ("different", 1.0, [7.0], "inconclusive"),
    ],
)
def test_a_pairs_verdict(kind: str, margin: float | None, differences: list[float], verdict: str) -> None:
    found = decide(apart(differences), paired(kind, margin))
    assert found["verdict"] == verdict
    assert found["seeds"] == len(differences)
    assert found["measured"] == pytest.approx(sum(differences) / len(differences), abs=1e-9)
    assert found["protocol"].startswith(
        "analogue: factors, conv32, accuracy of the probe few5 (percentage points); a minus b"
    )
    assert found["dataset"] == "factors"


@pytest.mark.parametrize(("kind", "confidence"), [("order", 0.95), ("same", 0.90), ("noninferior", 0.95)])
def test_the_interval_is_the_paired_t_tests(kind: str, confidence: float) -> None:
    differences = [0.4, 1.9, -0.3, 0.8]
    found = decide(apart(differences), paired(kind, 2.0 if kind != "order" else None))
    expected = stats.ttest_1samp(differences, 0).confidence_interval(confidence)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_an_undecided_pair_says_how_many_seeds_would_do() -> None:
    differences = [1.0, -1.0, 0.5]
    order = decide(apart(differences), paired("order"))
    same = decide(apart(differences), paired("same", 0.5))
    noninferior = decide(apart(differences), paired("noninferior", 0.2))
    different = decide(apart(differences), paired("different", 0.3))
    assert order["seeds_needed"] == seeds_for_order(differences) > 3
    assert same["seeds_needed"] == seeds_for_same(differences, 0.5)
    assert noninferior["seeds_needed"] == seeds_for_order([1.2, -0.8, 0.7])
    assert different["seeds_needed"] == seeds_for_different(differences, 0.3)
    for found in (order, same, noninferior, different):
        said = f"underpowered: about {found['seeds_needed']} seeds would decide it with a chance of 80 %"
        assert found["protocol"].endswith(f"; {said}")
    assert "seeds_needed" not in decide(apart([1.0, 1.1, 0.9]), paired("order"))
    assert "seeds_needed" not in decide(apart([5.0]), paired("order"))  # the spread is not known
    hopeless = decide(apart([1e-4, -1.0, 1.0]), paired("order"))
    assert (hopeless["verdict"], "seeds_needed" in hopeless) == ("inconclusive", False)  # beyond 10,000


@pytest.mark.parametrize("kind", PAIRED)
def test_a_pair_has_the_p_of_its_test_and_one_seed_has_none(kind: str) -> None:
    differences = [0.4, 1.9, -0.3, 0.8]
    found = decide(apart(differences), paired(kind, 2.0))
    two = stats.ttest_1samp(differences, -2.0 if kind == "noninferior" else 0.0).pvalue
    within = stats.ttest_1samp(differences, 2.0, alternative="less").pvalue  # the larger of the two
    expected = {"same": within, "different": within}.get(kind, two)
    assert found["p"] == found["p_holm"] == pytest.approx(expected, rel=1e-9)  # a family of one
    assert not {"p", "p_holm"} & set(decide(apart([5.0]), paired(kind, 2.0)))


def test_few_label_accuracies_are_judged_in_points() -> None:
    shots = evidence(cells("a", [0.521, 0.53, 0.539], "few1"), cells("b", [0.50, 0.51, 0.52], "few1"))
    found = decide(shots, paired("same", 2.5, column="few1"))
    assert found["measured"] == pytest.approx(2.0)
    assert found["verdict"] == "holds"
    assert decide(shots, paired("same", 1.0, column="few1"))["verdict"] == "differs"


@pytest.mark.parametrize(("over", "difference"), [("best", 7.0), ("mean", 2.0), (None, 2.0)])
def test_several_cells_of_a_seed_count_by_their_best_or_their_mean(
    over: str | None, difference: float
) -> None:
    bench = evidence(
        cells("a", [60.0, 61.0], embedding_dim=8),
        cells("a", [80.01, 80.99], embedding_dim=16),
        cells("b", [63.0, 64.0], embedding_dim=8),
        cells("b", [73.0, 74.0], embedding_dim=16),
    )
    found = decide(bench, paired("order", **({"over": over} if over else {})))
    assert found["measured"] == pytest.approx(difference)
    assert (found["seeds"], found["verdict"]) == (2, "holds")


@pytest.mark.parametrize("over", ["best", "mean"])
def test_a_seed_with_a_diverged_cell_is_left_out_whole(over: str) -> None:
    bench = evidence(
        cells("a", [60.0, 61.0, 62.0], embedding_dim=8),
        cells("a", [80.0, None, 82.0], embedding_dim=16),
        cells("b", [50.0, 51.0, 52.0], embedding_dim=8),
        cells("b", [50.0, 51.0, 52.0], embedding_dim=16),
    )
    found = decide(bench, paired("order", over=over))
    assert found["seeds"] == 2
    assert found["measured"] == pytest.approx(30.0 if over == "best" else 20.0)


def test_only_common_seeds_are_paired() -> None:
    bench = evidence(cells("a", [90.0, None, 92.0, 95.0]), cells("b", [80.0, 10.0, 82.0, None]))
    found = decide(bench, paired("order"))
    assert (found["seeds"], found["measured"]) == (2, pytest.approx(10.0))


def test_a_side_that_always_diverged_decides_nothing() -> None:
    bench = evidence(cells("a", [None, None]), cells("b", [80.0, 81.0]))
    for kind in PAIRED:
        found = decide(bench, paired(kind, 2.0))
        assert (found["seeds"], found["verdict"]) == (0, "inconclusive")
        assert found["protocol"] == "a side diverged in every seed"


@pytest.mark.parametrize("kind", PAIRED)
def test_a_run_set_against_itself_says_nothing(kind: str) -> None:
    one_level = evidence(cells("a", [70.0, 71.0, 72.0], batch_size=32))
    claim = paired(
        kind, 2.0, high={"method": "a", "batch_size": "first"}, low={"method": "a", "batch_size": "last"}
    )
    found = decide(one_level, claim)
    assert found == {"protocol": "both sides are the same runs at this tier", "verdict": NOT_RUN}


def test_a_choice_of_the_other_side_itself_is_said_to_be_one() -> None:
    rows = cells("a", [70.0, 71.0, 72.0])
    chosen = [row | {"experiment": "inductive_bias"} for row in rows]  # what a table samples, or chooses
    sides = {"high": {"experiment": "inductive_bias"}, "low": {"experiment": "one"}}
    claim = {"kind": "order", "measure": {"column": "accuracy", **sides}}
    said = "both sides are the same runs: the candidate chosen is the other side"
    assert decide(evidence(rows, chosen), claim) == {"protocol": said, "verdict": "inconclusive"}


def test_levels_go_by_the_tiers_order_and_not_by_size() -> None:
    bench = evidence(*(cells("a", [value, value + 1], mu=mu) for mu, value in [(10, 50.0), (1, 60.0)]))
    found = decide(bench, paired("order", high={"mu": "last"}, low={"mu": "first"}))
    assert found["measured"] == pytest.approx(10.0)
    assert decide(bench, paired("order", high={"mu": 10}, low={"mu": 1}))["measured"] == pytest.approx(-10.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"column": "few1"}, "this tier does not measure few1"),
        ({"experiment": "another"}, "this tier does not measure it"),
        ({"high": {"method": "c"}}, "this tier does not measure it"),
        ({"high": {"relation": "first"}}, "this tier does not measure it"),
    ],
)
@pytest.mark.parametrize("kind", PAIRED)
def test_what_a_tier_lacks_is_not_run(kind: str, changes: dict[str, Any], said: str) -> None:
    found = decide(apart([1.0, 1.0, 1.0]), paired(kind, 2.0, **changes))
    assert found == {"protocol": said, "verdict": NOT_RUN}


def test_an_analogue_stands_where_a_tier_lacks_the_runs_and_decides_nothing() -> None:
    here = paired("order")
    far = here | {"measure": here["measure"] | {"experiment": "another"}, "analogue": here["measure"]}
    bench = apart([1.0, 1.1, 0.9])
    decided, shown = decide(bench, here), decide(bench, far)
    assert decided["verdict"] == "holds"
    assert shown["verdict"] == NOT_RUN
    assert not {"p", "p_holm", "seeds_needed"} & set(shown)
    for column in ("measured", "ci_low", "ci_high", "seeds", "protocol"):
        assert shown[column] == decided[column]
    assert decide(bench, here | {"analogue": far["measure"]}) == decided
    assert decide(bench, far | {"analogue": far["measure"]})["protocol"] == "this tier does not measure it"


def within(bounds: Sequence[float], **measure: Any) -> dict[str, Any]:
    chosen = {"experiment": "one", "column": "gain", "where": {"method": "a"}} | measure
    return {"kind": "range", "bounds": bounds, "measure": chosen}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.2, 0.21, 0.19], "holds"),
        ([0.7, 0.71, 0.69], "differs"),
        ([-0.2, -0.21, -0.19], "differs"),
        ([0.0, 0.4, 0.2], "inconclusive"),
        ([0.0] * 6, "differs"),  # a gain of nothing is no gain
        ([0.5] * 6, "differs"),
        ([0.5, 0.5], "inconclusive"),  # two coarse values may well agree
        ([0.2], "inconclusive"),
        ([None, None], "inconclusive"),
        ([0.44, 0.47, 0.6, 0.4], "inconclusive"),
    ],
)
def test_a_range(values: list[float | None], verdict: str) -> None:
    found = decide(evidence(cells("a", values, "gain"), cells("b", [9.0], "gain")), within((0, 0.5)))
    known = [value for value in values if value is not None]
    assert (found["verdict"], found["seeds"]) == (verdict, len(known))
    if known:
        assert found["measured"] == pytest.approx(sum(known) / len(known))
    if len(known) > 1 and len(set(known)) > 1:
        bounds = stats.ttest_1samp(known, 0).confidence_interval(0.95)
        assert (found["ci_low"], found["ci_high"]) == pytest.approx((bounds.low, bounds.high))
        needed = seeds_for_within(known, 0, 0.5)
        assert found.get("seeds_needed") == (needed if verdict == "inconclusive" else None)


def test_a_range_leaves_out_a_seed_with_a_diverged_cell() -> None:
    bench = evidence(cells("a", [0.1, 0.1, 0.1], "gain", mu=1), cells("a", [0.3, None, 0.3], "gain", mu=10))
    found = decide(bench, within((0, 0.5)))
    assert (found["seeds"], found["measured"]) == (2, pytest.approx(0.2))


def test_a_range_that_the_tier_lacks_is_not_run() -> None:
    bench = evidence(cells("a", [0.1, 0.2], "gain"))
    assert decide(bench, {"kind": "range", "bounds": [0, 1]}) == {}  # nothing to measure it by
    for changes in ({"column": "loss"}, {"experiment": "another"}, {"where": {"method": "z"}}):
        assert decide(bench, within((0, 1), **changes))["verdict"] == NOT_RUN


def test_what_is_underspecified_has_a_reason_and_what_was_measured_all_the_same() -> None:
    claim = {"kind": "underspecified", "reason": "not known here"}
    bench = evidence(cells("a", [0.1, 0.3], "gain"), cells("b", [9.0, 9.0], "gain"))
    bare = {"protocol": "not known here", "verdict": "underspecified"}
    assert decide(bench, claim) == bare
    measure = {"experiment": "one", "column": "gain", "where": {"method": "a"}}
    found = decide(bench, claim | {"measure": measure})
    assert found | bare == found
    assert (found["measured"], found["seeds"]) == (pytest.approx(0.2), 2)
    assert decide(bench, claim | {"measure": measure | {"column": "loss"}}) == bare
    assert decide(bench, claim | {"measure": measure | {"experiment": "another"}}) == bare
    lost = evidence(cells("a", [None, None], "gain"))
    assert decide(lost, claim | {"measure": measure}) == bare
