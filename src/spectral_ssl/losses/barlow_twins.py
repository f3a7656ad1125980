"""Barlow Twins (Zbontar et al. 2021)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import normalise_columns, squared_products, standardise_columns
from spectral_ssl.losses.terms import pair_loss


@pair_loss
def barlow_twins(
    z1: Tensor, z2: Tensor, *, lambda_: float = 0.0051, center: bool = True
) -> dict[str, Tensor]:
    """sum_k (1 - C_kk)^2 + lambda_ sum_{k != l} C_kl^2, C (K, K) the cross-correlation of the two views.

    C_kl is the cosine of column k of z1 and column l of z2, after centring both over the batch: the same as
    standardising each dimension with the BIASED deviation and dividing the product by N. The authors' batch
    normalisation adds 1e-5 to the variance; here a column's norm is only kept from 0 (`algebra.standardise_columns`).
    `center=False` gives Balestriero & LeCun's (2022) uncentred cosine. The off-diagonal sum runs over both
    indices, C_kl and not the printed C_kk. `lambda_` defaults to the authors' code; the paper rounds it to
    0.005.

    O(N K^2); with K > 2 N the off-diagonal sum is <Z1 Z1^T, Z2 Z2^T>_F less the diagonal's, of the normalised
    columns, O(N^2 K) (`algebra.squared_products` says what that difference costs).
    Terms: `invariance`, the diagonal; `redundancy`, the weighted off-diagonal.
    """
    normalise, scale = (standardise_columns, len(z1)) if center else (normalise_columns, 1)
    diagonal, redundancy = squared_products(normalise(z1).T, normalise(z2).T)
    return {
        "invariance": (1 - diagonal / scale).square().sum(),
        "redundancy": lambda_ / scale**2 * redundancy,
    }
