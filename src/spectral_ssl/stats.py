"""What a handful of seeds allows to say: intervals, paired differences, equivalence and order.

Everything paired assumes that position i of both samples is the same seed. Intervals are Student's t over
seeds. Nothing is called the same because a difference was not significant: sameness is a claim of its own,
with a margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

from spectral_ssl.errors import UserError

OrderVerdict = Literal["holds", "differs", "inconclusive"]
EquivalenceVerdict = Literal["equivalent", "different", "inconclusive"]


@dataclass(frozen=True)
class Interval:
    """A mean and its interval, in the values' unit; `spread` is the standard deviation with divisor n - 1.

    With n = 1 nothing is known of the spread: `spread`, `low` and `high` are NaN.
    """

    mean: float
    low: float
    high: float
    spread: float
    n: int
    confidence: float


@dataclass(frozen=True)
class Difference:
    """A paired difference a - b with its interval and the two-sided p-value of "the mean difference is 0"."""

    interval: Interval
    p: float


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: `p` is the larger of the two, `interval` the 1 - 2 alpha one of a - b."""

    interval: Interval
    p: float
    margin: float
    verdict: EquivalenceVerdict


@dataclass(frozen=True)
class Order:
    """Whether one sample lies above another: the interval of high - low and what it allows to say."""

    interval: Interval
    p: float
    verdict: OrderVerdict


