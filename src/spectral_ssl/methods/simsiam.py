"""SimSiam (Chen & He 2021): a predictor on one branch, stop-gradient on the other, no negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Step
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

    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """The symmetrised loss; the targets carry no gradient."""
        with self.autocast(view1.device):
            h1, h2 = self.encoder(view1), self.encoder(view2)
            z1, z2 = self.head(h1), self.head(h2)
            p1, p2 = self.predictor(z1), self.predictor(z2)
        z1, z2 = z1.float(), z2.float()
        first = self.loss(p1.float(), z2.detach()).total
        second = self.loss(p2.float(), z1.detach()).total
        terms = Terms({"invariance": (first + second) / 2})
        return Step(terms, (h1.float(), h2.float()), (z1, z2))

    def constant_rate(self) -> nn.Module | None:
        """The predictor, if the option says so."""
        return self.predictor if self.options["constant_predictor_rate"] else None
