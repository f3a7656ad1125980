"""Chebyshev filters: polynomials of a matrix that are large at the lower end of its spectrum, small elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spectral_ssl.closed_form.krylov import Operator, ritz_values
from spectral_ssl.closed_form.result import Array
from spectral_ssl.closed_form.validate import Matrix

GROWTH = 5.0
"""Logarithm of the filter at the smallest eigenvalue: enough to part it from the rest, and far from rounding."""

MOST = 1000
"""Largest degree."""

LOOKS = 4
"""At most so many short runs place the filter, each of which sharpens the one before."""


@dataclass(frozen=True)
class Filter:
    """x -> T_degree(X) x, projected, with X = (2 M - (high + low)) / (high - low); `degree` is even.

    Within [low, high] it is at most 1 in size, and below it grows, the faster the further: the order of the
    eigenvalues below `low` turns round, and nothing else comes among them. Degree 0: the matrix has so few
    eigenvalues, each many times, that Lanczos ended early and there is nothing to part.

    doubled: 2 X, so that a step of the recurrence is one product and one difference.
    """

    doubled: Matrix
    project: Operator
    low: float
    high: float
    degree: int

    def __call__(self, x: Array) -> Array:
        """p(M) x."""
        before, now = x, (self.doubled @ x) / 2
        for _ in range(self.degree - 1):
            following = self.doubled @ now
            following -= before
            before, now = now, following
        return self.project(now)

    def inverse(self, values: Array) -> Array:
        """The eigenvalue below `low` that the filter takes to a value of 1 or more; `low` for what is less."""
        centre, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return centre - half * np.cosh(np.arccosh(np.maximum(values, 1.0)) / self.degree)


def chebyshev_filter(matrix: Matrix, project: Operator, k: int, norm: float) -> Filter:
    """A filter for the k smallest eigenvalues of a matrix of at most that norm, in the range of the projection.

    Short Lanczos runs bound the (k + 1)-th from above, so that the filter never damps what is wanted, and find
    where the spectrum begins and ends. Each is run on the filter of the one before, which brings it nearer.
    """
    n, steps = matrix.shape[0], k + k // 2 + 25
    # norm - M, so that what is projected out, at 0, is at the far end and not among the wanted.
    ritz, beyond = ritz_values(lambda x: project(norm * x - matrix @ x), n, steps)
    ritz = norm - ritz[::-1]
    high = min(norm, float(ritz[-1]) + beyond)
    chosen = _placed(matrix, project, ritz, k, high)
    for _ in range(LOOKS if chosen.degree else 0):
        values, _ = ritz_values(chosen, n, steps)
        sharper = _placed(matrix, project, chosen.inverse(values[::-1]), k, high)
        done = sharper.degree <= 1.25 * chosen.degree
        chosen = sharper
        if done:
            break
    return chosen


def _placed(matrix: Matrix, project: Operator, ritz: Array, k: int, high: float) -> Filter:
    # A little above the (k + 1)-th, as nothing is lost by leaving some more undamped.
    place = k + k // 2 + 4
    if place >= ritz.size or ritz[place] >= high:
        return Filter(matrix, project, high, high, 0)
    low, eye = float(ritz[place]), sp.eye_array(matrix.shape[0], format="csr")
    ratio = max((low - float(ritz[0])) / (high - low), 1e-12)
    degree = min(2 * int(np.ceil(GROWTH / np.arccosh(1 + 2 * ratio) / 2)), MOST)
    doubled = sp.csr_array(matrix * (4 / (high - low)) - eye * (2 * (high + low) / (high - low)))
    return Filter(doubled, project, low, high, degree)
