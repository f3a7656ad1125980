"""VICReg over a relation graph (Balestriero & LeCun 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from spectral_ssl.losses.algebra import covariance_matrix, off_diagonal
from spectral_ssl.losses.graph.edges import Edges, graph_loss
from spectral_ssl.losses.terms import check_option

VARIANCE_FLOOR = 1e-6
"""Below it the code printed with the paper keeps a variance from falling, and so the root's gradient finite."""


@graph_loss("relation")
def vicreg(
    z: Tensor,
    edges: Edges,
    *,
    invariance: float = 0.3,
    variance: float = 1.0,
    covariance: float = 1.0,
    variance_kind: str = "hinge",
) -> dict[str, Tensor]:
    """alpha sum_k max(0, 1 - sqrt(Cov_kk)) + beta sum_{j != k} Cov_jk^2 + gamma/N sum_ij G_ij |z_i - z_j|^2.

    alpha, beta and gamma are `variance`, `covariance` and `invariance`, the weights of the terms of those
    names (the defaults are `closed_form.vicreg`'s; the paper prints none). Sums as printed, the covariance's
    over both indices; one covariance Z^T H Z / (N - 1) of all N rows, as `torch.cov`, of divisor N - 1.
    Isolated nodes count in the covariance only. On two views the pair loss with `reduction="sum"` has N/2
    times this invariance, and takes the covariance of each view apart.

    `variance_kind="quadratic"`: (1 - Cov_kk)^2 in place of the hinge; with equal alpha and beta the objective
    is `closed_form.vicreg_objective`.
    """
    check_option("variance_kind", variance_kind, ("hinge", "quadratic"))
    matrix = covariance_matrix(z)
    variances = matrix.diagonal()
    if variance_kind == "quadratic":
        spread = (1 - variances).square()
    else:
        spread = F.relu(1 - variances.clamp_min(VARIANCE_FLOOR).sqrt())
    squared_distances = (z[edges.rows] - z[edges.columns]).square().sum(dim=1)
    return {
        "invariance": invariance / len(z) * (edges.weights @ squared_distances),
        "variance": variance * spread.sum(),
        "covariance": covariance * off_diagonal(matrix).square().sum(),
    }
