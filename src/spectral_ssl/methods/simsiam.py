"""SimSiam (Chen & He 2021): a predictor on one branch, stop-gradient on the other, no negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Step
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class SimSiam(Method):
    """Loss = ½ D(p1, stop(z2)) + ½ D(p2, stop(z1)), D the negative cosine (Chen & He 2021, eq. 2-4)."""

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        self.head = get_head(run.projector, self.representation_dim, run.embedding_dim, generator=generator)
        self.predictor = get_head("predictor", self.head.output_dim, run.embedding_dim, generator=generator)
        self.loss = get_loss(run.loss)

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to the projector's output (B, K), float32; the predictor is left out."""
        with self.autocast(images.device):
            return self.head(self.encoder(images)).float()

    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """The symmetrised loss; the targets carry no gradient."""
        with self.autocast(view1.device):
            h1, h2 = self.encoder(view1), self.encoder(view2)
            z1, z2 = self.head(h1), self.head(h2)
            p1, p2 = self.predictor(z1), self.predictor(z2)
        first = self.loss(p1.float(), z2.float().detach()).total
        second = self.loss(p2.float(), z1.float().detach()).total
        return Step(
            Terms({"invariance": (first + second) / 2}), (h1.float(), h2.float()), (z1.float(), z2.float())
        )
