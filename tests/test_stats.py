"""Statistics over seeds: against scipy and statsmodels, by hand, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.weightstats import ttost_paired

from spectral_ssl.errors import UserError
from spectral_ssl.stats import (
    coverage,
    equivalence,
    mean_interval,
    order,
    paired_difference,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_interval_against_scipy(rng: np.random.Generator) -> None:
    values = rng.normal(70.0, 2.0, 5)
    found = mean_interval(values.tolist(), 0.9)
    expected = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (found.mean, found.spread, found.n) == pytest.approx((values.mean(), values.std(ddof=1), 5))


def test_interval_by_hand() -> None:
    # t(0.975, 2 degrees) = 4.302653; spread of 1, 2, 3 is 1.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3.0), rel=1e-6)


def test_one_seed_has_no_bounds_and_decides_nothing() -> None:
    found = mean_interval([3.0])
    assert found.mean == 3.0
    assert all(math.isnan(number) for number in (found.low, found.high, found.spread))
    assert math.isnan(paired_difference([1.0], [2.0]).p)
    assert equivalence([1.0], [1.0], 5.0).verdict == "inconclusive"
    assert order([9.0], [1.0]).verdict == "inconclusive"
    assert coverage(3.0, [3.0], margin=1.0).verdict == "inconclusive"


def test_paired_difference_against_scipy(rng: np.random.Generator) -> None:
    a, b = rng.normal(0.5, 1.0, 7), rng.normal(0.0, 1.0, 7)
    found = paired_difference(a.tolist(), b.tolist())
    expected = scipy_stats.ttest_rel(a, b)
    bounds = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    assert (found.interval.low, found.interval.high) == pytest.approx((bounds.low, bounds.high), rel=1e-12)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 0.3, 2.0])
def test_equivalence_against_statsmodels(rng: np.random.Generator, shift: float) -> None:
    a, b = rng.normal(shift, 0.5, 6), rng.normal(0.0, 0.5, 6)
    found = equivalence(a.tolist(), b.tolist(), 1.0)
    p, *_ = ttost_paired(a, b, -1.0, 1.0)
    assert found.p == pytest.approx(p, rel=1e-10)
    inside = found.interval.low > -1.0 and found.interval.high < 1.0
    assert (found.verdict == "equivalent") == inside == (p < 0.05)
    assert found.interval.confidence == pytest.approx(0.9)


def test_equivalence_has_three_verdicts() -> None:
    base = [70.0, 71.0, 69.5, 70.5, 70.2]
    near = [value + shift for value, shift in zip(base, [0.1, -0.1, 0.05, 0.0, -0.05], strict=True)]
    assert equivalence(near, base, 0.5).verdict == "equivalent"
    far = [value + 3.0 for value in near]
    assert equivalence(far, base, 0.5).verdict == "different"
    assert equivalence(base, far, 0.5).verdict == "different"
    # Not significantly different, yet by no means shown to be the same.
    noisy = [value + shift for value, shift in zip(base, [2.0, -1.5, 1.0, -2.0, 0.4], strict=True)]
    assert paired_difference(noisy, base).p > 0.5
    assert equivalence(noisy, base, 0.5).verdict == "inconclusive"
    # Distinguishable from zero, but perhaps within the margin and perhaps not.
    some = [value + 0.5 for value in near]
    assert paired_difference(some, base).p < 0.001
    assert equivalence(some, base, 0.5).verdict == "inconclusive"


def test_values_without_spread() -> None:
    """The sign test's p: seeds that agree to the last digit are few draws of something coarse, and no certainty."""
    same = [0.9, 0.9, 0.9]
    assert equivalence(same, same, 0.01).p == 0.5**3
    assert equivalence(same, same, 0.01).verdict == "inconclusive"
    assert equivalence([0.9] * 5, [0.9] * 5, 0.01).verdict == "equivalent"
    assert equivalence([0.9] * 5, [0.4] * 5, 0.1).verdict == "inconclusive"
    assert equivalence([0.9] * 6, [0.4] * 6, 0.1).verdict == "different"
    assert equivalence([1.0] * 9, [0.5] * 9, 0.5).verdict == "inconclusive"
    assert paired_difference([0.3] * 6, [0.1] * 6).p == 2 * 0.5**6
    # 0.8 - 0.7 and 0.9 - 0.8 differ in the last bit only
    assert paired_difference([0.8, 0.9], [0.7, 0.8]).p == 2 * 0.5**2
    assert paired_difference(same, same).p == 1.0
    assert order(same, same).verdict == "inconclusive"


