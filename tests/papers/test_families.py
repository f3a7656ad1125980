"""Verdicts of a family: Holm's correction, what it says, and its error rates by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spectral_ssl.hypotheses import Decision, different_test, holm, order_test, same_test, within_test
from spectral_ssl.papers.families import Judged, settle, settle_families

CLAIMS, SEEDS, ROUNDS = 6, 4, 1500
NOISE = 3 * math.sqrt(0.05 * 0.95 / ROUNDS)


def judged(p: float, verdict: Any = "holds", **more: Any) -> Judged:
    return Judged({"verdict": "inconclusive", "protocol": "analogue"}, Decision(verdict, p), **more)


def test_a_family_is_corrected_together_and_says_where_the_correction_decides() -> None:
    ps = [0.001, 0.012, 0.03, 0.2]
    rows = settle([judged(p) for p in ps])
    assert [row["p"] for row in rows] == ps
    assert [row["p_holm"] for row in rows] == pytest.approx([0.004, 0.036, 0.06, 0.2])  # by hand
    assert [row["verdict"] for row in rows] == ["holds", "holds", "inconclusive", "inconclusive"]
    said = "analogue; not after Holm's correction over 4 claims"
    assert [row["protocol"] for row in rows] == ["analogue", "analogue", said, "analogue"]


def test_what_has_no_p_is_left_as_it_is_and_counts_for_nothing() -> None:
    untested = Judged({"verdict": "not run at this tier"})
    rows = settle([judged(0.03, "differs"), untested, untested])
    assert rows[0]["verdict"] == "differs"
    assert rows[0]["p_holm"] == 0.03
    assert rows[1:] == [{"verdict": "not run at this tier"}] * 2
    assert settle([]) == []


def test_a_claim_that_its_runs_could_not_test_counts_all_the_same() -> None:
    """Which claim that is, the data decide: a family must not become smaller by them."""
    silent = Judged({"verdict": "inconclusive", "protocol": "a side diverged in every seed"})
    rows = settle([judged(0.02), silent, judged(0.04), silent])
    assert [row.get("p_holm") for row in rows] == pytest.approx([0.08, None, 0.12, None])
    assert rows[1] == rows[3] == silent.found


def test_families_do_not_mix() -> None:
    entries = [("a", 0.03), (None, 0.03), ("b", 0.03), ("a", 0.04), ("b", 0.001)]
    rows = settle_families([name for name, _ in entries], [judged(p) for _, p in entries])
    assert [row.get("p_holm") for row in rows] == pytest.approx([0.06, None, 0.03, 0.06, 0.002])
    assert [row["verdict"] == "holds" for row in rows] == [False, False, True, False, True]


def test_an_undecided_claim_says_the_seeds_that_its_level_in_the_family_needs() -> None:
    asked: list[float] = []

    def seeds_at(level: float) -> int:
        asked.append(level)
        return 17

    family = [judged(0.3, seeds_at=seeds_at), judged(1e-9, seeds_at=seeds_at), judged(0.03), judged(0.4)]
    rows = settle(family)
    assert asked == [0.05 / 4]  # the decided one needs none
    assert rows[0]["seeds_needed"] == 17
    assert (
        rows[0]["protocol"] == "analogue; underpowered: about 17 seeds would decide it with a chance of 80 %"
    )
    assert "seeds_needed" not in rows[1] | rows[2]
    assert settle([judged(0.3, seeds_at=lambda level: None)])[0]["protocol"] == "analogue"


def test_a_verdict_without_a_test_stands_where_the_test_refuses_nothing() -> None:
    covered = {"verdict": "holds"}
    assert settle([Judged(covered, Decision("differs", 0.5))])[0]["verdict"] == "holds"
    assert settle([Judged(covered, Decision("differs", 0.01))])[0]["verdict"] == "differs"


Tests = list[Callable[[list[float]], Decision | None]]


def share_wrong(
    tests: Tests, wrong: list[set[str]], draws: NDArray[np.float64], *, corrected: bool = True
) -> float:
    """How often any claim of a family gets a wrong answer; draws (rounds, claims, seeds)."""
    count = 0
    for family in draws:
        decisions = [test(values.tolist()) for test, values in zip(tests, family, strict=True)]
        found = [Judged({"verdict": "inconclusive"}, decision) for decision in decisions]
        rows = settle(found) if corrected else [settle([one])[0] for one in found]
        count += any(row["verdict"] in bad for row, bad in zip(rows, wrong, strict=True))
    return count / len(draws)


def shared_baseline(rng: np.random.Generator, means: list[float]) -> NDArray[np.float64]:
    """Differences of several methods to one: they share its seeds, and correlate by a half."""
    methods = rng.normal(size=(ROUNDS, len(means), SEEDS)) * math.sqrt(0.5)
    baseline = rng.normal(size=(ROUNDS, 1, SEEDS)) * math.sqrt(0.5)
    return methods - baseline + np.array(means)[:, None]


@pytest.mark.parametrize("shared", [False, True])
def test_the_chance_of_any_false_order_in_a_family(shared: bool) -> None:
    """All differences are zero: any decision is a false one."""
    rng = np.random.default_rng(3)
    draws = shared_baseline(rng, [0.0] * CLAIMS) if shared else rng.normal(size=(ROUNDS, CLAIMS, SEEDS))
    tests: Tests = [order_test] * CLAIMS
    wrong = [{"holds", "differs"}] * CLAIMS
    assert share_wrong(tests, wrong, draws) <= 0.05 + NOISE
    plain = share_wrong(tests, wrong, draws, corrected=False)
    assert plain > 0.12
    if not shared:
        assert plain == pytest.approx(1 - 0.95**CLAIMS, abs=4 * math.sqrt(0.2 / ROUNDS))
        assert share_wrong(tests, wrong, draws) > 0.05 - 3 * NOISE  # not cautious beyond what it says


@pytest.mark.parametrize("effect", [0.3, 1.0, 3.0, 10.0])
def test_the_chance_of_any_wrong_direction_in_a_family(effect: float) -> None:
    """Half of the differences are there, of either sign; those that are decided first loosen the others' level."""
    means = [effect, -effect, effect, 0.0, 0.0, 0.01]
    wrong = [{"differs"}, {"holds"}, {"differs"}, {"holds", "differs"}, {"holds", "differs"}, {"differs"}]
    draws = shared_baseline(np.random.default_rng(4), means)
    assert share_wrong([order_test] * CLAIMS, wrong, draws) <= 0.05 + NOISE


