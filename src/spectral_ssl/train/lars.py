"""LARS (You et al. 2017): every layer's step is scaled to the norm of its weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

# Keeps a quotient of tiny norms finite; the value of lightning-bolts, lightly and solo-learn.
NORM_EPSILON = 1e-8


class LARS(torch.optim.Optimizer):
    """Momentum SGD on gradients that are scaled layer by layer (You et al. 2017, eq. 6 and algorithm 1).

    For each parameter w of a group with `scaled`, with g its gradient and norms over the whole tensor,

        d = s (g + weight_decay w),  s = trust_coefficient |w| / (|g| + weight_decay |w| + 1e-8),
        v <- momentum v + d,  w <- w - lr v.

    `clip` replaces s by min(s / lr, 1), so that a layer's rate, lr times it, is min(s, lr): the `clip_lr` of
    solo-learn. Where |w| is 0, s is 1, and where |g| is 0, so is s, and nothing decays: as in lightning-bolts,
    lightly and solo-learn. As there and in torch's SGD, lr multiplies the velocity; in You et al. it is within
    it, which differs while lr changes.

    A group with `scaled` False has s = 1: plain SGD. Biases and normalisation parameters belong there, without
    decay, as Grill et al. (2020) and the libraries have it. Parameters without a gradient stay. Nothing here waits
    for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 0.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        clip: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "clip": clip,
            "scaled": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient; takes no closure."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if "velocity" not in self.state[weight]:
                    self.state[weight]["velocity"] = torch.zeros_like(weight)
            velocities = [self.state[weight]["velocity"] for weight in weights]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, _directions(weights, group))
            torch._foreach_add_(weights, velocities, alpha=-group["lr"])


def _directions(weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
    """d of every weight; a few calls for all of them, since each layer's own would each wait to be launched."""
    decay, trust, rate = group["weight_decay"], group["trust_coefficient"], group["lr"]
    gradients = [cast(Tensor, weight.grad) for weight in weights]
    directions = list(torch._foreach_add(gradients, weights, alpha=decay))
    if not group["scaled"]:
        return directions
    norms, slopes = (torch.stack(list(torch._foreach_norm(parts))) for parts in (weights, gradients))
    scales = trust * norms / (slopes + decay * norms + NORM_EPSILON)
    if group["clip"]:
        scales = (scales / rate).clamp(max=1.0)
    # Selected, not branched on, so that nothing waits for a GPU.
    scales = torch.where(slopes > 0, torch.where(norms > 0, scales, 1.0), 0.0)
    torch._foreach_mul_(directions, list(scales.unbind()))
    return directions