@dataclass(frozen=True)
class Coverage:
    """Whether a printed number agrees with measured ones: `interval` is where such a number would fall."""

    printed: float
    interval: Interval
    covered: bool
    verdict: OrderVerdict


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean over n seeds; NaN bounds for n = 1.

    Raises UserError for no values, values that are not finite, and a confidence outside (0, 1).
    """
    sample = _sample(values)
    if not 0.0 < confidence < 1.0:
        raise UserError(f"confidence must lie between 0 and 1; found {confidence}")
    return _interval(sample, confidence, variance_factor=1.0 / sample.size)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Difference:
    """The mean of a - b over common seeds, its t interval and the paired t-test's two-sided p.

    With one pair the interval and p are NaN. Raises UserError where the lengths differ.
    """
    differences = _differences(a, b)
    interval = mean_interval(differences.tolist(), confidence)
    # numpy's minimum keeps the NaN of a single pair, the built-in one would drop it.
    p = float(np.minimum(1.0, 2.0 * np.minimum(_tail(differences, 0.0, -1), _tail(differences, 0.0, +1))))
    return Difference(interval, p)


def equivalence(a: Sequence[float], b: Sequence[float], margin: float, alpha: float = 0.05) -> Equivalence:
    """Schuirmann's two one-sided paired t-tests of |mean(a - b)| < margin (same unit as the values).

    `equivalent`: the 1 - 2 alpha interval (90 %) lies inside (-margin, margin), the same as p < alpha;
    `different`: it lies outside of [-margin, margin], so the difference is larger than the margin and not
    just distinguishable from zero; otherwise, and with a single pair, `inconclusive`.

    Raises UserError for a margin that is not positive.
    """
    if not (margin > 0.0 and math.isfinite(margin)):
        raise UserError(f"the margin of an equivalence must be a positive number; found {margin}")
    differences = _differences(a, b)
    interval = mean_interval(differences.tolist(), 1.0 - 2.0 * alpha)
    # The null "difference <= -margin" is rejected by a large mean, "difference >= margin" by a small one.
    p = float(np.maximum(_tail(differences, -margin, +1), _tail(differences, margin, -1)))
    verdict: EquivalenceVerdict = "inconclusive"
    if p < alpha:
        verdict = "equivalent"
    elif interval.low > margin or interval.high < -margin:
        verdict = "different"
    return Equivalence(interval, p, margin, verdict)


def order(values_high: Sequence[float], values_low: Sequence[float], confidence: float = 0.95) -> Order:
    """Whether `values_high` lie above `values_low`, by the paired interval of their difference.

    `holds`: the interval is above zero; `differs`: below zero; `inconclusive`: it contains zero or there is
    one pair.
    """
    difference = paired_difference(values_high, values_low, confidence)
    return Order(difference.interval, difference.p, _side(difference.interval))


def coverage(
    printed: float,
    values: Sequence[float],
    *,
    margin: float | None = None,
    runs: int = 1,
    confidence: float = 0.95,
) -> Coverage:
    """Whether a printed number could come from the distribution of the measured values.

    The interval is the prediction interval of a mean of `runs` further runs (the papers print single seeds:
    1), mean ± t s sqrt(1/n + 1/runs). `differs`: the printed number lies outside; `holds`: it lies
    inside and the interval is narrow enough to mean something, half-width <= `margin`; `inconclusive`:
    inside an interval that is wider, inside with no margin given, or n = 1.
    """
    sample = _sample(values)
    if not math.isfinite(printed):
        raise UserError(f"the printed number must be finite; found {printed}")
    if runs < 1:
        raise UserError(f"a printed number is the mean of 1 run or more; found {runs}")
    interval = _interval(sample, confidence, variance_factor=1.0 / sample.size + 1.0 / runs)
    covered = interval.low <= printed <= interval.high
    verdict: OrderVerdict = "inconclusive"
    if sample.size > 1 and not covered:
        verdict = "differs"
    elif covered and margin is not None and (interval.high - interval.low) / 2.0 <= margin:
        verdict = "holds"
    return Coverage(printed, interval, covered, verdict)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject those below the family-wise level.

    Raises UserError for numbers outside [0, 1].
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    if raw.ndim != 1 or not np.all((raw >= 0.0) & (raw <= 1.0)):
        raise UserError(f"p-values must be a list of numbers from 0 to 1; found {list(pvalues)}")
    from statsmodels.stats.multitest import multipletests  # half a second, so only where it is needed

    return [float(p) for p in multipletests(raw, method="holm")[1]]


def seeds_needed(
    differences: Sequence[float],
    margin: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """The seeds with which `equivalence` would say `equivalent` with probability `power`.

    Takes the spread of the measured paired `differences` for the true one, and the true mean difference as
    zero: a lower bound on what is needed. The power is exact, averaged over the chi distribution of the
    measured spread. None where fewer than two differences leave the spread unknown, or where more than
    `most` are needed.
    """
    sample = _sample(differences)
    if margin <= 0.0 or not 0.0 < power < 1.0:
        raise UserError(f"expected a positive margin and a power between 0 and 1; found {margin} and {power}")
    if sample.size < 2:
        return None
    ratio = margin / max(float(sample.std(ddof=1)), 1e-300)
    return _fewest(lambda n: _equivalence_power(ratio, n, alpha), power, most)


def seeds_needed_for_order(
    differences: Sequence[float], *, power: float = 0.8, alpha: float = 0.05, most: int = 10_000
) -> int | None:
    """The seeds with which `order` would decide with probability `power`.

    Takes the mean and spread of the measured paired `differences` for the true ones. None where fewer than two
    leave the spread unknown, or where more than `most` are needed.
    """
    from statsmodels.stats.power import TTestPower  # half a second, so only where it is needed

    sample = _sample(differences)
    if sample.size < 2:
        return None
    # Beyond 100 spreads the power is 1 with two seeds, and the noncentral t's tables end.
    effect = min(abs(float(sample.mean())) / max(float(sample.std(ddof=1)), 1e-300), 100.0)
    return _fewest(lambda n: float(TTestPower().power(effect, nobs=n, alpha=alpha)), power, most)


def _fewest(power_of: Callable[[int], float], power: float, most: int) -> int | None:
    """The least n >= 2 with power_of(n) >= power, which grows with n; None beyond `most`."""
    low, high = 1, 2
    while power_of(high) < power:
        if high > most:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high if high <= most else None


def _equivalence_power(ratio: float, n: int, alpha: float) -> float:
    """The chance that both one-sided tests reject at true difference 0; `ratio` is margin / spread."""
    bound = stats.t.ppf(1.0 - alpha, n - 1)
    reach = ratio * math.sqrt(n)
    # Both reject exactly where |mean| sqrt(n) < reach - bound * s, all in units of the true spread.
    largest = reach / bound
    degrees = n - 1

    def integrand(s: float) -> float:
        density = stats.chi.pdf(s * math.sqrt(degrees), degrees) * math.sqrt(degrees)
        return float(density * (2.0 * stats.norm.cdf(reach - bound * s) - 1.0))

    # The spread's distribution ends long before 1 + 12 / sqrt(degrees); quad would miss its peak beyond.
    top = min(largest, 1.0 + 12.0 / math.sqrt(degrees))
    bottom = max(0.0, 1.0 - 12.0 / math.sqrt(degrees))
    return float(integrate.quad(integrand, bottom, top, limit=200)[0]) if top > bottom else 0.0


def _sample(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise UserError(f"expected a list of one value a seed; found an array of shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise UserError("expected finite values; found NaN or infinity: leave diverged runs out and say so")
    return sample


def _differences(a: Sequence[float], b: Sequence[float]) -> NDArray[np.float64]:
    first, second = _sample(a), _sample(b)
    if first.size != second.size:
        raise UserError(
            f"paired samples need the same seeds in the same order; found {first.size} and {second.size}"
        )
    return first - second


def _interval(sample: NDArray[np.float64], confidence: float, *, variance_factor: float) -> Interval:
    mean, n = float(sample.mean()), int(sample.size)
    if n == 1:
        return Interval(mean, math.nan, math.nan, math.nan, 1, confidence)
    spread = float(sample.std(ddof=1))
    half = float(stats.t.ppf((1.0 + confidence) / 2.0, n - 1)) * spread * math.sqrt(variance_factor)
    return Interval(mean, mean - half, mean + half, spread, n, confidence)


def _tail(sample: NDArray[np.float64], null: float, sign: int) -> float:
    """The one-sided p of "the mean is `null`" against a larger (+1) or smaller (-1) one; NaN for n = 1."""
    if sample.size < 2:
        return math.nan
    above = sign * (float(sample.mean()) - null)
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    if error == 0.0:
        # Values without spread leave no doubt, except exactly at the null, where nothing is rejected.
        return 0.0 if above > 0.0 else 1.0
    return float(stats.t.sf(above / error, sample.size - 1))


def _side(interval: Interval) -> OrderVerdict:
    if interval.low > 0.0:
        return "holds"
    return "differs" if interval.high < 0.0 else "inconclusive"
