"""How many seeds a claim needs: the fewest with which its test decides with probability `power`.

The measured mean and spread are taken for the true ones, so these are estimates as rough as the seeds are few. All
functions return None where fewer than two values leave the spread unknown, or where more than `most` are needed.
`alpha` is the level that the claim is tested at; in a family of m claims alpha / m is enough for Holm's correction in
any case, more than it asks of most of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import integrate, stats

from spectral_ssl.errors import UserError
from spectral_ssl.stats import without_spread


def seeds_for_order(
    differences: Sequence[float],
    null: float = 0.0,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """The seeds with which a two-sided t-test of "the mean is `null`" rejects with probability `power`."""
    from statsmodels.stats.power import TTestPower  # half a second, so only where it is needed

    _check(power, alpha)
    mean, spread = _moments(differences)
    if math.isnan(spread):
        return None
    if spread == 0.0:
        return _fewest_equal(alpha / 2, most) if mean != null else None
    # Beyond 100 spreads the power is 1 with two seeds, and the noncentral t's tables end.
    effect = min(abs(mean - null) / spread, 100.0)
    return _fewest(lambda n: float(TTestPower().power(effect, nobs=n, alpha=alpha)), power, most)


def seeds_for_same(
    differences: Sequence[float],
    margin: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """The seeds with which a claim of sameness is decided: two one-sided t-tests at `alpha` if the measured mean
    difference lies within the margin, else the two-sided one beyond it.

    Raises UserError for a margin that is not positive.
    """
    if not margin > 0.0:
        raise UserError(f"the margin of an equivalence must be a positive number; found {margin}")
    return _either(differences, -margin, margin, alpha, power=power, alpha=alpha, most=most)


def seeds_for_different(
    differences: Sequence[float],
    margin: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """The seeds with which a claim of difference is decided, by whichever of its two answers needs fewer."""
    found = [seeds_for_order(differences, power=power, alpha=alpha, most=most)]
    if abs(_moments(differences)[0]) < margin:
        found.append(seeds_for_same(differences, margin, power=power, alpha=alpha, most=most))
    return min((n for n in found if n is not None), default=None)


def seeds_for_within(
    values: Sequence[float],
    low: float,
    high: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """The seeds with which the mean is placed within its bounds (both one-sided t-tests at alpha / 2), or beyond the
    nearer one if the measured mean lies there.
    """
    return _either(values, low, high, alpha / 2, power=power, alpha=alpha, most=most)


def _either(
    values: Sequence[float], low: float, high: float, each: float, *, power: float, alpha: float, most: int
) -> int | None:
    _check(power, alpha)
    mean, spread = _moments(values)
    if math.isnan(spread):
        return None
    if not low < mean < high:
        nearer = low if mean <= low else high
        return seeds_for_order(values, nearer, power=power, alpha=alpha, most=most)
    if spread == 0.0:
        return _fewest_equal(each, most)
    below, above = ((bound - mean) / spread for bound in (low, high))
    return _fewest(lambda n: power_within(below, above, n, each), power, most)


def power_within(low: float, high: float, n: int, each: float) -> float:
    """The chance that two one-sided t-tests at level `each` place a mean of n values between low < 0 < high, which are
    the bounds less the true mean in units of the true spread.

    Exact: averaged over the chi distribution of the measured spread.
    """
    degrees, root = n - 1, math.sqrt(n)
    bound = float(stats.t.ppf(1.0 - each, degrees))

    def integrand(s: float) -> float:
        density = stats.chi.pdf(s * math.sqrt(degrees), degrees) * math.sqrt(degrees)
        # Both reject where low + bound s / root < mean < high - bound s / root, all in units of the true spread.
        return float(
            density * (stats.norm.cdf(high * root - bound * s) - stats.norm.cdf(low * root + bound * s))
        )

    # The spread's distribution ends long before 1 + 12 / sqrt(degrees); quad would miss its peak beyond.
    top = min((high - low) * root / (2.0 * bound), 1.0 + 12.0 / math.sqrt(degrees))
    bottom = max(0.0, 1.0 - 12.0 / math.sqrt(degrees))
    return float(integrate.quad(integrand, bottom, top, limit=200)[0]) if top > bottom else 0.0


def _fewest_equal(each: float, most: int) -> int | None:
    """The seeds with which a one-sided test at level `each` decides if they go on to agree: 1 / 2^n <= each."""
    number = math.ceil(-math.log2(each))
    return number if number <= most else None


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


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (divisor n - 1) of finite values; NaN spread for one of them."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise UserError(f"expected a list of finite values, one a seed; found {list(values)}")
    if sample.size < 2:
        return float(sample.mean()), math.nan
    return float(sample.mean()), 0.0 if without_spread(sample) else float(sample.std(ddof=1))


def _check(power: float, alpha: float) -> None:
    if not (0.0 < power < 1.0 and 0.0 < alpha < 1.0):
        raise UserError(f"expected a power and a level between 0 and 1; found {power} and {alpha}")
