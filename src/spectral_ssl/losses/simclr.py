"""SimCLR (Chen et al. 2020), with its squared and absolute variants."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_ssl.losses.contrastive import compare, normalise_embeddings
from spectral_ssl.losses.terms import pair_loss


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

    O(N^2 K) time and, since large matrices of similarities are never stored whole, O(N K) memory. Where they are not
    (`losses/blockwise.py` says from which N), there is no second derivative: UserError under `create_graph=True`.
    """
    z1, z2 = normalise_embeddings(z1, center, standardise), normalise_embeddings(z2, center, standardise)
    positive, negative = compare(z1, z2, temperature, negatives, similarity)
    return {"invariance": -positive.mean(), "repulsion": torch.logaddexp(positive, negative).mean()}
