"""Named losses in terms of the criteria: equations 8 and 10."""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.criteria import contrastive, fourth_powers, unequal_shape
from spectral_ssl.theorems.instances import Array


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
    off-diagonal similarities. Residual relative to the terms. c is summed here from outer products, L_c is
    the library's. The control centres, as VICReg does, which the identity does not survive.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        matrix = rng.standard_normal(unequal_shape(rng)) + rng.standard_normal()
        l_c = contrastive(matrix)
        for centred in (False, True):
            c = _covariance_criterion(matrix, centred=centred)
            residual = abs(c - l_c) / (c + l_c)
            worst, control = (worst, min(control, residual)) if centred else (max(worst, residual), control)
    return Outcome(worst, {"centred": control})


@check(
    paper="garrido2023",
    statement="equation-10",
    kind="identity",
    title="VICReg is a contrastive loss with a regulariser in disguise",
    control="the regulariser dropped",
    tolerance=1e-12,
    instances=100,
)
def equation_10(rng: np.random.Generator, instances: int) -> Outcome:
    """VICReg = invariance + variance + weight/(K (N-1)^2) sum over views of [L_c(K) + L_reg(K)], K centred.

    Equation 10, L_reg = sum_i ||K_.i||^4 - sum_j ||K_j.||^4: Theorem 3.3 put into the covariance term, whose
    off-diagonal squares are L_nc(K) / (N - 1)^2 of the CENTRED embeddings, per dimension. Both sides use the
    library's VICReg; the disguise replaces its covariance term. Residual relative to the total.
    """
    loss = get_loss("vicreg")
    worst, control = 0.0, np.inf
    for _ in range(instances):
        k, n = unequal_shape(rng)
        z1, z2 = rng.standard_normal((2, n, k)) * rng.uniform(0.3, 2.0) + rng.standard_normal(k)
        weights = {"invariance": 25.0, "variance": 25.0, "covariance": float(rng.uniform(0.5, 5.0))}
        terms = loss(torch.from_numpy(z1), torch.from_numpy(z2), **weights)
        total = float(terms.total)
        rest = total - float(terms["covariance"])
        criterion, regulariser = 0.0, 0.0
        for z in (z1, z2):
            matrix = (z - z.mean(axis=0)).T
            criterion += contrastive(matrix)
            regulariser += fourth_powers(matrix, 0) - fourth_powers(matrix, 1)
        factor = weights["covariance"] / (k * (n - 1) ** 2)
        worst = max(worst, abs(total - rest - factor * (criterion + regulariser)) / total)
        control = min(control, abs(total - rest - factor * criterion) / total)
    return Outcome(worst, {"no regulariser": control})
