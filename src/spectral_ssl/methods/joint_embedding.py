"""Joint embedding: one network embeds both views and a loss compares the embeddings."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.methods.base import Method, Step


class JointEmbedding(Method):
    """Encoder and projector shared by both views; gradient through both.

    The method of the spectral contrastive loss, SimCLR, DCL, VICReg and its variants, Barlow Twins and TCR.
    """

    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """Loss of the two embeddings."""
        with self.autocast(view1.device):
            h1, h2 = self.encoder(view1), self.encoder(view2)
            z1, z2 = self.head(h1), self.head(h2)
        z1, z2 = z1.float(), z2.float()
        return Step(self.loss(z1, z2, **self.hyperparameters), (h1.float(), h2.float()), (z1, z2))
