"""The few matrix operations that the losses share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Norms below this count as this: values and gradients stay finite where a batch has collapsed to 0, and norms
# above it, which is every embedding in use, are divided by exactly.
NORM_FLOOR = 1e-6


def normalise_rows(z: Tensor) -> Tensor:
    """Embeddings (N, K) of norm 1: z_i / max(|z_i|, 1e-6)."""
    return F.normalize(z, dim=1, eps=NORM_FLOOR)


def normalise_columns(z: Tensor) -> Tensor:
    """Dimensions of norm 1 over the batch: each column of z (N, K) over max(its norm, 1e-6)."""
    return F.normalize(z, dim=0, eps=NORM_FLOOR)


def center_dimensions(z: Tensor) -> Tensor:
    """Embeddings (N, K) less their mean over the batch, so that every dimension has mean 0."""
    return z - z.mean(dim=0)


def covariance_matrix(z: Tensor) -> Tensor:
    """Cov(Z) = Z^T H Z / (N - 1), (K, K), of embeddings (N, K): the unbiased estimate, as `torch.cov`."""
    z = center_dimensions(z)
    return z.T @ z / (len(z) - 1)


def off_diagonal(matrix: Tensor) -> Tensor:
    """A square matrix (n, n) less its diagonal, (n, n - 1): row i keeps its other entries, in order."""
    n = len(matrix)
    return matrix.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def mean_log_sum_exp(matrix: Tensor) -> Tensor:
    """The mean over rows of log sum_{j != i} exp(matrix_ij): ONE log-sum-exp a row, scalar."""
    return torch.logsumexp(off_diagonal(matrix), dim=1).mean()
