"""Joint embedding: one network embeds both views and a loss compares the embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.methods.base import Method, Step
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class JointEmbedding(Method):
    """Encoder and projector shared by both views; gradient through both.

    The method of the spectral contrastive loss, SimCLR, DCL, VICReg and its variants, Barlow Twins and TCR.
    """

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        self.head = get_head(run.projector, self.representation_dim, run.embedding_dim, generator=generator)
        self.loss = get_loss(run.loss)
        self.hyperparameters = dict(run.hyperparameters)

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to embeddings (B, K), float32."""
        with self.autocast(images.device):
            return self.head(self.encoder(images)).float()

    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """Loss of the two embeddings."""
        with self.autocast(view1.device):
            h1, h2 = self.encoder(view1), self.encoder(view2)
            z1, z2 = self.head(h1), self.head(h2)
        terms = self.loss(z1.float(), z2.float(), **self.hyperparameters)
        return Step(terms, (h1.float(), h2.float()), (z1.float(), z2.float()))
