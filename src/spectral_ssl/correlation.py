"""How closely two measurements of the same runs go together, with a bootstrap interval.

Runs of one configuration differ in their seeds alone and are not independent draws of a configuration: whole
configurations (clusters) are drawn again, with all their seeds, as in Davison & Hinkley 1997, section 3.8.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.errors import UserError
from spectral_ssl.stats import one_sided


@dataclass(frozen=True)
class Correlation:
    """Pearson's coefficient of n pairs in `clusters` clusters, and its percentile bootstrap interval.

    `not_above` and `not_below` are one-sided p-values of a bound: of "the correlation is not above it" and of "not
    below it", by a t test of the jackknife's pseudo-values of Fisher's z, a cluster left out at a time; NaN where no
    bound was given. The bootstrap's own tail is too small for a few tens of clusters (8 % of false decisions for 5 %).
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    not_above: float = math.nan
    not_below: float = math.nan


def correlation(
    a: Sequence[float],
    b: Sequence[float],
    *,
    generator: np.random.Generator,
    clusters: Sequence[Hashable] | None = None,
    bound: float | None = None,
    resamples: int = 9999,
    confidence: float = 0.95,
) -> Correlation:
    """Pearson's correlation of n >= 3 pairs; resamples without any spread are left out.

    `clusters` names the cluster of each pair; by default each pair is one. Clusters are resampled whole.

    Raises UserError for lists of different lengths, fewer than three pairs or clusters, values that are not finite, and
    a list whose values are all equal, which correlates with nothing.
    """
    pairs = np.array([a, b], dtype=np.float64) if len(a) == len(b) else np.empty((2, 0))
    if pairs.shape[1] < 3 or not np.isfinite(pairs).all() or (np.ptp(pairs, axis=1) == 0).any():
        raise UserError(
            f"a correlation needs two lists of at least 3 finite values each, not all equal; found {len(a)} and "
            f"{len(b)} values"
        )
    n = pairs.shape[1]
    names = range(n) if clusters is None else clusters
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    if len(names) != n or len(places) < 3:
        raise UserError(
            f"a correlation needs the cluster of each pair, and 3 clusters or more; found {len(names)} names of "
            f"{len(places)} clusters for {n} pairs"
        )
    sums = _sums(pairs, np.array([places[name] for name in names]), len(places))
    size = resamples, len(places)
    cells = generator.integers(len(places), size=size) + len(places) * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=cells.size).reshape(size)
    found = _pearson(counts @ sums)
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = float(_pearson(sums.sum(axis=0, keepdims=True))[0])
    if bound is None:
        return Correlation(value, float(low), float(high), n, len(places))
    return Correlation(value, float(low), float(high), n, len(places), *_tails(sums, bound))


def _tails(sums: NDArray[np.float64], bound: float) -> tuple[float, float]:
    """One-sided p-values of "not above the bound" and "not below it", from the clusters' sums."""
    clusters, whole = len(sums), sums.sum(axis=0)
    largest = 1 - 1e-12  # a perfect correlation has no finite z
    z = np.arctanh(np.clip(_pearson(np.stack([whole, *(whole - sums)])), -largest, largest))
    pseudo = clusters * z[0] - (clusters - 1) * z[1:]
    sample = pseudo[np.isfinite(pseudo)] - np.arctanh(np.clip(bound, -largest, largest))
    return one_sided(sample, 0.0, +1), one_sided(sample, 0.0, -1)


def _sums(pairs: NDArray[np.float64], places: NDArray[np.intp], clusters: int) -> NDArray[np.float64]:
    """The six sums that a coefficient follows from, a row a cluster: 1, x, y, xx, yy, xy, of standardised values."""
    x, y = (pairs - pairs.mean(axis=1, keepdims=True)) / pairs.std(axis=1, keepdims=True)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    sums = np.zeros((clusters, 6))
    np.add.at(sums, places, terms)
    return sums


def _pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (m,) of m samples' sums (m, 6); NaN for a sample without spread."""
    n, x, y, xx, yy, xy = sums.T
    squares = (xx - x * x / n) * (yy - y * y / n)
    # Sums of equal values leave a rounding error in the place of no spread.
    spread = np.minimum(xx - x * x / n, yy - y * y / n) > 1e-10 * n
    found = np.full(len(sums), np.nan)
    found[spread] = ((xy - x * y / n)[spread] / np.sqrt(squares[spread])).clip(-1.0, 1.0)
    return found
