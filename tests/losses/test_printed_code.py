"""Code blocks that circulate with Balestriero & LeCun (2022), transcribed, against our losses.

A block takes the stacked views Z (N, K), N = V N', and the graph G whose entry (i, j) is 1 when rows i and j
are views of one image. Each conversion to the losses of two views is written out in the test. The formulas
printed beside the blocks carry misprints: what a block computes is shown to be the corrected formula instead.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss

N_ORIGINAL, DIM = 6, 5
ONES = {"invariance": 1.0, "variance": 1.0, "covariance": 1.0, "reduction": "sum"}


class Graph(NamedTuple):
    G: Tensor
    i: Tensor
    j: Tensor
    V: int


@pytest.fixture(params=[2, 3], ids=["two views", "three views"])
def graph(request) -> Graph:
    V = request.param
    G = torch.zeros(N_ORIGINAL * V, N_ORIGINAL * V, dtype=torch.float64)
    i = torch.arange(0, N_ORIGINAL * V).repeat_interleave(V - 1)  # row indices
    j = (i + torch.arange(1, V).repeat(N_ORIGINAL * V) * N_ORIGINAL).remainder(N_ORIGINAL * V)
    G[i, j] = 1
    return Graph(G, i, j, V)


@pytest.fixture
def Z(graph) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    shared = torch.randn(N_ORIGINAL, DIM, generator=generator, dtype=torch.float64).repeat(graph.V, 1)
    noise = torch.randn(N_ORIGINAL * graph.V, DIM, generator=generator, dtype=torch.float64)
    return 0.8 * shared + 0.4 * noise


def same(ours: Tensor, block: Tensor) -> None:
    torch.testing.assert_close(ours, block, rtol=1e-12, atol=1e-12)


def test_graph_block_joins_every_two_views_of_an_image(graph):
    rows = range(N_ORIGINAL * graph.V)
    expected = [[float(a != b and a % N_ORIGINAL == b % N_ORIGINAL) for b in rows] for a in rows]
    assert graph.G.tolist() == expected


def test_vicreg_blocks(graph, Z):
    """One covariance of the stacked views, and a sum over the pairs of G divided by N.

    vicreg(Z, Z) sums its variance and covariance over two equal "views", hence the halves; the pair list
    (Z[i], Z[j]) gives the invariance of any number of views. The block clamps Cov_kk to [1e-6, 1]: the hinge
    without epsilon, as long as no variance is below 1e-6.
    """
    G, i, j, _ = graph
    N, dim = Z.shape
    C = torch.cov(Z.t())
    var_loss = dim - torch.diag(C).clamp(1e-6, 1).sqrt().sum()
    cov_loss = 2 * torch.triu(C, diagonal=1).square().sum()
    inv_loss = (Z[i] - Z[j]).square().sum(1).inner(G[i, j]) / N

    vicreg = get_loss("vicreg")
    stacked = vicreg(Z, Z, **ONES, epsilon=0.0)
    assert var_loss > 0.1
    same(stacked["variance"] / 2, var_loss)
    same(stacked["covariance"] / 2, cov_loss)
    same(vicreg(Z[i], Z[j], **ONES)["invariance"] / N, inv_loss)
    if graph.V == 2:  # G lists each pair twice and N = 2 N': (1/N') sum_n |z1_n - z2_n|^2
        same(vicreg(Z[:N_ORIGINAL], Z[N_ORIGINAL:], **ONES)["invariance"] / N_ORIGINAL, inv_loss)

    alpha, beta, gamma = 0.7, 0.3, 2.0
    loss = alpha * var_loss + beta * cov_loss + gamma * inv_loss
    weights = {"invariance": gamma / N, "variance": alpha / 2, "covariance": beta / 2, "reduction": "sum"}
    spread = vicreg(Z, Z, **weights, epsilon=0.0)  # the invariance of Z with itself is 0
    same(spread.total + vicreg(Z[i], Z[j], **weights)["invariance"], loss)


def test_vicreg_covariance_sums_over_both_indices(Z):
    """Printed with a sum over j alone and k free: no single k gives the block's value."""
    C = torch.cov(Z.t())
    cov_loss = 2 * torch.triu(C, diagonal=1).square().sum()
    for k in range(DIM):
        assert C[k].square().sum() - C[k, k].square() < 0.9 * cov_loss
    same(C.square().sum() - C.diagonal().square().sum(), cov_loss)


