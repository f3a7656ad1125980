"""VICReg-exp: VICReg with a log-sum-exp for its covariance penalty (Garrido et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.blockwise import own_log_sum_exp
from spectral_ssl.losses.regularisation import assemble, check_dimensions, covariance_rows
from spectral_ssl.losses.terms import check_positive, pair_loss


@pair_loss
def vicreg_exp(
    z1: Tensor,
    z2: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    temperature: float = 0.1,
    reduction: str = "mean",
    invariance_kind: str = "mse",
    epsilon: float = 1e-4,
) -> dict[str, Tensor]:
    """VICReg with c_exp = 1/K sum_k log sum_{l != k} exp(Cov_kl / temperature) for its covariance penalty.

    Equation 11 of Garrido et al. (2023): one log-sum-exp a ROW, averaged over the rows, at either
    `reduction`; one over the whole matrix is another loss. Needs K >= 2. The other terms and options are
    those of `vicreg`. The paper prints no weights and no temperature: the weights' defaults are VICReg's,
    the temperature's our own choice. O(N K^2) time, and memory linear in K: a large covariance is not stored.
    """
    check_dimensions(z1)
    check_positive("temperature", temperature)
    return assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        vectors=covariance_rows,
        decorrelation=lambda rows: own_log_sum_exp(rows, temperature).mean(),
        reduction=reduction,
        invariance_kind=invariance_kind,
        epsilon=epsilon,
    )