def test_order() -> None:
    # The common seed effect is large; pairing takes it out.
    low = [60.0, 65.0, 70.0, 75.0]
    high = [61.1, 65.9, 71.2, 76.0]
    assert order(high, low).verdict == "holds"
    assert order(low, high).verdict == "differs"
    assert scipy_stats.ttest_ind(high, low).pvalue > 0.5
    assert order([61.0, 64.0, 71.0, 74.5], low).verdict == "inconclusive"


def test_coverage_is_a_prediction_interval() -> None:
    values = [70.0, 70.4, 69.8, 70.2]
    found = coverage(70.9, values, margin=1.5)
    half = scipy_stats.t.ppf(0.975, 3) * np.std(values, ddof=1) * math.sqrt(1 + 1 / 4)
    assert found.interval.high == pytest.approx(70.1 + half, rel=1e-12)
    assert (found.covered, found.verdict) == (True, "holds")
    # The same number lies outside of the mean's own interval: it is one seed, not a mean.
    assert mean_interval(values).high < 70.9
    assert coverage(72.0, values, margin=1.5).verdict == "differs"
    assert coverage(70.9, values, margin=0.5).verdict == "inconclusive"
    assert coverage(70.9, values).verdict == "inconclusive"
    assert coverage(70.9, values, margin=1.5, runs=1000).verdict == "differs"


def test_the_predictive_p_goes_with_the_prediction_interval(rng: np.random.Generator) -> None:
    values = rng.normal(70.0, 1.0, 5)
    for printed in (68.0, 70.0, 71.5, 74.0):
        found = coverage(printed, values.tolist())
        # Two samples, the second of one value: the pooled t-test whose spread is the first's alone.
        t = (printed - values.mean()) / (values.std(ddof=1) * math.sqrt(1 + 1 / 5))
        assert found.p == pytest.approx(2 * scipy_stats.t.sf(abs(t), 4), rel=1e-10)
        assert (found.p < 0.05) == (not found.covered)
    one = scipy_stats.ttest_ind(values, [74.0]).pvalue
    assert coverage(74.0, values.tolist()).p == pytest.approx(one, rel=1e-10)
    assert math.isnan(coverage(3.0, [3.0]).p)


def test_what_lies_beyond_the_margin_is_tested_on_both_sides(rng: np.random.Generator) -> None:
    """A spread far above the margin passes it on either side: the chance of a false `different` stays below 5 %."""
    draws = rng.normal(0.1, 1.0, (3000, 3))
    found = [equivalence(draw.tolist(), [0.0] * 3, 0.1) for draw in draws]
    wrong = np.mean([one.verdict == "different" for one in found])
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)
    one_side_each = np.mean([one.p_beyond < 0.10 for one in found])
    assert one_side_each > 0.07  # 5 % on either side would not do


def test_prediction_interval_covers_as_often_as_it_says(rng: np.random.Generator) -> None:
    draws = rng.normal(size=(2000, 4))
    hits = [coverage(float(row[0]), row[1:].tolist()).covered for row in draws]
    assert np.mean(hits) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_broken_input() -> None:
    with pytest.raises(UserError, match="found 3 and 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(UserError, match="leave diverged runs out"):
        mean_interval([1.0, math.nan])
    with pytest.raises(UserError, match=r"shape \(0,\)"):
        mean_interval([])
    with pytest.raises(UserError, match="between 0 and 1; found 95"):
        mean_interval([1.0, 2.0], 95)
    for margin in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UserError, match="must be a positive number"):
            equivalence([1.0, 2.0], [1.0, 2.0], margin)
    with pytest.raises(UserError, match="must be finite"):
        coverage(math.nan, [1.0, 2.0])
    with pytest.raises(UserError, match="1 run or more; found 0"):
        coverage(1.0, [1.0, 2.0], runs=0)
