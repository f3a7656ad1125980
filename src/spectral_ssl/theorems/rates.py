"""Exponents of power laws, fitted in log-log with an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 400


class Rate(NamedTuple):
    """An exponent with its interval, of `CONFIDENCE`."""

    exponent: float
    low: float
    high: float

    def farthest(self, expected: float) -> float:
        """The interval's end farther from the expected exponent: what must lie within a check's tolerance."""
        return max(self.low, self.high, key=lambda end: abs(end - expected))

    def detail(self, name: str) -> dict[str, float]:
        """The three numbers under a name."""
        return {name: self.exponent, f"{name}: low": self.low, f"{name}: high": self.high}


def fit(sizes: Sequence[float], values: ArrayLike) -> Rate:
    """The slope of log value on log size by least squares, with Student's interval over the residuals.

    One value a size, all positive, three sizes or more. Exact power laws have an interval of length zero.
    """
    found = scipy.stats.linregress(np.log(sizes), np.log(np.asarray(values, dtype=np.float64)))
    half = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(sizes) - 2) * found.stderr)
    return Rate(float(found.slope), float(found.slope) - half, float(found.slope) + half)


def fit_samples(
    sizes: Sequence[float],
    samples: Sequence[Array],
    rng: np.random.Generator,
    statistic: Callable[[Array], float] = np.mean,
) -> Rate:
    """The slope of the log of a statistic of each size's samples, with a bootstrap interval over the samples.

    samples: one array of independent repeats a size; resampled within each size. A statistic that is not
    positive gives NaN.
    """

    def slope(drawn: Sequence[Array]) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            heights = np.log([statistic(one) for one in drawn])
        return float(np.polyfit(np.log(sizes), heights, 1)[0]) if np.isfinite(heights).all() else np.nan

    slopes = [slope([rng.choice(one, one.size) for one in samples]) for _ in range(RESAMPLES)]
    low, high = np.quantile(slopes, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Rate(slope(samples), float(low), float(high))
