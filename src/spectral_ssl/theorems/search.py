"""Searching for a violation: the instance on which a bound's two sides come closest, or cross."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

EVALUATIONS = 300
"""Of one start."""

STEPS = 60
"""Of one start where the gradient is known."""


@dataclass(frozen=True)
class Found:
    """The worst instance found: left side over right side, 1 being a violation's threshold, and where."""

    ratio: float
    point: Array


def search(
    ratio: Callable[[Array], float],
    starts: list[Array],
    rng: np.random.Generator,
    *,
    evaluations: int = EVALUATIONS,
    step: float = 0.5,
) -> Found:
    """Climb `ratio` without its gradient, so that errors and counts, which have none, can be climbed too.

    From each start a (1+1) evolution strategy with the one-fifth success rule (Rechenberg), whose Gaussian steps
    begin at `step`. An evaluation that is not finite counts as a ratio of minus infinity.
    """
    best = Found(-np.inf, starts[0])
    for start in starts:
        point, value, length = start.copy(), _finite(ratio(start)), step
        for _ in range(evaluations):
            trial = point + length * rng.standard_normal(point.shape)
            found = _finite(ratio(trial))
            if found >= value:  # equal too: on a plateau of counts it must drift
                length *= 1.5 if found > value else 1.0
                point, value = trial, found
            else:
                length *= 1.5**-0.25
        if value > best.ratio:
            best = Found(value, point)
    return best


def climb(ratio: Callable[[torch.Tensor], torch.Tensor], starts: list[Array], *, steps: int = STEPS) -> Found:
    """Climb a differentiable `ratio` of a float64 tensor by quasi-Newton steps from each start."""

    def downhill(vector: Array, shape: tuple[int, ...]) -> tuple[float, Array]:
        variable = torch.from_numpy(vector.reshape(shape).copy()).requires_grad_()
        value = -ratio(variable)
        (gradient,) = torch.autograd.grad(value, variable)
        return float(value.detach()), gradient.numpy().ravel()

    best = Found(-np.inf, starts[0])
    for start in starts:
        end = scipy.optimize.minimize(
            downhill,
            start.ravel(),
            args=(start.shape,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps},
        )
        if -end.fun > best.ratio:
            best = Found(float(-end.fun), end.x.reshape(start.shape))
    return best


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else -np.inf
