"""What SimCLR and DCL share: normalised embeddings, and similarities of anchors to positives and negatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import center_dimensions, normalise_columns, normalise_rows, off_diagonal
from spectral_ssl.losses.terms import check_option, check_positive

SIMILARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda s: s,
    "squared": torch.square,
    "absolute": torch.abs,
}


def normalise_embeddings(z: Tensor, center: bool = False, standardise: bool = False) -> Tensor:
    """One view's embeddings (N, K) as the contrastive losses compare them: table 1 of Garrido et al. (2023).

    Unit rows by default; unit rows after centring each dimension with `center`; dimensions of mean 0 and norm
    sqrt(N/K), and rows as they come, with `standardise`.
    """
    if standardise:
        samples, dimensions = z.shape
        return (samples / dimensions) ** 0.5 * normalise_columns(center_dimensions(z))
    return normalise_rows(center_dimensions(z) if center else z)


def logits(
    z1: Tensor, z2: Tensor, temperature: float, negatives: str, similarity: str
) -> tuple[Tensor, Tensor]:
    """Similarities over the temperature of every anchor: to its positive (2N,), to its negatives (2N, n)."""
    check_positive("temperature", temperature)
    check_option("negatives", negatives, ("full", "same_view", "cross_view"))
    check_option("similarity", similarity, SIMILARITIES)

    def to_negatives(anchors: Tensor, others: Tensor) -> Tensor:
        pools = {"full": (anchors, others), "same_view": (anchors,), "cross_view": (others,)}[negatives]
        return torch.cat([off_diagonal(anchors @ pool.T) for pool in pools], dim=1)

    positive = (z1 * z2).sum(dim=1).repeat(2)
    negative = torch.cat([to_negatives(z1, z2), to_negatives(z2, z1)])
    return positive / temperature, SIMILARITIES[similarity](negative) / temperature
