"""SimCLR and decoupled contrastive learning (DCL), with their squared and absolute variants."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import center_dimensions, normalise_columns, normalise_rows, off_diagonal
from spectral_ssl.losses.terms import check_option, check_positive, pair_loss

SIMILARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda s: s,
    "squared": torch.square,
    "absolute": torch.abs,
}


@pair_loss
def simclr(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float = 0.15,
    negatives: str = "full",
    similarity: str = "plain",
    center: bool = False,
    standardise: bool = False,
) -> dict[str, Tensor]:
    """InfoNCE with the positive among the candidates (Chen et al. 2020; Garrido et al. 2023, section 3.2).

    The mean over all 2N anchors a (each view's rows in turn, p the same image's other view) of

        -s(a, p)/tau + log[ exp(s(a, p)/tau) + sum_n exp(phi(s(a, n))/tau) ],

    s the inner product of the normalised embeddings, tau = `temperature` (> 0; 0.15 is the tuned value of
    Garrido et al.). Terms: `invariance`, the first; `repulsion`, the second.

    - `negatives`: "full", both views of the N - 1 other images (2N - 2; Chen et al.); "same_view", the
      anchor's own view of them (as Garrido et al. simplify and as they print SimCLR); "cross_view", the
      other view. Garrido et al.'s printed sum over view 1's anchors alone, added to that over view 2's, is
      2N times the "same_view" loss; Balestriero & LeCun's sum over G is 2N times the "full" one.
    - `similarity`: phi(s) = s ("plain"), s^2 ("squared": SimCLR-sq) or |s| ("absolute": SimCLR-abs). It acts
      on the negatives only.
    - `center`: subtract each view's mean over the batch before normalising the embeddings.
    - `standardise`: dimension standardisation in place of normalised embeddings (Garrido et al., figure 2
      and table 1): each dimension of each view is centred and given the norm sqrt(N/K), so that the mean
      squared norm of the embeddings is 1. It includes `center`.
    """
    z1, z2 = normalise_embeddings(z1, center, standardise), normalise_embeddings(z2, center, standardise)
    positive, negative = _logits(z1, z2, temperature, negatives, similarity)
    candidates = torch.logaddexp(positive, negative.logsumexp(dim=1))
    return {"invariance": -positive.mean(), "repulsion": candidates.mean()}


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
    positive, negative = _logits(z1, z2, temperature, negatives, similarity)
    return {"invariance": -positive.mean(), "repulsion": negative.logsumexp(dim=1).mean()}


def normalise_embeddings(z: Tensor, center: bool = False, standardise: bool = False) -> Tensor:
    """One view's embeddings (N, K) as the contrastive losses compare them: table 1 of Garrido et al. (2023).

    Unit rows by default; unit rows after centring each dimension with `center`; dimensions of mean 0 and norm
    sqrt(N/K), and rows as they come, with `standardise`.
    """
    if standardise:
        samples, dimensions = z.shape
        return (samples / dimensions) ** 0.5 * normalise_columns(center_dimensions(z))
    return normalise_rows(center_dimensions(z) if center else z)


def _logits(
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
