"""One step of optimisation, the same for batches of images and for a whole graph."""

from __future__ import annotations

import math

import torch

from spectral_ssl.losses.terms import Terms
from spectral_ssl.train.optim import set_learning_rate


def not_finite(terms: Terms) -> str | None:
    """The first term that is not finite, "loss" if each is and their sum is not; None if the loss is a number.

    Waits for the device.
    """
    if math.isfinite(float(terms.total.detach())):
        return None
    return next((name for name, value in terms.items() if not torch.isfinite(value).all()), "loss")


def descend(optimiser: torch.optim.Optimizer, terms: Terms, rate: float) -> str | None:
    """Move the optimiser's weights one step at this rate down the sum of the terms.

    Where the loss is not finite it moves nothing and returns the term's name, as `not_finite` does. That check is
    made at every step, so that a divergence is found where it happens and not an epoch later.
    """
    if bad := not_finite(terms):
        return bad
    set_learning_rate(optimiser, rate)
    optimiser.zero_grad(set_to_none=True)
    terms.total.backward()
    optimiser.step()
    return None
