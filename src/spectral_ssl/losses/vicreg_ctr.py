"""VICReg-ctr: VICReg-exp of the transposed embeddings (Garrido et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import center_dimensions
from spectral_ssl.losses.blockwise import own_log_sum_exp
from spectral_ssl.losses.regularisation import assemble, check_dimensions
from spectral_ssl.losses.terms import check_option, check_positive, pair_loss


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
    O(N^2 K) time, and memory linear in N: a large Gram matrix is not stored.
    """
    check_dimensions(z1)
    check_positive("temperature", temperature)
    check_option("centering", centering, ("dimension", "embedding", "none"))
    check_option("scaling", scaling, ("deviation", "norm"))

    def rows(z: Tensor) -> Tensor:
        if centering != "none":
            z = center_dimensions(z) if centering == "dimension" else z - z.mean(dim=1, keepdim=True)
        return z / (z.shape[1] - (centering == "embedding")) ** 0.5 if scaling == "deviation" else z

    return assemble(
        z1,
        z2,
        (invariance, variance, covariance),
        vectors=rows,
        decorrelation=lambda z: own_log_sum_exp(z, temperature).mean(),
        reduction=reduction,
        invariance_kind=invariance_kind,
        epsilon=epsilon,
    )
