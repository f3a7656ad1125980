"""Random-restart minimisation by independent optimisers, the route that closed forms are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from spectral_ssl.closed_form.result import Result
from spectral_ssl.closed_form.subspace import largest_angle

Array = NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]
"""Value and gradient at a matrix."""

OPTIMISERS: dict[str, tuple[str, dict[str, Any]]] = {
    "quasi-Newton": ("L-BFGS-B", {"ftol": 0.0, "gtol": 1e-10, "maxiter": 3000, "maxfun": 6000, "maxcor": 30}),
    "conjugate gradients": ("CG", {"gtol": 1e-10, "maxiter": 3000}),
    "truncated Newton": ("TNC", {"ftol": 0.0, "gtol": 1e-10, "maxfun": 6000}),
}
"""SciPy's methods by what they are: three routes to a minimum that share no line of code but the objective."""

RESTARTS = 4

REACHED = 1e-7
"""A start has reached the minimum if its loss is within this share of the objective's size."""


@dataclass(frozen=True)
class Best:
    """The lowest of several local minimisations.

    losses: the end of every start, by optimiser.
    """

    loss: float
    point: Array
    spread: float
    """Highest minus lowest loss over the starts: 0 where none was caught in a local minimum."""
    losses: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def minimise(
    objective: Objective,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    restarts: int = RESTARTS,
    scale: float = 1.0,
    same: Callable[[Array], Array] = lambda point: point,
) -> Best:
    """Minimise from Gaussian starts of standard deviation `scale`, to a gradient of about 1e-9.

    `restarts` starts of the quasi-Newton method and half as many, at least one, of each other optimiser, every
    one from a start of its own. `same`: a better conditioned point of the same value, for objectives that an
    optimiser may follow to where rounding is all of them.
    """

    def flat(vector: Array) -> tuple[float, Array]:
        value, gradient = objective(vector.reshape(shape))
        return value, gradient.ravel()

    ends: list[tuple[float, Array]] = []
    losses: dict[str, tuple[float, ...]] = {}
    for number, (name, (method, options)) in enumerate(OPTIMISERS.items()):
        mine = []
        for _ in range(restarts if number == 0 else max(1, restarts // 2)):
            start = scale * rng.standard_normal(shape).ravel()
            # The second call starts afresh from the first's end: a fresh curvature estimate removes its last stall.
            for _ in range(2):
                with warnings.catch_warnings():
                    # A line search at the limit of float64 warns; the comparison of ends says whether it mattered.
                    warnings.simplefilter("ignore", RuntimeWarning)
                    end = scipy.optimize.minimize(flat, start, jac=True, method=method, options=options)
                start = same(end.x.reshape(shape)).ravel()
            mine.append((flat(start)[0], start.reshape(shape)))
        losses[name] = tuple(loss for loss, _ in mine)
        ends += mine
    best = min(ends, key=lambda end: end[0])
    return Best(best[0], best[1], max(loss for loss, _ in ends) - best[0], losses)


def loss_gap(claimed: float, best: Best, scale: float) -> float:
    """|claimed - lowest found| relative to `scale`, the size of the objective's terms."""
    return abs(claimed - best.loss) / scale


def disagreement(result: Result, best: Best, scale: float, *, centre: bool) -> tuple[float, float]:
    """Loss gap and largest principal angle between a closed form and the best point found."""
    first, second = result.embedding, best.point
    if centre:
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return loss_gap(result.loss, best, scale), largest_angle(first, second, 1e-4)
