"""What VICReg and its two steps towards SimCLR share: one invariance, and two penalties on a matrix of each view.

The penalties are on the diagonal and the off-diagonal of the covariance (K, K) of the dimensions, or of the Gram
matrix (N, N) of the samples. Either is the Gram matrix of some vectors, which are what the losses pass on: the matrix
itself need not be formed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses.algebra import center_dimensions, normalise_rows
from spectral_ssl.losses.terms import check_option


def assemble(
    z1: Tensor,
    z2: Tensor,
    weights: tuple[float, float, float],
    *,
    vectors: Callable[[Tensor], Tensor],
    decorrelation: Callable[[Tensor], Tensor],
    reduction: str,
    invariance_kind: str,
    variance_kind: str = "hinge",
    epsilon: float,
) -> dict[str, Tensor]:
    """The three weighted terms; variance and decorrelation look at the rows of `vectors`, (m, d).

    The variance is a penalty on their squared norms, the diagonal of their Gram matrix; `decorrelation` gives that on
    the rest.
    """
    check_option("reduction", reduction, ("mean", "sum"))
    check_option("invariance_kind", invariance_kind, ("mse", "cosine"))
    check_option("variance_kind", variance_kind, ("hinge", "quadratic"))
    if epsilon < 0:
        raise UserError(f"epsilon is added to variances and must be at least 0: found {epsilon}")

    def spread(rows: Tensor) -> Tensor:
        variances = rows.square().sum(dim=1)
        if variance_kind == "quadratic":
            return reduce_terms((1 - variances).square(), reduction)
        return reduce_terms(F.relu(1 - (variances + epsilon).sqrt()), reduction)

    if invariance_kind == "mse":
        distance = reduce_terms((z1 - z2).square(), reduction)
    else:
        distance = reduce_terms(2 - 2 * (normalise_rows(z1) * normalise_rows(z2)).sum(dim=1), reduction)
    first, second = vectors(z1), vectors(z2)
    invariance, variance, covariance = weights
    return {
        "invariance": invariance * distance,
        "variance": variance * (spread(first) + spread(second)),
        "covariance": covariance * (decorrelation(first) + decorrelation(second)),
    }


def reduce_terms(values: Tensor, reduction: str) -> Tensor:
    """The mean of all values, or their sum."""
    return values.mean() if reduction == "mean" else values.sum()


def covariance_rows(z: Tensor) -> Tensor:
    """Vectors (K, N) whose Gram matrix is the unbiased covariance of the dimensions of z (N, K)."""
    return center_dimensions(z).T.div_((len(z) - 1) ** 0.5)


def check_dimensions(z: Tensor) -> None:
    """Raise UserError for one-dimensional embeddings, which leave nothing to decorrelate."""
    if z.shape[1] < 2:
        raise UserError(
            f"found embeddings of {z.shape[1]} dimension, expected at least 2: nothing to decorrelate"
        )
