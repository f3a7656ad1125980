"""Joint embedding: one network embeds both views and a loss compares the embeddings."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.methods.base import Method, Passes, Step, through


class JointEmbedding(Method):
    """Encoder and projector shared by both views; gradient through both.

    The method of the spectral contrastive loss, SimCLR, DCL, VICReg and its variants, Barlow Twins and TCR.
    """

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """Loss of the two embeddings."""
        h1, h2, z1, z2 = yield from through((view1, view2), self.encoder, self.head)
        return Step(self.loss(*self.gather(z1, z2), **self.hyperparameters), (h1, h2), (z1, z2))
