"""Joint embedding: one network embeds both views and a loss compares the embeddings."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.methods.base import Method, Passes, Step, wide


class JointEmbedding(Method):
    """Encoder and projector shared by both views; gradient through both.

    The method of the spectral contrastive loss, SimCLR, DCL, VICReg and its variants, Barlow Twins and TCR.
    """

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """Loss of the two embeddings."""
        h1 = yield self.encoder, view1
        h2 = yield self.encoder, view2
        z1 = yield self.head, h1
        z2 = yield self.head, h2
        h1, h2, z1, z2 = wide(h1, h2, z1, z2)
        return Step(self.loss(*self.gather(z1, z2), **self.hyperparameters), (h1, h2), (z1, z2))
