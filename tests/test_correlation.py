"""Pearson's correlation against scipy, its interval by simulation, clusters, and lists that correlate with nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, ttest_1samp

from spectral_ssl.correlation import correlation
from spectral_ssl.errors import UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(n: int, rho: float, generator: np.random.Generator) -> tuple[list[float], list[float]]:
    x, noise = generator.normal(size=(2, n))
    return x.tolist(), (rho * x + (1 - rho**2) ** 0.5 * noise).tolist()


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.4, 0.99])
def test_against_scipy(rho: float) -> None:
    a, b = pairs(40, rho, rng(1))
    found = correlation(a, b, generator=rng())
    assert found.value == pytest.approx(pearsonr(a, b).statistic, rel=1e-12)
    assert found.n == 40
    assert found.low < found.value < found.high
    # Fisher's z has about the same interval for normal pairs.
    expected = pearsonr(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.1)


def test_the_interval_is_that_of_a_bootstrap_by_loop() -> None:
    a, b = pairs(15, 0.6, rng(2))
    draws = rng(3).integers(15, size=(200, 15))
    values = [pearsonr(np.array(a)[draw], np.array(b)[draw]).statistic for draw in draws]
    found = correlation(a, b, generator=rng(3), resamples=200, confidence=0.9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), rel=1e-10)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator, covered = rng(4), 0
    for _ in range(300):
        found = correlation(*pairs(50, 0.7, generator), generator=generator, resamples=300)
        covered += found.low <= 0.7 <= found.high
    # 95 % asked for; the percentile bootstrap of 50 pairs falls a little short of it.
    assert 0.90 <= covered / 300 <= 0.98


def clustered(
    generator: np.random.Generator, clusters: int = 40, seeds: int = 5
) -> tuple[list[float], list[float], list[int]]:
    """Pairs of correlation 0.7 between clusters and the same within, of a tenth of the variance."""
    names = np.repeat(np.arange(clusters), seeds)
    between, within = generator.normal(size=(2, clusters))[:, names], generator.normal(size=(2, names.size))
    x, noise = 0.9**0.5 * between + 0.1**0.5 * within
    return x.tolist(), (0.7 * x + 0.51**0.5 * noise).tolist(), names.tolist()


def test_clustered_pairs_need_their_clusters_drawn_whole() -> None:
    """Five seeds of a configuration say little more than one: intervals that take them for five draws are too short."""
    generator, whole, plain = rng(8), 0, 0
    for _ in range(300):
        a, b, names = clustered(generator)
        found = correlation(a, b, clusters=names, generator=generator, resamples=300)
        whole += found.low <= 0.7 <= found.high
        found = correlation(a, b, generator=generator, resamples=300)
        plain += found.low <= 0.7 <= found.high
    assert 0.90 <= whole / 300 <= 0.98
    assert plain / 300 < 0.75


def test_clusters_of_unequal_size_by_loop() -> None:
    a, b = pairs(12, 0.6, rng(2))
    names = list("aabbbcdeeefg")
    draws = rng(3).integers(7, size=(150, 7))
    values = []
    for draw in draws:
        rows = [k for place in draw for k, name in enumerate(names) if name == "abcdefg"[place]]
        values.append(pearsonr(np.array(a)[rows], np.array(b)[rows]).statistic)
    found = correlation(a, b, clusters=names, bound=0.6, generator=rng(3), resamples=150, confidence=0.9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), rel=1e-10)
    assert found.value == pytest.approx(pearsonr(a, b).statistic, rel=1e-12)
    assert (found.n, found.clusters) == (12, 7)
    left_out = []
    for gone in "abcdefg":
        rows = [k for k, name in enumerate(names) if name != gone]
        left_out.append(np.arctanh(pearsonr(np.array(a)[rows], np.array(b)[rows]).statistic))
    pseudo = 7 * np.arctanh(found.value) - 6 * np.array(left_out)
    assert found.not_above == pytest.approx(
        ttest_1samp(pseudo, np.arctanh(0.6), alternative="greater").pvalue
    )
    assert found.not_below == pytest.approx(ttest_1samp(pseudo, np.arctanh(0.6), alternative="less").pvalue)


def test_a_bound_at_the_truth_is_seldom_crossed() -> None:
    """2.5 % on each side is meant; the bootstrap's own tails have more."""
    generator, above, below, tails = rng(4), 0, 0, 0
    for _ in range(400):
        a, b, names = clustered(generator)
        found = correlation(a, b, clusters=names, generator=generator, bound=0.7, resamples=200)
        above += found.not_above < 0.025
        below += found.not_below < 0.025
        tails += not found.low <= 0.7 <= found.high
    assert above / 400 < 0.045
    assert below / 400 < 0.045
    assert above + below < tails


def test_a_bound_far_off_is_told() -> None:
    a, b = pairs(40, 0.9, rng(9))
    found = correlation(a, b, generator=rng(), bound=-0.5, resamples=999)
    assert found.not_above < 1e-6
    assert found.not_below > 1 - 1e-6
    assert np.isnan(correlation(a, b, generator=rng()).not_above)
    line = correlation(a, a, generator=rng(), bound=0.9)
    assert (line.not_above, line.not_below) == (0.5**40, 1.0)  # forty that agree


def test_a_line_correlates_with_one_whatever_its_slope() -> None:
    a = [1.0, 2.0, 3.0, 5.0]
    rising = correlation(a, [10 * x - 3 for x in a], generator=rng())
    falling = correlation(a, [-x for x in a], generator=rng())
    assert (rising.value, rising.low, rising.high) == pytest.approx((1, 1, 1))
    assert (falling.value, falling.low, falling.high) == pytest.approx((-1, -1, -1))


def test_resamples_without_spread_are_left_out() -> None:
    found = correlation(
        [0.0, 0.0, 1.0], [0.0, 0.1, 1.0], generator=rng()
    )  # 8 of 27 have a constant first list
    assert np.isfinite([found.low, found.high]).all()
    assert -1 <= found.low <= found.high <= 1 + 1e-12


def test_the_generator_decides() -> None:
    a, b = pairs(20, 0.5, rng(5))
    assert correlation(a, b, generator=rng(6)) == correlation(a, b, generator=rng(6))
    assert correlation(a, b, generator=rng(6)) != correlation(a, b, generator=rng(7))


@pytest.mark.parametrize(
    ("a", "b", "counts"),
    [
        ([1.0, 2.0], [1.0, 2.0], "found 2 and 2"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "found 3 and 2"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "found 3 and 3"),
        ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0], "found 3 and 3"),
        ([1.0, float("nan"), 3.0], [1.0, 2.0, 3.0], "found 3 and 3"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, float("inf")], "found 3 and 3"),
        ([], [], "found 0 and 0"),
    ],
)
def test_what_correlates_with_nothing_is_refused(a: list[float], b: list[float], counts: str) -> None:
    with pytest.raises(UserError) as caught:
        correlation(a, b, generator=rng())
    expected = (
        f"a correlation needs two lists of at least 3 finite values each, not all equal; {counts} values"
    )
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("names", "found"), [(["x", "x", "y", "y"], "4 names of 2"), (["x", "y", "z"], "3 names of 3")]
)
def test_too_few_clusters_are_refused(names: list[str], found: str) -> None:
    with pytest.raises(UserError, match=f"3 clusters or more; found {found} clusters for 4 pairs"):
        correlation([1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 4.0, 3.0], generator=rng(), clusters=names)
