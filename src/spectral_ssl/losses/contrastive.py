"""What SimCLR and DCL share: normalised embeddings, and similarities of anchors to positives and negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import center_dimensions, normalise_rows, standardise_columns
from spectral_ssl.losses.blockwise import SIMILARITIES, own_log_sum_exp, pair_log_sum_exps
from spectral_ssl.losses.terms import check_option, check_positive


def normalise_embeddings(z: Tensor, center: bool = False, standardise: bool = False) -> Tensor:
    """One view's embeddings (N, K) as the contrastive losses compare them: table 1 of Garrido et al. (2023).

    Unit rows by default; unit rows after centring each dimension with `center`; dimensions of mean 0 and norm
    sqrt(N/K), and rows as they come, with `standardise`.
    """
    if standardise:
        return z.shape[1] ** -0.5 * standardise_columns(z)
    return normalise_rows(center_dimensions(z) if center else z)


def compare(
    z1: Tensor, z2: Tensor, temperature: float, negatives: str, similarity: str
) -> tuple[Tensor, Tensor]:
    """For every anchor s(a, p)/tau of its positive, (2N,), and log sum_n exp(phi(s(a, n))/tau) of its negatives, (2N,).

    O(N^2 K) time; memory linear in N (`blockwise`).
    """
    check_positive("temperature", temperature)
    check_option("negatives", negatives, ("full", "same_view", "cross_view"))
    check_option("similarity", similarity, SIMILARITIES)
    pools: list[tuple[Tensor, Tensor]] = []
    if negatives != "cross_view":
        pools.append(
            (own_log_sum_exp(z1, temperature, similarity), own_log_sum_exp(z2, temperature, similarity))
        )
    if negatives != "same_view":
        pools.append(pair_log_sum_exps(z1, z2, temperature, similarity))
    negative = torch.cat(pools[0])
    if len(pools) == 2:
        negative = torch.logaddexp(negative, torch.cat(pools[1]))
    return (z1 * z2).sum(dim=1).repeat(2) / temperature, negative
