"""How embeddings lie between Garrido et al. 2023's two criteria: the quantities of its supplement, D, E and G."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.features import Array, as_features


def duality_statistics(z: Array) -> dict[str, float]:
    """Numbers on embeddings Z (N, M), N >= 2, each row scaled to length 1 (Garrido et al.'s columns of K = Z^T).

    - `gram_variance_relative`: M times the variance of the off-diagonal cosines; 1 for points spread uniformly over
      the sphere, as Proposition 3.1 has it;
    - `dimension_concentration`: sum_j |K_j.|^4 over N^2 / M, its smallest value by Lemma 3.4; 1 where all
      dimensions have one norm, M where one dimension carries everything;
    - `gram_dominance`, `covariance_dominance`: the mean over rows of |a_ii| / sum_{j != i} |a_ij| of the Gram
      matrix (N, N) of the rows and of the covariance matrix (M, M); a matrix is diagonally dominant where every
      row's ratio is at least 1. Rows of zeros are left out; 0 where all are.

    A ratio of Gram rows falls as 1 / N for any embedding of fixed dimension: compare it at one N only. Raises UserError
    for fewer than 2 rows.
    """
    table = as_features(z, "embeddings").double()
    if len(table) < 2:
        raise UserError("duality statistics need 2 rows or more; found 1")
    rows = functional.normalize(table, dim=1)
    n, m = rows.shape
    gram = rows @ rows.T
    off = gram[~torch.eye(n, dtype=torch.bool, device=gram.device)]
    columns = rows.square().sum(dim=0)
    centred = rows - rows.mean(dim=0)
    return {
        "gram_variance_relative": m * off.var(correction=0).item(),
        "dimension_concentration": (m * columns.square().sum() / columns.sum().square()).nan_to_num().item(),
        "gram_dominance": diagonal_dominance(gram),
        "covariance_dominance": diagonal_dominance(centred.T @ centred / (n - 1)),
    }


def diagonal_dominance(matrix: Tensor) -> float:
    """The mean over rows of |a_ii| / sum_{j != i} |a_ij| of a square matrix, rows with a_ii = 0 left out.

    A ratio is at most 1 / epsilon, 4.5e15 in float64, which a diagonal matrix has: JSON knows no infinity.
    """
    sizes = matrix.abs()
    diagonal = sizes.diagonal().clone()
    rest = sizes.fill_diagonal_(0).sum(dim=1)  # not a difference, which would cancel where rows are dominant
    kept = diagonal > 0
    if not kept.any():
        return 0.0
    diagonal, rest = diagonal[kept], rest[kept]
    return (diagonal / torch.maximum(rest, torch.finfo(rest.dtype).eps * diagonal)).mean().item()
