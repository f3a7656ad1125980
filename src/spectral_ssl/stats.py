"""What a handful of seeds allows to say: intervals, paired differences, equivalence and order.

Everything paired assumes that position i of both samples is the same seed. Intervals are Student's t over
seeds. Nothing is called the same because a difference was not significant: sameness is a claim of its own,
with a margin. hypotheses.py has the tests that decide claims, power.py how many seeds they need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

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
    """Two one-sided tests: `p` is the larger of the two, `interval` the 1 - 2 alpha one of a - b; `p_beyond` is that
    of "|a - b| is at most the margin", twice the smaller of the tests beyond it on either side.
    """

    interval: Interval
    p: float
    p_beyond: float
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
    """Whether a printed number agrees with measured ones: `interval` is where such a number would fall, `p` the
    two-sided p-value of "it is one more draw from where the measured ones come from", NaN for n = 1.
    """

    printed: float
    interval: Interval
    covered: bool
    p: float
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
    return Difference(interval, two_sided(one_sided(differences, 0.0, -1), one_sided(differences, 0.0, +1)))


def equivalence(a: Sequence[float], b: Sequence[float], margin: float, alpha: float = 0.05) -> Equivalence:
    """Schuirmann's two one-sided paired t-tests of |mean(a - b)| < margin (same unit as the values).

    `equivalent`: the 1 - 2 alpha interval (90 %) lies inside (-margin, margin), the same as p < alpha;
    `different`: the 1 - alpha interval lies outside of [-margin, margin], so the difference is larger than the
    margin and not just distinguishable from zero; otherwise, and with a single pair, `inconclusive`. Twice the
    one-sided p, because a difference of an unknown spread can pass a small margin on either side.

    Raises UserError for a margin that is not positive.
    """
    if not (margin > 0.0 and math.isfinite(margin)):
        raise UserError(f"the margin of an equivalence must be a positive number; found {margin}")
    differences = _differences(a, b)
    interval = mean_interval(differences.tolist(), 1.0 - 2.0 * alpha)
    # The null "difference <= -margin" is rejected by a large mean, "difference >= margin" by a small one.
    p = float(np.maximum(one_sided(differences, -margin, +1), one_sided(differences, margin, -1)))
    beyond = two_sided(one_sided(differences, margin, +1), one_sided(differences, -margin, -1))
    verdict: EquivalenceVerdict = "inconclusive"
    if p < alpha:
        verdict = "equivalent"
    elif beyond < alpha:
        verdict = "different"
    return Equivalence(interval, p, beyond, margin, verdict)


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
    variance_factor = 1.0 / sample.size + 1.0 / runs
    interval = _interval(sample, confidence, variance_factor=variance_factor)
    covered = interval.low <= printed <= interval.high
    verdict: OrderVerdict = "inconclusive"
    if sample.size > 1 and not covered:
        verdict = "differs"
    elif covered and margin is not None and (interval.high - interval.low) / 2.0 <= margin:
        verdict = "holds"
    p = two_sided(*(one_sided(sample, printed, sign, variance_factor) for sign in (-1, +1)))
    return Coverage(printed, interval, covered, p, verdict)


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
    half = float(special.stdtrit(n - 1, (1.0 + confidence) / 2.0)) * spread * math.sqrt(variance_factor)
    return Interval(mean, mean - half, mean + half, spread, n, confidence)


def one_sided(
    sample: NDArray[np.float64], null: float, sign: int, variance_factor: float | None = None
) -> float:
    """The t-test's p of "the mean is `null`" against a larger (+1) or smaller (-1) one; NaN for n = 1.

    Of values that are equal to the last digit the sign test's, 1 / 2^n: a few accuracies, which are multiples of one
    image's, may well agree by chance, and a t-test would take that for certainty.

    `variance_factor`: the variance of what is compared over that of one value, by default that of the mean, 1 / n.
    """
    if sample.size < 2:
        return math.nan
    above = sign * (float(sample.mean()) - null)
    if without_spread(sample):
        return 0.5**sample.size if above > 0.0 else 1.0
    error = float(sample.std(ddof=1)) * math.sqrt(variance_factor or 1.0 / sample.size)
    return float(special.stdtr(sample.size - 1, -above / error))


def without_spread(sample: NDArray[np.float64]) -> bool:
    """Whether values are equal but for rounding."""
    return bool(np.ptp(sample) <= 1e-12 * np.abs(sample).max())


def two_sided(one: float, other: float) -> float:
    """Twice the smaller of two one-sided p-values, at most 1; NaN if one of them is."""
    # numpy's minimum keeps the NaN of a single pair, the built-in one would drop it.
    return float(np.minimum(1.0, 2.0 * np.minimum(one, other)))


def _side(interval: Interval) -> OrderVerdict:
    if interval.low > 0.0:
        return "holds"
    return "differs" if interval.high < 0.0 else "inconclusive"
