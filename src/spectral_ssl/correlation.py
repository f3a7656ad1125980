"""How closely two measurements of the same runs go together, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.errors import UserError


@dataclass(frozen=True)
class Correlation:
    """Pearson's coefficient of n pairs and its percentile bootstrap interval."""

    value: float
    low: float
    high: float
    n: int


def correlation(
    a: Sequence[float],
    b: Sequence[float],
    *,
    generator: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Correlation:
    """Pearson's correlation of n >= 3 pairs; pairs are resampled whole, resamples without any spread left out.

    Raises UserError for lists of different lengths, fewer than three pairs, values that are not finite, and a list
    whose values are all equal, which correlates with nothing.
    """
    pairs = np.array([a, b], dtype=np.float64) if len(a) == len(b) else np.empty((2, 0))
    if pairs.shape[1] < 3 or not np.isfinite(pairs).all() or (np.ptp(pairs, axis=1) == 0).any():
        raise UserError(
            f"a correlation needs two lists of at least 3 finite values each, not all equal; found {len(a)} and "
            f"{len(b)} values"
        )
    n = pairs.shape[1]
    draws = pairs[:, generator.integers(n, size=(resamples, n))]
    found = _pearson(draws)
    low, high = np.nanquantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Correlation(float(_pearson(pairs[:, None])[0]), float(low), float(high), n)


def _pearson(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (m,) of m samples (2, m, n); NaN for a sample without spread."""
    centred = pairs - pairs.mean(axis=2, keepdims=True)
    product, squares = (centred[0] * centred[1]).sum(axis=1), (centred**2).sum(axis=2)
    scale = np.sqrt(squares[0] * squares[1])
    return np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0)
