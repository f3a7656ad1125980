"""InfoNCE in one direction (van den Oord et al. 2018), as NNCLR and MoCo use it."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import normalise_rows
from spectral_ssl.losses.blockwise import all_log_sum_exp
from spectral_ssl.losses.terms import check_embeddings, check_positive, pair_loss


@pair_loss
def info_nce(z1: Tensor, z2: Tensor, *, temperature: float = 0.2) -> dict[str, Tensor]:
    """The mean over rows i of  -s(i, i) / tau + log sum_j exp(s(i, j) / tau),  s(i, j) = cos(z1_i, z2_j).

    The rows of z1 are anchors only, those of z2 candidates only, the positive among them: with neighbours for z1
    and predictions for z2 it is NNCLR's loss (Dwibedi et al. 2021, eq. 4, with tau = 0.1). `simclr` takes
    both views' rows for both. The default temperature is MoCo v2's. Both arguments receive a gradient.
    Terms: `invariance`, the first; `repulsion`, the second.
    """
    check_positive("temperature", temperature)
    z1, z2 = normalise_rows(z1), normalise_rows(z2)
    return {
        "invariance": -(z1 * z2).sum(dim=1).mean() / temperature,
        "repulsion": all_log_sum_exp(z1, z2, temperature).mean(),
    }


@pair_loss
def info_nce_queue(
    query: Tensor, key: Tensor, queue: Tensor, *, temperature: float = 0.2
) -> dict[str, Tensor]:
    """The mean over queries q of  -s(q, k) / tau + log[exp(s(q, k) / tau) + sum_n exp(s(q, n) / tau)].

    MoCo's loss (He et al. 2020, eq. 1; the default temperature is Chen et al. 2020's). query, key: (N, K), row i
    of both the same image, normalised here; queue: (M, K), the negatives n, of norm 1 and taken as they are.
    All three receive a gradient: the caller detaches keys and queue. Memory is linear in N and in M (`blockwise`).
    Terms: `invariance`, the first; `repulsion`, the second.
    """
    check_positive("temperature", temperature)
    check_embeddings(queue)
    query, key = normalise_rows(query), normalise_rows(key)
    positive = (query * key).sum(dim=1) / temperature
    negative = all_log_sum_exp(query, queue.to(query.dtype), temperature)
    return {
        "invariance": -positive.mean(),
        "repulsion": torch.logaddexp(positive, negative).mean(),
    }
