"""SimSiam (Chen & He 2021): a predictor on one branch, stop-gradient on the other, no negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Passes, Step, through
from spectral_ssl.methods.options import Option
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class SimSiam(Method):
    """Loss = ½ D(p1, stop(z2)) + ½ D(p2, stop(z1)), D the negative cosine (Chen & He 2021, eq. 2-4).

    `embed` gives the projector's output; the predictor is left out.

    Option `constant_predictor_rate`: 1 lets the predictor's learning rate stay at its peak (Chen & He's table 1c,
    and `--fix-pred-lr` in their code for ImageNet); 0, the default, lets it decay as the rest does.
    """

    OPTIONS = {"constant_predictor_rate": Option(0, 0, 1, whole=True)}  # noqa: RUF012
    LOSS = "negative_cosine"

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        self.predictor = get_head("predictor", self.head.output_dim, run.embedding_dim, generator=generator)

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """The symmetrised loss; the targets carry no gradient."""
        networks = (self.encoder, self.head, self.predictor)
        h1, h2, z1, z2, p1, p2 = yield from through((view1, view2), *networks)
        target1, target2, p1, p2 = self.gather(z1.detach(), z2.detach(), p1, p2)
        terms = Terms({"invariance": (self.loss(p1, target2).total + self.loss(p2, target1).total) / 2})
        return Step(terms, (h1, h2), (z1, z2))

    def constant_rate(self) -> nn.Module | None:
        """The predictor, if the option says so."""
        return self.predictor if self.options["constant_predictor_rate"] else None
