"""VICReg, and the two steps from it towards SimCLR: VICReg-exp and VICReg-ctr (Garrido et al. 2023).

Each is an invariance of the two views plus, for each view, a penalty on the diagonal and one on the
off-diagonal of a matrix: the covariance (K, K) of the dimensions, or the Gram matrix (N, N) of the samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses.algebra import (
    center_dimensions,
    covariance_matrix,
    mean_log_sum_exp,
    normalise_rows,
    off_diagonal,
)
from spectral_ssl.losses.terms import check_option, check_positive, pair_loss


@pair_loss
def vicreg(
    z1: Tensor,
    z2: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    reduction: str = "mean",
    invariance_kind: str = "mse",
    variance_kind: str = "hinge",
    epsilon: float = 1e-4,
) -> dict[str, Tensor]:
    """Variance-invariance-covariance regularisation (Bardes et al. 2022, equations 1-6).

    With Cov = Z^T H Z / (N - 1) for each view:

    - `invariance`: mean over samples AND dimensions of (z1 - z2)^2;
    - `variance`: SUM over the two views (implementations that take their mean, the authors' code among them,
      call 50 what is 25 here) of mean_k max(0, 1 - sqrt(Cov_kk + epsilon));
    - `covariance`: sum over the two views of sum_{k != l} Cov_kl^2 / K.

    The three arguments of those names are the terms' weights. Options:

    - `reduction="sum"` takes sums over samples and dimensions for these means and leaves out the 1/K: the
      loss as Garrido et al. print it. Balestriero & LeCun (2022) divide its invariance by N once more, and
      compute one covariance of all views stacked, which is half of `vicreg(Z, Z)`'s variance and covariance
      terms.
    - `invariance_kind="cosine"`: mean over samples (or sum) of 2 - 2 cos(z1_i, z2_i), the squared distance
      of the normalised embeddings, never divided by K.
    - `variance_kind="quadratic"`: (1 - Cov_kk)^2 in place of the hinge; with `reduction="sum"` and equal
      weights, variance + covariance are then |Cov - I|_F^2, the form that Balestriero & LeCun solve.
    - `epsilon` >= 0 (1e-4: Bardes et al.); at 0 the hinge's gradient is not finite where a variance is 0.
    """
    return _assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        matrix=covariance_matrix,
        decorrelation=lambda c: _reduce(off_diagonal(c).square().sum(dim=1), reduction),
        reduction=reduction,
        invariance_kind=invariance_kind,
        variance_kind=variance_kind,
        epsilon=epsilon,
    )


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
    the temperature's our own choice.
    """
    _check_dimensions(z1)
    check_positive("temperature", temperature)
    return _assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        matrix=covariance_matrix,
        decorrelation=lambda c: mean_log_sum_exp(c / temperature),
        reduction=reduction,
        invariance_kind=invariance_kind,
        epsilon=epsilon,
    )


@pair_loss
def vicreg_ctr(
    z1: Tensor,
    z2: Tensor,
    *,
    invariance: float = 10.0,
    variance: float = 10.0,
    covariance: float = 1.0,
    temperature: float = 0.1,
    centering: str = "dimension",
    scaling: str = "deviation",
    reduction: str = "mean",
    invariance_kind: str = "mse",
    epsilon: float = 1e-4,
) -> dict[str, Tensor]:
    """VICReg-exp of the transposed embeddings (Garrido et al. 2023, equations 11-13): samples for dimensions.

    With A = Z Z^T / m (N, N) of the centred embeddings, for each view: `variance` is the mean over SAMPLES
    of max(0, 1 - sqrt(A_ii + epsilon)), `covariance` is 1/N sum_i log sum_{j != i} exp(A_ij / temperature).

    - `centering`: "dimension" subtracts the batch mean of every dimension (table 1 of the paper);
      "embedding" subtracts each embedding's own mean over dimensions, the literal transpose of `vicreg_exp`;
      "none".
    - `scaling`: "deviation" is VICReg's own, transposed: m = K (K - 1 with "embedding" centering, which the
      literal transpose divides by), so that the root mean square over dimensions is pushed to 1. "norm": m =
      1, the embedding's norm is pushed to 1 (table 1). A factor sqrt(K) in z relates the two, so that the
      same weights and temperature mean another balance against the invariance.

    The hinge bounds norms from below only: embeddings that start above the target are inflated further by
    the repulsion. Needs K >= 2. Defaults (our own choice: none are printed) are for "deviation".
    """
    _check_dimensions(z1)
    check_positive("temperature", temperature)
    check_option("centering", centering, ("dimension", "embedding", "none"))
    check_option("scaling", scaling, ("deviation", "norm"))

    def gram(z: Tensor) -> Tensor:
        if centering != "none":
            z = center_dimensions(z) if centering == "dimension" else z - z.mean(dim=1, keepdim=True)
        divisor = z.shape[1] - (centering == "embedding") if scaling == "deviation" else 1
        return z @ z.T / divisor

    return _assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        matrix=gram,
        decorrelation=lambda a: mean_log_sum_exp(a / temperature),
        reduction=reduction,
        invariance_kind=invariance_kind,
        epsilon=epsilon,
    )


def _assemble(
    z1: Tensor,
    z2: Tensor,
    weights: tuple[float, float, float],
    *,
    matrix: Callable[[Tensor], Tensor],
    decorrelation: Callable[[Tensor], Tensor],
    reduction: str,
    invariance_kind: str,
    variance_kind: str = "hinge",
    epsilon: float,
) -> dict[str, Tensor]:
    """The three weighted terms; `matrix` is what the variance (diagonal) and the decorrelation look at."""
    check_option("reduction", reduction, ("mean", "sum"))
    check_option("invariance_kind", invariance_kind, ("mse", "cosine"))
    check_option("variance_kind", variance_kind, ("hinge", "quadratic"))
    if epsilon < 0:
        raise UserError(f"epsilon is added to variances and must be at least 0: found {epsilon}")

    def spread(variances: Tensor) -> Tensor:
        if variance_kind == "quadratic":
            return _reduce((1 - variances).square(), reduction)
        return _reduce(F.relu(1 - (variances + epsilon).sqrt()), reduction)

    if invariance_kind == "mse":
        distance = _reduce((z1 - z2).square(), reduction)
    else:
        distance = _reduce(2 - 2 * (normalise_rows(z1) * normalise_rows(z2)).sum(dim=1), reduction)
    first, second = matrix(z1), matrix(z2)
    invariance, variance, covariance = weights
    return {
        "invariance": invariance * distance,
        "variance": variance * (spread(first.diagonal()) + spread(second.diagonal())),
        "covariance": covariance * (decorrelation(first) + decorrelation(second)),
    }


def _reduce(values: Tensor, reduction: str) -> Tensor:
    return values.mean() if reduction == "mean" else values.sum()


def _check_dimensions(z: Tensor) -> None:
    if z.shape[1] < 2:
        raise UserError(
            f"found embeddings of {z.shape[1]} dimension, expected at least 2: nothing to decorrelate"
        )
