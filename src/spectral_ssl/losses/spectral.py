"""The spectral contrastive loss (HaoChen et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_ssl.losses.algebra import normalise_rows, squared_products
from spectral_ssl.losses.terms import check_option, check_positive, pair_loss


@pair_loss
def spectral(z1: Tensor, z2: Tensor, *, mu: float = 1.0, projection: str = "ball") -> dict[str, Tensor]:
    """[-2/N sum_i <z1_i, z2_i> + 1/(N(N - 1)) sum_{i != j} <z1_i, z2_j>^2] / mu, of projected embeddings.

    - `projection`: "ball", clip each embedding to the ball of radius sqrt(mu), as the authors' code does;
      "sphere", scale it to that radius, as the text says; "none".
    - `mu` > 0 also divides the loss, as in the authors' code (1 on CIFAR-10, 10 on ImageNet).

    Negatives are pairs of different images ACROSS the views, so that both terms are unbiased: with
    projection="none" and mu=1 the expectation is the population loss L(f) = -2 E_pos[f(x)^T f(x+)] +
    E_neg[(f(x)^T f(x'))^2]  (equation 6), which differs from the factorisation error |A - F F^T|_F^2 of
    lemma 3.2 by the constant sum_{x,x'} w_xx'^2 / (w_x w_x'), left out here. That is why the loss is
    negative when trained, and at least -(that constant) in expectation. The negatives' inner products are
    squared; without the square it is another loss, unbounded below without a projection.

    With N > 2 K the repulsion is summed on the K x K side, O(N K^2) for O(N^2 K) time and O(N K) memory
    (`algebra.squared_products`: Theorem 3.3 of Garrido et al. 2023 is the licence). It is then a difference, exact to
    a few roundings of the mean over ALL pairs, i = j included: to 1e-5 of itself in float32 unless the embeddings of
    different images are all but orthogonal across the views.
    Terms: `invariance`; `repulsion`.
    """
    check_positive("mu", mu)
    check_option("projection", projection, ("ball", "sphere", "none"))
    z1, z2 = (_project(z, mu**0.5, projection) for z in (z1, z2))
    samples = len(z1)
    positive, negative = squared_products(z1, z2)
    return {
        "invariance": -2 * positive.mean() / mu,
        "repulsion": negative / (samples * (samples - 1)) / mu,
    }


def _project(z: Tensor, radius: float, projection: str) -> Tensor:
    if projection == "ball":
        norms = torch.linalg.vector_norm(z, dim=1, keepdim=True)
        return z * (radius / norms.clamp_min(radius))
    return radius * normalise_rows(z) if projection == "sphere" else z