def simclr_block(G: Tensor, Z: Tensor, tau: float) -> Tensor:
    N = len(Z)
    identity = torch.eye(N, N)
    Z_renorm = torch.nn.functional.normalize(Z, dim=1)
    cosim = Z_renorm @ Z_renorm.t() / tau
    off_diag = cosim[~identity.bool()].reshape(N, N - 1)
    return (G * (torch.logsumexp(off_diag, dim=1, keepdim=True) - cosim)).sum()


@pytest.mark.parametrize("tau", [3.0, 0.1])
def test_simclr_block(graph, Z, tau):
    """A sum over 2N' anchors where ours is their mean; three views are not a loss of two."""
    loss = simclr_block(graph.G, Z, tau)
    if graph.V == 2:
        ours = get_loss("simclr")(Z[:N_ORIGINAL], Z[N_ORIGINAL:], temperature=tau).total
        same(2 * N_ORIGINAL * ours, loss)
    # The graph's estimate with the indicator 1{i != j} is right-stochastic; the block is its cross-entropy.
    estimate = estimated_graph(Z, tau, same_index=False)
    same(estimate.sum(1), torch.ones(len(Z), dtype=Z.dtype))
    same(-torch.xlogy(graph.G, estimate.masked_fill(graph.G == 0, 1)).sum(), loss)


def estimated_graph(Z: Tensor, tau: float, same_index: bool) -> Tensor:
    """exp(CoSim_ij / tau) / sum_{k != i} exp(CoSim_ik / tau), times 1{i = j} (printed) or 1{i != j}."""
    units = [z / z.norm() for z in Z]
    rows = range(len(units))
    weights = [[math.exp(float(units[a] @ units[b]) / tau) for b in rows] for a in rows]
    normaliser = [sum(weights[a][b] for b in rows if b != a) for a in rows]
    entries = [[weights[a][b] / normaliser[a] * ((a == b) is same_index) for b in rows] for a in rows]
    return torch.tensor(entries, dtype=Z.dtype)


def test_printed_indicator_of_the_estimated_graph_is_not_what_the_block_computes(graph, Z):
    """With 1{i = j} the estimate is diagonal: not right-stochastic, infinite cross-entropy with G."""
    printed = estimated_graph(Z, 0.5, same_index=True)
    assert (printed.sum(1) - 1).abs().min() > 0.1
    assert -torch.xlogy(graph.G, printed).sum() == math.inf
    assert torch.isfinite(simclr_block(graph.G, Z, 0.5))


def barlow_block(Z_left: Tensor, Z_right: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    identity = torch.eye(Z_left.shape[1], Z_left.shape[1])
    eps = 1e-6
    Z_rrenorm = torch.nn.functional.normalize(Z_right, dim=0, eps=eps)
    Z_lrenorm = torch.nn.functional.normalize(Z_left, dim=0, eps=eps)
    C = Z_lrenorm.t() @ Z_rrenorm
    return C, (C.diag() - 1).square().sum() + alpha * C[~identity.bool()].square().sum()


def test_barlow_twins_block(graph, Z):
    """The uncentred column cosine, of the pairs that the graph lists."""
    row_indices, col_indices = graph.G.nonzero(as_tuple=True)
    left, right = Z[row_indices], Z[col_indices]
    C, loss = barlow_block(left, right, alpha=0.1)
    barlow_twins = get_loss("barlow_twins")
    same(barlow_twins(left, right, lambda_=0.1, center=False).total, loss)
    assert abs(barlow_twins(left, right, lambda_=0.1).total - loss) > 1e-3, "centred it is another loss"

    # Printed C_kk^2 summed over k' != k is (K - 1) sum_k C_kk^2; the block has C_kk'^2.
    diagonal = (C.diag() - 1).square().sum()
    printed = diagonal + 0.1 * (DIM - 1) * C.diag().square().sum()
    corrected = diagonal + 0.1 * sum(C[a, b] ** 2 for a in range(DIM) for b in range(DIM) if a != b)
    assert abs(printed - loss) > 0.5
    same(corrected, loss)


def test_pairs_rebuilt_from_the_graph_of_the_example():
    """Five samples, a, b, c related and d, e related: the two data matrices as they are printed."""
    G = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2)) - torch.eye(5)
    row_indices, col_indices = G.nonzero(as_tuple=True)
    assert "".join("abcde"[i] for i in row_indices) == "aabbccde"
    assert "".join("abcde"[i] for i in col_indices) == "bcacabed"
