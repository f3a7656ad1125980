"""Negative cosine similarity, the loss of SimSiam (Chen & He 2021)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import normalise_rows
from spectral_ssl.losses.terms import pair_loss


@pair_loss
def negative_cosine(p: Tensor, z: Tensor) -> dict[str, Tensor]:
    """-mean_i cos(p_i, z_i) of predictions p and embeddings z, both (N, K); between -1 and 1.

    SimSiam's loss is the mean of this for (p1, z2) and (p2, z1), and BYOL's the sum of 2 + 2 times it; both
    stop the gradient at z, which the caller does by passing `z.detach()`: here both arguments receive a
    gradient.
    Term: `invariance`.
    """
    return {"invariance": -(normalise_rows(p) * normalise_rows(z)).sum(dim=1).mean()}
