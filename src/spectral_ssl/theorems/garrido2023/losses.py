"""Named losses in terms of the criteria: equations 8 and 10."""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.criteria import contrastive, fourth_powers
from spectral_ssl.theorems.garrido2023.embeddings import Seen, embeddings, gaussian, unequal_shape
from spectral_ssl.theorems.instances import Array

WEIGHT = 25.0
"""Of VICReg's invariance and variance."""

EPSILON = 1e-4
"""Under VICReg's square root."""


def _covariance_criterion(features: Array, *, centred: bool) -> float:
    """c: squared off-diagonal entries of sum_i x_i x_i^T, rows x_i of `features` (N, K); no divisor."""
    rows = features - features.mean(axis=0) if centred else features
    scatter = np.sum([np.outer(row, row) for row in rows], axis=0)
    return float((scatter[~np.eye(len(scatter), dtype=bool)] ** 2).sum())


@check(
    paper="garrido2023",
    statement="equation-8",
    kind="identity",
    title="The covariance criterion of the transposed embeddings is the contrastive criterion",
    control="the centred covariance criterion",
    tolerance=1e-12,
    instances=150,
)
def equation_8(rng: np.random.Generator, instances: int) -> Outcome:
    """c(K^T) = L_c(K), c the uncentred covariance criterion without divisor.

    Equation 8: with samples and dimensions exchanged, the squared off-diagonal second moments are the squared
    off-diagonal similarities. Residual relative to the terms, diagonals included, over all families and shapes. c
    is summed here from outer products, L_c is the library's. The control centres, as VICReg does, which the
    identity does not survive: on Gaussian matrices with a common mean.
    """
    seen, control = Seen(), np.inf
    for one in embeddings(rng, instances):
        l_c, c = contrastive(one.matrix), _covariance_criterion(one.matrix, centred=False)
        seen.see(one, abs(c - l_c) / (c + l_c + fourth_powers(one.matrix, 0)))
        plain = gaussian(rng, *unequal_shape(rng)) + rng.standard_normal()
        l_c, c = contrastive(plain), _covariance_criterion(plain, centred=True)
        control = min(control, abs(c - l_c) / (c + l_c + fourth_powers(plain, 0)))
    return Outcome(seen.value, {"centred": control}, detail=seen.detail())


def _disguise_error(z1: Array, z2: Array, weight: float) -> tuple[float, float]:
    """Relative error of VICReg's contrastive disguise at two views (N, K), and without its regulariser.

    Invariance and variance are written out here; only the left side is the library's.
    """
    n, k = z1.shape
    options = {"invariance": WEIGHT, "variance": WEIGHT, "covariance": weight, "epsilon": EPSILON}
    total = float(get_loss("vicreg")(torch.from_numpy(z1), torch.from_numpy(z2), **options).total)
    shared = WEIGHT * float(((z1 - z2) ** 2).mean())
    criterion = regulariser = size = 0.0
    for z in (z1, z2):
        deviations = np.sqrt(z.var(axis=0, ddof=1) + EPSILON)
        shared += WEIGHT * float(np.maximum(0.0, 1 - deviations).mean())
        matrix = (z - z.mean(axis=0)).T
        columns, rows = fourth_powers(matrix, 0), fourth_powers(matrix, 1)
        criterion += contrastive(matrix)
        regulariser += columns - rows
        size += columns + rows
    factor = weight / (k * (n - 1) ** 2)
    scale = total + factor * (criterion + size)
    with_it = abs(total - shared - factor * (criterion + regulariser)) / scale
    return with_it, abs(total - shared - factor * criterion) / scale


@check(
    paper="garrido2023",
    statement="equation-10",
    kind="identity",
    title="VICReg is a contrastive loss with a regulariser in disguise",
    control="the regulariser dropped",
    tolerance=1e-12,
    instances=120,
)
def equation_10(rng: np.random.Generator, instances: int) -> Outcome:
    """VICReg = invariance + variance + weight/(K (N-1)^2) sum over views of [L_c(K) + L_reg(K)], K centred.

    Equation 10, L_reg = sum_i ||K_.i||^4 - sum_j ||K_j.||^4: Theorem 3.3 put into the covariance term, whose
    off-diagonal squares are L_nc(K) / (N - 1)^2 of the CENTRED embeddings, per dimension. The left side is the
    library's VICReg; the right is written out. Two views of all families and shapes, an instance and the same with
    noise; residual relative to the total and the terms of the disguise. Control: Gaussian views, N != M.
    """
    seen, control = Seen(), np.inf
    for one in embeddings(rng, instances):
        weight, z = float(rng.uniform(0.5, 5.0)), one.matrix.T.copy()
        seen.see(one, _disguise_error(z, z + 0.1 * z.std() * rng.standard_normal(z.shape), weight)[0])
        m, n = unequal_shape(rng)
        z1, z2 = rng.standard_normal((2, n, m)) * rng.uniform(0.3, 2.0) + rng.standard_normal(m)
        control = min(control, _disguise_error(z1, z2, weight)[1])
    return Outcome(seen.value, {"no regulariser": control}, detail=seen.detail())
