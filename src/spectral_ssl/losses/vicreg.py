"""VICReg (Bardes et al. 2022)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import squared_products
from spectral_ssl.losses.regularisation import assemble, covariance_rows
from spectral_ssl.losses.terms import pair_loss


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

    O(N K^2). With K > 2 N the covariance term is summed on the N x N side, O(N^2 K) (`algebra.squared_products`:
    Theorem 3.3 of Garrido et al. 2023, read from right to left, is the licence). It is then |Cov|_F^2 - sum_k Cov_kk^2,
    exact to a few roundings of the first: K dimensions of equal variance cannot be uncorrelated in N - 1 < K / 2, and
    at most half is lost; a few dimensions that hold all the variance leave only that absolute accuracy.
    """
    return assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        vectors=covariance_rows,
        decorrelation=lambda rows: (
            squared_products(rows, rows)[1] / (len(rows) if reduction == "mean" else 1)
        ),
        reduction=reduction,
        invariance_kind=invariance_kind,
        variance_kind=variance_kind,
        epsilon=epsilon,
    )