@pytest.mark.parametrize("distance", [0.05, 1.0, 5.0])
def test_the_chance_of_any_wrong_answer_in_a_family_of_all_kinds(distance: float) -> None:
    """Each mean lies `distance` to one side of where its claim's answers meet; claims share a baseline."""
    tests: Tests = [
        order_test,
        lambda values: order_test(values, -2.0),
        lambda values: same_test(values, 2.0),
        lambda values: same_test(values, 2.0),
        lambda values: different_test(values, 2.0),
        lambda values: within_test(values, 0.0, 20.0),
    ]
    means = [distance, -2.0 - distance, 2.0 + distance, max(2.0 - distance, 0.0), 2.0 + distance, -distance]
    wrong = [{"differs"}, {"holds"}, {"holds"}, {"differs"}, {"differs"}, {"holds"}]
    draws = shared_baseline(np.random.default_rng(5), means)
    assert share_wrong(tests, wrong, draws) <= 0.05 + NOISE


def test_holms_order_does_not_matter() -> None:
    ps = np.random.default_rng(6).uniform(size=9).tolist()
    rows = settle([judged(p) for p in ps])
    assert [row["p_holm"] for row in rows] == pytest.approx(holm(ps))
    back = settle([judged(p) for p in ps[::-1]])[::-1]
    assert [row["p_holm"] for row in back] == pytest.approx([row["p_holm"] for row in rows])
