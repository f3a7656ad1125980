"""Decoupled contrastive learning (DCL; Yeh et al. 2022), with its squared and absolute variants."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.contrastive import compare, normalise_embeddings
from spectral_ssl.losses.terms import pair_loss


@pair_loss
def dcl(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float = 0.1,
    negatives: str = "full",
    similarity: str = "plain",
    center: bool = False,
    standardise: bool = False,
) -> dict[str, Tensor]:
    """Decoupled contrastive loss: `simclr` without the positive among the candidates (Yeh et al. 2022).

    The mean over all 2N anchors of  -s(a, p)/tau + log sum_n exp(phi(s(a, n))/tau).  Options and terms are
    those of `simclr`; the default temperature is Yeh et al.'s. Garrido et al. (2023, section 3.2) print the
    negatives once from the other view, `negatives="cross_view"`, and once from the anchor's own,
    "same_view": these are two different losses. Yeh et al. use both views, "full".
    """
    z1, z2 = normalise_embeddings(z1, center, standardise), normalise_embeddings(z2, center, standardise)
    positive, negative = compare(z1, z2, temperature, negatives, similarity)
    return {"invariance": -positive.mean(), "repulsion": negative.mean()}
