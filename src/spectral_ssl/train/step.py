"""One step of optimisation, the same for batches of images, for several runs at once and for a whole graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectral_ssl.losses.terms import Terms
from spectral_ssl.train.diagnostics import gradient_norm
from spectral_ssl.train.optim import set_learning_rate


@dataclass(frozen=True)
class Moved:
    """What a step did: the term that was not finite, so that nothing moved, or the gradient's norm."""

    bad: str | None
    gradient_norm: Tensor


def not_finite(terms: Terms) -> str | None:
    """The first term that is not finite, "loss" if each is and their sum is not; None if the loss is a number.

    Waits for the device.
    """
    if math.isfinite(float(terms.total.detach())):
        return None
    return next((name for name, value in terms.items() if not torch.isfinite(value).all()), "loss")


def descend(optimiser: torch.optim.Optimizer, terms: Terms, rate: float) -> str | None:
    """Move the optimiser's weights one step at this rate down the sum of the terms; see `descend_together`."""
    return descend_together([(optimiser, terms, rate)])[0].bad


def descend_together(
    members: Sequence[tuple[torch.optim.Optimizer, Terms, float]],
) -> list[Moved]:
    """Move every optimiser's weights one step at its rate down its own terms, by one backward pass for all.

    Expects no gradients and leaves none: the next forward pass has their memory for itself.

    On a CPU, where a look at a number costs nothing, terms that are not finite move nothing and are named. On other
    devices that look would stop the queue of work: there the step is made, and who records the terms finds the
    divergence when he reads them.
    """
    bad = [not_finite(terms) if terms.total.device.type == "cpu" else None for _, terms, _ in members]
    sound = [member for member, name in zip(members, bad, strict=True) if name is None]
    if sound:
        torch.autograd.backward([terms.total for _, terms, _ in sound])
    norms = []
    for (optimiser, terms, rate), name in zip(members, bad, strict=True):
        if name is None:
            norms.append(gradient_norm(p for group in optimiser.param_groups for p in group["params"]))
            set_learning_rate(optimiser, rate)
            optimiser.step()
            optimiser.zero_grad()
        else:
            norms.append(torch.full_like(terms.total.detach(), math.nan))
    return [Moved(name, norm) for name, norm in zip(bad, norms, strict=True)]
