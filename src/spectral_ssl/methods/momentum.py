"""A momentum target: an exponential moving average of the networks, which sees images and never a gradient."""

from __future__ import annotations

import copy
import math
from itertools import chain

import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.methods.options import Option


def momentum_options(momentum: float, final_momentum: float) -> dict[str, Option]:
    """The two options of every method with a target, with these defaults."""
    return {"momentum": Option(momentum, 0, 1), "final_momentum": Option(final_momentum, 0, 1)}


class MomentumTarget(nn.Module):
    """A copy of an encoder and a head that follows them: target <- m target + (1 - m) online.

    Its parameters are float32, as the online ones are: half precision is autocast's alone, for in bfloat16, with 8
    bits, an average of momentum 0.996 does not move. They require no gradient, so that no optimiser holds
    them, and they start equal to the online ones (Grill et al.'s code draws them anew, and reports no difference).

    Only parameters are averaged. Batch norm's running statistics are the target's own, from its own passes: in
    training it normalises by its batch like the online network, as in the code of Grill et al. (BYOL), of
    He et al. (MoCo) and in solo-learn. State and statistics are in `state_dict`.

    The momentum goes from `momentum` to `final_momentum` by half a cosine (Grill et al. 2020, section 3.2, with
    `final_momentum` 1); two equal values keep it constant (He et al. 2020).
    Raises UserError if the momentum would fall.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, momentum: float, final_momentum: float
    ) -> None:
        super().__init__()
        if final_momentum < momentum:
            raise UserError(
                f"momentum is {momentum:g} and final_momentum {final_momentum:g}; expected a momentum that does "
                f"not fall; set final_momentum to at least {momentum:g}"
            )
        self.encoder = copy.deepcopy(encoder)
        self.head = copy.deepcopy(head)
        self.requires_grad_(False)
        self.range = (momentum, final_momentum)

    def momentum(self, progress: float) -> float:
        """end - (end - start) (1 + cos(pi progress)) / 2, with progress in [0, 1]."""
        start, end = self.range
        return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2

    @torch.no_grad()
    def move(self, encoder: nn.Module, head: nn.Module, progress: float) -> None:
        """Moves every parameter towards the online one; the first of n steps has a progress of 1 / n, the last 1."""
        target: list[Tensor] = [*self.parameters()]
        online: list[Tensor] = [*chain(encoder.parameters(), head.parameters())]
        torch._foreach_lerp_(target, online, 1 - self.momentum(progress))
