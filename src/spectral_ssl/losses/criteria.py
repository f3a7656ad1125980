"""The two criteria of Garrido et al. (2023): L_c contrasts samples, L_nc contrasts dimensions.

Embeddings z are (N, K), samples in rows; the paper's matrix is the transpose, (K, N) with samples in columns.
"""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import off_diagonal
from spectral_ssl.losses.terms import check_embeddings, check_option, full_precision, promote


def sample_contrastive(z: Tensor, *, side: str = "own") -> Tensor:
    """L_c = sum over pairs of different samples of <z_i, z_j>^2: the off-diagonal of the N x N Gram matrix.

    No divisor, no centring; a scalar in float32, or float64 for float64 embeddings.

    `side="own"` sums the off-diagonal entries, O(N^2 K) time and O(N^2) memory. `side="smaller"` works on
    the smaller of the N x N and the K x K Gram matrix. Theorem 3.3 is the licence, L_nc + sum_k |column k|^4
    = L_c + sum_i |row i|^4, both sides being the squared Frobenius norm of EITHER Gram matrix. Its price is
    a difference of large numbers: an absolute error of a few roundings of that norm, which is all there is
    left when L_c is nearly 0. Raises UserError if z is not a matrix.
    """
    check_embeddings(z)
    check_option("side", side, ("own", "smaller"))
    (z,) = promote(z)
    samples, dimensions = z.shape
    with full_precision(z):
        if side == "own" or samples <= dimensions:
            return off_diagonal(z @ z.T).square().sum()
        return (z.T @ z).square().sum() - z.square().sum(dim=1).square().sum()


def dimension_contrastive(z: Tensor, *, side: str = "own") -> Tensor:
    """L_nc = sum over pairs of different dimensions of <column k, column l>^2: the off-diagonal of Z^T Z.

    It is `sample_contrastive` of the transpose, with the same options, and O(N K^2) on its own side.
    """
    check_embeddings(z)
    return sample_contrastive(z.T, side=side)
