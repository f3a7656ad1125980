"""Total coding rate (TCR): spread embeddings by the log-determinant of their Gram matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import normalise_rows
from spectral_ssl.losses.terms import check_positive, pair_loss


@pair_loss
def tcr(z1: Tensor, z2: Tensor, *, invariance: float = 200.0, distortion: float = 0.2) -> dict[str, Tensor]:
    """-invariance * mean_i cos(z1_i, z2_i) - (R(z1) + R(z2)) / 2, R the `coding_rate` of the unit embeddings.

    The loss of Li et al. (2022) for two views, with the weight and the distortion of EMP-SSL (Tong et al.
    2023). Their invariance compares each view with the mean of the views; here the two views with each
    other.
    Terms: `invariance`; `coding_rate`, minus the mean rate.
    """
    check_positive("distortion", distortion)
    z1, z2 = normalise_rows(z1), normalise_rows(z2)
    return {
        "invariance": -invariance * (z1 * z2).sum(dim=1).mean(),
        "coding_rate": -(coding_rate(z1, distortion) + coding_rate(z2, distortion)) / 2,
    }


def coding_rate(z: Tensor, distortion: float) -> Tensor:
    """R(Z) = 1/2 log det(I + c Z^T Z), c = K / (N * distortion), of embeddings (N, K) as they are; in nats.

    `distortion` is the SQUARED error epsilon^2 of Yu et al. (2020). The determinant is taken on the
    smaller of the K x K and the N x N side, which are equal (Sylvester), by a Cholesky factorisation: every
    eigenvalue is at least 1, so it exists and its gradient is finite for any z.
    """
    samples, dimensions = z.shape
    gram = z.T @ z if dimensions <= samples else z @ z.T
    scale = dimensions / (samples * distortion)
    identity = torch.eye(len(gram), dtype=z.dtype, device=z.device)
    factor, failed = torch.linalg.cholesky_ex(identity + scale * gram)
    # Only embeddings that are not finite fail: a rate of NaN, as in every other loss, and no exception.
    return factor.diagonal().log().sum().masked_fill(failed > 0, math.nan)
