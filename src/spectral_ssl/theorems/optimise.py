"""Random-restart minimisation, the independent route that closed forms are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray

from spectral_ssl.closed_form.result import Result
from spectral_ssl.closed_form.subspace import largest_angle

Array = NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]
"""Value and gradient at a matrix."""

RESTARTS = 4


@dataclass(frozen=True)
class Best:
    """The lowest of several local minimisations."""

    loss: float
    point: Array
    spread: float
    """Highest minus lowest loss over the restarts: 0 where no restart was caught in a local minimum."""


def minimise(
    objective: Objective,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    restarts: int = RESTARTS,
    scale: float = 1.0,
) -> Best:
    """L-BFGS from `restarts` Gaussian starts of standard deviation `scale`, to a gradient of about 1e-9."""

    def flat(vector: Array) -> tuple[float, Array]:
        value, gradient = objective(vector.reshape(shape))
        return value, gradient.ravel()

    found: list[tuple[float, Array]] = []
    for _ in range(restarts):
        start = scale * rng.standard_normal(shape).ravel()
        # The second call starts afresh from the first's end: a fresh inverse Hessian removes its last stall.
        for _ in range(2):
            end = scipy.optimize.minimize(
                flat,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 3000, "maxfun": 6000, "maxcor": 30},
            )
            start = end.x
        found.append((float(end.fun), end.x.reshape(shape)))
    losses = [loss for loss, _ in found]
    best = int(np.argmin(losses))
    return Best(losses[best], found[best][1], max(losses) - min(losses))


def loss_gap(claimed: float, best: Best, scale: float) -> float:
    """|claimed - lowest found| relative to `scale`, the size of the objective's terms."""
    return abs(claimed - best.loss) / scale


def disagreement(result: Result, best: Best, scale: float, *, centre: bool) -> tuple[float, float]:
    """Loss gap and largest principal angle between a closed form and the best point found."""
    first, second = result.embedding, best.point
    if centre:
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return loss_gap(result.loss, best, scale), largest_angle(first, second, 1e-4)


def from_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Objective:
    """An objective whose gradient is automatic; `function` maps a float64 matrix to a scalar."""

    def at(point: Array) -> tuple[float, Array]:
        variable = torch.from_numpy(point.copy()).requires_grad_()
        value = function(variable)
        (gradient,) = torch.autograd.grad(value, variable)
        return float(value.detach()), gradient.numpy()

    return at
