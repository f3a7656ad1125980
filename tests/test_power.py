"""Seeds needed: the power that they promise against simulation, and statsmodels' where it has one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from spectral_ssl.errors import UserError
from spectral_ssl.power import (
    power_within,
    seeds_for_different,
    seeds_for_order,
    seeds_for_same,
    seeds_for_within,
)

ROUNDS = 20_000


def apart(mean: float, spread: float = 1.0) -> list[float]:
    """Two values of that mean and that standard deviation."""
    half = spread * math.sqrt(0.5)
    return [mean - half, mean + half]


def placed(low: float, high: float, mean: float, n: int, each: float) -> float:
    """How often two one-sided tests at level `each` place a mean of n values between the bounds."""
    draws = np.random.default_rng(0).normal(mean, 1.0, (ROUNDS, n))
    half = stats.t.ppf(1 - each, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    means = draws.mean(axis=1)
    return float(np.mean((means - half > low) & (means + half < high)))


@pytest.mark.parametrize(
    ("low", "high", "mean", "n", "each"),
    [
        (-1, 1, 0, 10, 0.05),
        (-1, 1, 0.5, 20, 0.05),
        (-2, 2, -1, 6, 0.005),
        (0, 3, 1, 5, 0.025),
        (-4, 4, 0, 2, 0.05),
    ],
)
def test_the_power_formula_against_simulation(
    low: float, high: float, mean: float, n: int, each: float
) -> None:
    expected = placed(low, high, mean, n, each)
    noise = 4 * math.sqrt(max(expected * (1 - expected), 0.01) / ROUNDS)
    assert power_within(low - mean, high - mean, n, each) == pytest.approx(expected, abs=noise)


@pytest.mark.parametrize(
    ("mean", "margin", "power", "alpha"),
    [(0.0, 1.0, 0.8, 0.05), (0.0, 0.5, 0.9, 0.05), (0.6, 2.0, 0.8, 0.005)],
)
def test_the_seeds_for_sameness_reach_the_power_that_they_promise(
    mean: float, margin: float, power: float, alpha: float
) -> None:
    needed = seeds_for_same(apart(mean), margin, power=power, alpha=alpha)
    assert needed is not None
    noise = 4 * math.sqrt(power * (1 - power) / ROUNDS)
    assert placed(-margin, margin, mean, needed, alpha) > power - noise
    assert placed(-margin, margin, mean, needed - 1, alpha) < power + noise


@pytest.mark.parametrize(("mean", "null", "alpha"), [(1.25, 0.0, 0.05), (-0.9, 0.0, 0.01), (0.0, -1.5, 0.05)])
def test_the_seeds_for_an_order_reach_the_power_that_they_promise(
    mean: float, null: float, alpha: float
) -> None:
    needed = seeds_for_order(apart(mean), null, alpha=alpha)
    assert needed is not None
    draws = np.random.default_rng(0).normal(mean - null, 1.0, (ROUNDS, needed))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(needed)
    reached = np.mean(np.abs(t) > stats.t.ppf(1 - alpha / 2, needed - 1))
    assert reached > 0.8 - 4 * math.sqrt(0.16 / ROUNDS)
    effect = abs(mean - null)
    assert TTestPower().power(effect, needed - 1, alpha) < 0.8 <= TTestPower().power(effect, needed, alpha)


def test_what_is_not_the_same_needs_the_seeds_of_a_test_beyond_the_margin() -> None:
    for sign in (-1, 1):
        assert seeds_for_same(apart(3.0 * sign), 2.0) == seeds_for_order(apart(3.0 * sign), 2.0 * sign)
        assert seeds_for_same(apart(2.0 * sign), 2.0) is None  # on the margin no number is enough


def test_bounds_need_the_seeds_of_both_tests_or_of_one_beyond() -> None:
    assert seeds_for_within(apart(0.2), -1, 1) == seeds_for_same(apart(0.2), 1.0, alpha=0.025)
    assert seeds_for_within(apart(3.0), 0, 2) == seeds_for_order(apart(3.0), 2.0)
    assert seeds_for_within(apart(-1.0), 0, 2) == seeds_for_order(apart(-1.0), 0.0)
    near, far = (seeds_for_within(apart(mean), 0, 10) for mean in (0.5, 5.0))
    assert near is not None
    assert far is not None
    assert near > 10 * far  # the nearer bound decides


def test_a_difference_needs_the_fewer_seeds_of_its_two_answers() -> None:
    large, small = apart(3.0), apart(0.01)
    assert seeds_for_different(large, 1.0) == seeds_for_order(large)
    assert seeds_for_different(small, 1.0) == seeds_for_same(small, 1.0)
    assert seeds_for_order(small) is None


@pytest.mark.parametrize(
    "needed",
    [
        lambda alpha: seeds_for_order(apart(1.0), alpha=alpha),
        lambda alpha: seeds_for_same(apart(0.0), 1.0, alpha=alpha),
        lambda alpha: seeds_for_within(apart(0.0), -1, 1, alpha=alpha),
        lambda alpha: seeds_for_different(apart(1.5), 1.0, alpha=alpha),
    ],
)
def test_a_family_needs_more(needed: Callable[[float], int]) -> None:
    assert needed(0.05) < needed(0.05 / 10)


def test_ends() -> None:
    assert seeds_for_order([1.0]) is seeds_for_same([0.3], 1.0) is seeds_for_within([0.3], 0, 1) is None
    assert seeds_for_different([0.3], 1.0) is None
    assert seeds_for_order([-1.0, 1.0]) is None
    assert seeds_for_order([1.0, 1.0 + 1e-12]) == 2
    # Without spread it is a sign test: 1 / 2^5 and 2 / 2^6 are the first below 5 %.
    assert (seeds_for_same([0.2, 0.2, 0.2], 0.5), seeds_for_same([0.9, 0.9, 0.9], 0.5)) == (5, 6)
    assert seeds_for_order([1.0, 1.0]) == seeds_for_within([0.5, 0.5], 0, 1) == 6
    assert seeds_for_order([0.0, 0.0]) is None
    assert seeds_for_same([-1.0, 1.0], 1e-3) is None  # beyond 10,000
    assert seeds_for_same([-1.0, 1.0], 1e-3, most=10**8) is not None


def test_broken_input() -> None:
    with pytest.raises(UserError, match="must be a positive number; found 0"):
        seeds_for_same([1.0, 2.0], 0.0)
    with pytest.raises(UserError, match="between 0 and 1; found 80"):
        seeds_for_order([1.0, 2.0], power=80)
    with pytest.raises(UserError, match="finite values"):
        seeds_for_within([1.0, math.nan], 0, 1)
