"""Ranks and shapes of a table of embeddings Z (N, D).

Trap: features STORED in bf16 look full-rank. Rounding to 8 bits adds noise of relative size 2^-9 in every
direction, which promoting to float32 afterwards does not remove: a matrix of rank 3 is then numerically of
full rank. Keep features in float32, and run these functions on what the encoder put out.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.features import Array, as_features

_Vector = Tensor | NDArray[np.generic]


def singular_values(z: Array, *, centred: bool = False) -> Tensor:
    """The min(N, D) singular values of Z (N, D), or of Z less its mean row, descending, float64.

    fp16 and bf16 are promoted to float32 (see the trap above), and everything is decomposed in float64: a
    mean subtracted in float32 would leave rounding noise as a rank of its own.
    """
    table = as_features(z).double()
    if centred:
        table = table - table.mean(dim=0)
    values: Tensor = torch.linalg.svdvals(table)
    return values


def effective_rank(values: _Vector, *, epsilon: float = 1e-7) -> float:
    """exp(-sum p log p) of singular values s, with p = s / sum(s) + epsilon.

    This is RankMe (Garrido, Balestriero, Najman & LeCun, ICML 2023). Between 1 and the number of values,
    up to epsilon; 0 where all are zero.
    """
    s = torch.as_tensor(values).double()
    if s.sum() <= 0.0:
        return 0.0
    p = s / s.sum() + epsilon
    return torch.exp(-(p * p.log()).sum()).item()


def participation_ratio(values: _Vector) -> float:
    """(sum s^2)^2 / sum s^4 of singular values s; 0 where all are zero.

    As many equal variances would be as concentrated as these.
    """
    variances = torch.as_tensor(values).double().square()
    total = variances.sum()
    return (total.square() / variances.square().sum()).item() if total > 0.0 else 0.0


def numerical_rank(values: _Vector, tolerance: float = 1e-5) -> int:
    """How many singular values exceed `tolerance` times the largest.

    The default stands above float32's rounding (6e-8 times the root of the table's longer side, 1e-5 at
    30,000 rows).
    """
    s = torch.as_tensor(values).double()
    return int((s > tolerance * s.max()).sum().item())


def embedding_statistics(z: Array) -> dict[str, float]:
    """How embeddings Z (N, D) lie in space; N >= 2.

    Table 1 of Garrido et al. 2023 (which normalisation a method applies) can be read off these numbers:

    - `norm_mean`, `norm_std`: of the rows' lengths (divisor N);
    - `centre`: length of the mean row; `centre_relative`: the same over the root mean squared row length, 0
      centred, 1 collapsed;
    - `dimension_std_mean`: mean over dimensions of the deviation (divisor N - 1); `dimension_norm_mean`,
      `dimension_norm_std`: of the columns' lengths (divisor D);
    - `gram_mean`, `gram_variance`: of the off-diagonal cosines between rows;
    - `effective_rank`, `participation_ratio` of Z; `effective_rank_centred`, `participation_ratio_centred`,
      of Z less its mean.

    Raises UserError for a table that is not (N, D), or not finite, or of one row.
    """
    table = as_features(z, "embeddings").double()
    if len(table) < 2:
        raise UserError("embedding statistics need 2 rows or more; found 1")
    norms, columns = table.norm(dim=1), table.norm(dim=0)
    centre = table.mean(dim=0).norm()
    root = norms.square().mean().sqrt()
    gram_mean, gram_variance = _off_diagonal(functional.normalize(table, dim=1))
    statistics = {
        "norm_mean": norms.mean().item(),
        "norm_std": norms.std(correction=0).item(),
        "centre": centre.item(),
        "centre_relative": (centre / root).item() if root > 0.0 else 0.0,
        "dimension_std_mean": table.std(dim=0).mean().item(),
        "dimension_norm_mean": columns.mean().item(),
        "dimension_norm_std": columns.std(correction=0).item(),
        "gram_mean": gram_mean,
        "gram_variance": gram_variance,
    }
    for suffix, centred in (("", False), ("_centred", True)):
        values = singular_values(table, centred=centred)
        statistics[f"effective_rank{suffix}"] = effective_rank(values)
        statistics[f"participation_ratio{suffix}"] = participation_ratio(values)
    return statistics


def _off_diagonal(rows: Tensor) -> tuple[float, float]:
    """Mean and variance (divisor N(N-1)) of rows rows^T off the diagonal, without forming that matrix."""
    pairs = len(rows) * (len(rows) - 1)
    squares = rows.square().sum(dim=1)
    mean = (rows.sum(dim=0).square().sum() - squares.sum()) / pairs
    second = ((rows.T @ rows).square().sum() - squares.square().sum()) / pairs
    return mean.item(), max(0.0, (second - mean.square()).item())
