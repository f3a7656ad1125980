"""Tests of claims: against scipy and statsmodels, by hand, and their sizes by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from spectral_ssl.errors import UserError
from spectral_ssl.hypotheses import (
    Decision,
    correlation_test,
    different_test,
    holm,
    order_test,
    same_test,
    within_test,
)

ROUNDS = 2000


def sample(mean: float, spread: float = 0.5, n: int = 6, seed: int = 0) -> list[float]:
    found: list[float] = np.random.default_rng(seed).normal(mean, spread, n).tolist()
    return found


@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.4, 2.0])
@pytest.mark.parametrize("null", [0.0, -2.0])
def test_an_order_is_scipys_paired_t_test(mean: float, null: float) -> None:
    values = sample(mean)
    found = order_test(values, null)
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_1samp(values, null).pvalue, rel=1e-9)
    assert found.verdict == ("holds" if np.mean(values) > null else "differs")


@pytest.mark.parametrize("mean", [0.0, 0.5, -0.9, 1.4, -3.0])
def test_sameness_is_statsmodels_two_one_sided_tests_or_one_beyond(mean: float) -> None:
    values = sample(mean)
    found = same_test(values, 1.0)
    assert found is not None
    within, *_ = ttost_paired(np.array(values), np.zeros(6), -1.0, 1.0)
    above = stats.ttest_1samp(values, 1.0, alternative="greater").pvalue
    below = stats.ttest_1samp(values, -1.0, alternative="less").pvalue
    beyond = min(1.0, 2 * min(above, below))
    assert found.p == pytest.approx(min(within, beyond), rel=1e-9)
    assert found.verdict == ("holds" if within <= beyond else "differs")


@pytest.mark.parametrize(
    ("values", "verdict", "p"),
    [
        ([3.0, 3.1, 2.9], "holds", stats.ttest_1samp([3.0, 3.1, 2.9], 0).pvalue),
        ([0.1, -0.1, 0.05], "differs", ttost_paired(np.array([0.1, -0.1, 0.05]), np.zeros(3), -1, 1)[0]),
        # There, and smaller than the margin: both could be said.
        ([0.5, 0.51, 0.49], "differs", ttost_paired(np.array([0.5, 0.51, 0.49]), np.zeros(3), -1, 1)[0]),
    ],
)
def test_a_difference_that_is_there_and_too_small_differs(
    values: list[float], verdict: str, p: float
) -> None:
    found = different_test(values, 1.0)
    assert found is not None
    assert (found.verdict, found.p) == (verdict, pytest.approx(p, rel=1e-9))


@pytest.mark.parametrize("mean", [0.5, 0.05, -0.4, 1.3])
def test_bounds_are_two_one_sided_tests_at_half_the_level(mean: float) -> None:
    values = sample(mean, 0.1)
    found = within_test(values, 0.0, 1.0)
    assert found is not None
    p = [
        stats.ttest_1samp(values, null, alternative=side).pvalue
        for null, side in [(0, "greater"), (1, "less")]
    ]
    q = [
        stats.ttest_1samp(values, null, alternative=side).pvalue
        for null, side in [(0, "less"), (1, "greater")]
    ]
    assert found.p == pytest.approx(min(1.0, 2 * max(p), 2 * min(q)), rel=1e-9)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    inside, outside = interval.low > 0 and interval.high < 1, interval.high < 0 or interval.low > 1
    assert (found.p < 0.05) == (inside or outside)
    assert found.verdict == ("differs" if outside or 2 * min(q) < 2 * max(p) else "holds")


def test_values_without_spread_are_as_many_signs() -> None:
    assert within_test([0.2, 0.2], 0, 1) == Decision("holds", 0.5)
    assert within_test([0.0, 0.0], 0, 1) == Decision("differs", 0.5)
    assert within_test([1.5] * 6, 0, 1) == Decision("differs", 2 * 0.5**6)
    assert same_test([0.5] * 3, 1.0) == Decision("holds", 0.5**3)
    assert same_test([2.0] * 3, 1.0) == Decision("differs", 2 * 0.5**3)
    assert different_test([2.0] * 6, 1.0) == Decision("holds", 2 * 0.5**6)
    nothing = order_test([0.0] * 3)
    assert nothing is not None
    assert nothing.p == 1.0


def test_one_seed_has_no_p() -> None:
    assert order_test([5.0]) is same_test([0.0], 1.0) is different_test([9.0], 1.0) is None
    assert within_test([0.5], 0, 1) is None
    assert correlation_test(math.nan, math.nan) is None


def test_a_bootstraps_tails_become_a_two_sided_p() -> None:
    assert correlation_test(0.01, 1.0) == Decision("holds", 0.02)
    assert correlation_test(0.97, 0.03) == Decision("differs", 0.06)
    assert correlation_test(0.6, 0.7) == Decision("holds", 1.0)


def wrong(test: Callable[[list[float]], Decision | None], draws: NDArray[np.float64], *answers: str) -> float:
    """How often a test gives one of these answers at 5 %."""
    found = [test(draw.tolist()) for draw in draws]
    return float(np.mean([one is not None and one.p < 0.05 and one.verdict in answers for one in found]))


NOISE = 3 * math.sqrt(0.05 * 0.95 / ROUNDS)


@pytest.mark.parametrize("spread", [0.2, 1.0, 20.0])
def test_the_size_of_sameness_at_its_margin(spread: float) -> None:
    """Two means that are just the margin apart are called the same in at most 5 % of cases, and so are they called
    different if they are just within it.
    """
    draws = np.random.default_rng(1).normal(1.0, spread, (ROUNDS, 4))
    same = wrong(lambda values: same_test(values, 1.0), draws, "holds")
    assert same <= 0.05 + NOISE
    if spread == 0.2:
        assert same > 0.035  # no more cautious than it says
    assert wrong(lambda values: same_test(values, 1.0), draws, "differs") <= 0.05 + NOISE


def test_the_sizes_of_the_other_tests_where_an_answer_is_wrong() -> None:
    rng = np.random.default_rng(2)
    zero, edge = rng.normal(0.0, 1.0, (ROUNDS, 4)), rng.normal(1.0, 0.4, (ROUNDS, 4))
    order = wrong(order_test, zero, "holds", "differs")
    assert order == pytest.approx(0.05, abs=NOISE)
    assert wrong(lambda values: order_test(values, 1.0), edge, "holds", "differs") == pytest.approx(
        0.05, abs=NOISE
    )
    assert wrong(lambda values: different_test(values, 1.0), zero, "holds") <= 0.05 + NOISE
    assert wrong(lambda values: different_test(values, 1.0), edge, "differs") <= 0.05 + NOISE
    assert wrong(lambda values: within_test(values, 0.0, 1.0), edge, "holds", "differs") <= 0.05 + NOISE


def test_holm_by_hand_and_against_statsmodels() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    raw = np.random.default_rng(0).uniform(size=30) ** 3
    assert holm(raw.tolist()) == pytest.approx(multipletests(raw, method="holm")[1], rel=1e-12)
    assert holm([]) == []


def test_broken_input() -> None:
    with pytest.raises(UserError, match="from 0 to 1"):
        holm([0.5, math.nan])
    with pytest.raises(UserError, match="must be a positive number; found 0"):
        same_test([1.0, 2.0], 0.0)
    with pytest.raises(UserError, match="leave diverged runs out"):
        order_test([1.0, math.nan])
    with pytest.raises(UserError, match="leave diverged runs out"):
        within_test([1.0, math.inf], 0, 1)
