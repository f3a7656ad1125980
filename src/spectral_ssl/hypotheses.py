"""Tests that decide a claim: which of its two answers the seeds favour, and the p-value of refusing the other.

A claim about a mean theta (of paired differences over seeds, or of values) has two answers, `holds` and `differs`,
each a set of theta, and each answer has a p-value that is valid wherever the answer is wrong:

    claim        holds                p of holds                   differs                    p of differs
    order        theta > null         two-sided t at null          theta < null               the same
    same         |theta| <= margin    two one-sided t (TOST)       |theta| > margin           two-sided t beyond it
    different    theta != 0           two-sided t at 0             |theta| < margin           two one-sided t (TOST)
    within       low < theta < high   2 max of one-sided t         theta <= low or >= high    2 min of one-sided t

The decision's p is the smaller of the two (`different` takes the TOST's wherever that is below 5 %). At no theta are
both answers wrong with one exception: an order at theta = null, where the two-sided test bounds both together. So a
claim that is decided at p < 5 % is decided wrongly with a chance of at most 5 %, whatever theta is. Data that allow
both answers of `different` say a difference that is there and smaller than the margin: `differs`. Where all seeds agree
to the last digit, p is a sign test's: two seeds then decide nothing, six do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spectral_ssl.errors import UserError
from spectral_ssl.stats import (
    equivalence,
    mean_interval,
    one_sided,
    paired_difference,
    two_sided,
    without_spread,
)

LEVEL = 0.05


@dataclass(frozen=True)
class Decision:
    """The answer that the data favour, and its p-value: small where the other answer can be refused."""

    verdict: Literal["holds", "differs"]
    p: float


def order_test(differences: Sequence[float], null: float = 0.0) -> Decision | None:
    """Whether the mean of n differences lies above `null` (holds) or below it (differs), by a two-sided t-test.

    None for one difference. Raises UserError for values that are not finite, as all tests here.
    """
    shifted = [value - null for value in differences]
    found = paired_difference(shifted, [0.0] * len(shifted))
    if found.interval.n < 2:
        return None
    return Decision("holds" if found.interval.mean > 0.0 else "differs", found.p)


def same_test(differences: Sequence[float], margin: float) -> Decision | None:
    """Whether the mean difference lies within the margin (holds) or beyond it on either side (differs)."""
    found = equivalence(differences, [0.0] * len(differences), margin)
    return None if found.interval.n < 2 else _favoured(found.p, found.p_beyond)


def different_test(differences: Sequence[float], margin: float) -> Decision | None:
    """Whether the mean difference is not 0 (holds) or smaller than the margin (differs, even if not 0)."""
    same = equivalence(differences, [0.0] * len(differences), margin)
    if same.interval.n < 2:
        return None
    if same.p < LEVEL:
        return Decision("differs", same.p)
    return _favoured(paired_difference(differences, [0.0] * len(differences)).p, same.p)


def within_test(values: Sequence[float], low: float, high: float) -> Decision | None:
    """Whether the mean lies strictly between the bounds (holds) or at or beyond one of them (differs)."""
    interval = mean_interval(values)
    if interval.n < 2:
        return None
    sample = np.asarray(values, dtype=np.float64)
    if without_spread(sample):  # a gain of nothing in every seed is no gain
        return Decision("holds" if low < interval.mean < high else "differs", 2.0 * 0.5**interval.n)
    holds = min(1.0, 2.0 * max(one_sided(sample, low, +1), one_sided(sample, high, -1)))
    return _favoured(holds, two_sided(one_sided(sample, low, -1), one_sided(sample, high, +1)))


def correlation_test(not_above: float, not_below: float) -> Decision | None:
    """Whether a correlation lies above its bound (holds) or below it, from two one-sided p-values."""
    if math.isnan(not_above) or math.isnan(not_below):
        return None
    return _favoured(min(1.0, 2.0 * not_above), min(1.0, 2.0 * not_below))


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject those below the family-wise level.

    Raises UserError for numbers outside [0, 1].
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    if raw.ndim != 1 or not np.all((raw >= 0.0) & (raw <= 1.0)):
        raise UserError(f"p-values must be a list of numbers from 0 to 1; found {list(pvalues)}")
    order = np.argsort(raw, kind="stable")
    adjusted = np.empty_like(raw)
    adjusted[order] = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1)).clip(max=1.0)
    return [float(p) for p in adjusted]


def _favoured(holds: float, differs: float) -> Decision:
    return Decision("holds", holds) if holds <= differs else Decision("differs", differs)
