"""The losses on a graph: double loops, the code printed with Balestriero & LeCun (2022), the losses of two views."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.graph import get_graph_loss, graph_loss_names
from spectral_ssl.losses.graph.edges import Edges, relation_edges

N, K = 8, 3
UNIT = {"invariance": 1.0, "variance": 1.0, "covariance": 1.0}


def random_graph(seed: int = 3, diagonal: bool = False) -> np.ndarray:
    """Weighted, irregular, some pairs unrelated; the last node isolated unless there is a diagonal."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(0.2, 2.0, (N, N)) * (rng.random((N, N)) < 0.6), 0 if diagonal else 1)
    if diagonal:
        return upper + upper.T + np.eye(N)
    upper[:, -1] = 0
    return upper + upper.T


@pytest.fixture
def Z() -> Tensor:
    return 0.4 + torch.randn(N, K, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def same(ours: Tensor, expected: float | Tensor) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def slow_vicreg(Z: Tensor, G: np.ndarray, quadratic: bool) -> dict[str, float]:
    n, k = Z.shape
    means = [sum(float(z[a]) for z in Z) / n for a in range(k)]
    cov = [
        [sum((float(z[a]) - means[a]) * (float(z[b]) - means[b]) for z in Z) / (n - 1) for b in range(k)]
        for a in range(k)
    ]
    spread = [(1 - cov[a][a]) ** 2 if quadratic else max(0.0, 1 - math.sqrt(cov[a][a])) for a in range(k)]
    pairs = [G[i, j] * dot(Z[i] - Z[j], Z[i] - Z[j]) for i in range(n) for j in range(n)]
    return {
        "invariance": sum(pairs) / n,
        "variance": sum(spread),
        "covariance": sum(cov[a][b] ** 2 for a in range(k) for b in range(k) if a != b),
    }


@pytest.mark.parametrize("kind", ["hinge", "quadratic"])
def test_vicreg_against_double_loops(kind, Z):
    G = random_graph()
    expected = slow_vicreg(Z, G, kind == "quadratic")
    assert min(expected.values()) > 0.01
    terms = get_graph_loss("vicreg")(Z, G, variance_kind=kind, **UNIT)
    weighted = get_graph_loss("vicreg")(
        Z, G, variance_kind=kind, invariance=2.0, variance=3.0, covariance=0.5
    )
    for name, factor in (("invariance", 2.0), ("variance", 3.0), ("covariance", 0.5)):
        same(terms[name], expected[name])
        same(weighted[name], factor * expected[name])


def slow_simclr(Z: Tensor, G: np.ndarray, tau: float) -> float:
    loss, n = 0.0, len(Z)
    cosine = [[dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)) for b in Z] for a in Z]
    for i in range(n):
        normaliser = sum(math.exp(cosine[i][k] / tau) for k in range(n) if k != i)
        loss -= sum(G[i, j] * math.log(math.exp(cosine[i][j] / tau) / normaliser) for j in range(n))
    return loss


def slow_barlow_twins(Z: Tensor, G: np.ndarray, lambda_: float, center: bool) -> float:
    (n, k), degree = Z.shape, G.sum(axis=1)
    means = [sum(degree[i] * float(Z[i, a]) for i in range(n)) / degree.sum() for a in range(k)]
    z = [[float(Z[i, a]) - (means[a] if center else 0.0) for a in range(k)] for i in range(n)]
    norms = [math.sqrt(sum(degree[i] * z[i][a] ** 2 for i in range(n))) for a in range(k)]
    loss = 0.0
    for a in range(k):
        for b in range(k):
            c = sum(G[i, j] * z[i][a] * z[j][b] for i in range(n) for j in range(n)) / (norms[a] * norms[b])
            loss += (1 - c) ** 2 if a == b else lambda_ * c**2
    return loss


def test_the_other_losses_against_double_loops(Z):
    G = random_graph()
    for tau in (1.0, 0.2):
        same(get_graph_loss("simclr")(Z, G, temperature=tau).total, slow_simclr(Z, G, tau))
    for center in (False, True):
        ours = get_graph_loss("barlow_twins")(Z, G, lambda_=0.3, center=center).total
        same(ours, slow_barlow_twins(Z, G, 0.3, center))
    gram = sum((G[i, j] - dot(Z[i], Z[j])) ** 2 for i in range(N) for j in range(N))
    same(get_graph_loss("gram")(Z, G).total, gram)
    w = random_graph(4, diagonal=True) / random_graph(4, diagonal=True).sum()
    degree = w.sum(axis=1)
    positive = sum(w[i, j] * dot(Z[i], Z[j]) for i in range(N) for j in range(N))
    negative = sum(degree[i] * degree[j] * dot(Z[i], Z[j]) ** 2 for i in range(N) for j in range(N))
    same(get_graph_loss("spectral")(Z, 5 * w)["repulsion"], negative)
    same(get_graph_loss("spectral")(Z, 5 * w).total, -2 * positive + negative)
    same(get_graph_loss("spectral")(Z, w).total, cf.spectral_contrastive_loss(Z.numpy(), w))


def test_more_dimensions_than_samples():
    """The second moment is taken on the side of the samples there."""
    wide = torch.randn(4, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    G = views_graph(2, 2)
    direct = (torch.from_numpy(G.toarray()) - wide @ wide.T).square().sum()
    same(get_graph_loss("gram")(wide, G).total, direct)
    w = G.toarray() + 1
    same(get_graph_loss("spectral")(wide, w).total, cf.spectral_contrastive_loss(wide.numpy(), w))


def test_known_answers_on_one_pair():
    """Two samples at 1 and -1, related: Cov = 2, the pair lists itself twice, the only candidate is the positive."""
    Z = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    G = [[0, 1], [1, 0]]
    vicreg = get_graph_loss("vicreg")(Z, G, **UNIT)
    assert [term.item() for term in vicreg.values()] == [4, 0, 0]
    assert get_graph_loss("vicreg")(Z, G, variance_kind="quadratic")["variance"] == 1
    assert get_graph_loss("simclr")(Z, G).total == pytest.approx(0, abs=1e-12)
    assert get_graph_loss("gram")(Z, G).total == 1 + 1 + 4 + 4
    assert get_graph_loss("barlow_twins")(Z, G).total == pytest.approx(4)


@pytest.fixture(params=[2, 3], ids=["two views", "three views"])
def printed(request) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The graph, its index lists and embeddings as the printed code makes them."""
    N_original, V = 5, request.param
    G = torch.zeros(N_original * V, N_original * V, dtype=torch.float64)
    i = torch.arange(0, N_original * V).repeat_interleave(V - 1)
    j = (i + torch.arange(1, V).repeat(N_original * V) * N_original).remainder(N_original * V)
    G[i, j] = 1
    Z = torch.randn(N_original * V, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return G, i, j, Z


def test_the_printed_code(printed):
    G, i, j, Z = printed
    n, dim = Z.shape
    C = torch.cov(Z.t())
    var_loss = dim - torch.diag(C).clamp(1e-6, 1).sqrt().sum()
    cov_loss = 2 * torch.triu(C, diagonal=1).square().sum()
    inv_loss = (Z[i] - Z[j]).square().sum(1).inner(G[i, j]) / n
    ours = get_graph_loss("vicreg")(Z, G, invariance=2.0, variance=0.7, covariance=0.3)
    same(ours.total, 0.7 * var_loss + 0.3 * cov_loss + 2.0 * inv_loss)

    tau, identity = 0.4, torch.eye(n)
    Z_renorm = torch.nn.functional.normalize(Z, dim=1)
    cosim = Z_renorm @ Z_renorm.t() / tau
    off_diag = cosim[~identity.bool()].reshape(n, n - 1)
    loss = (G * (torch.logsumexp(off_diag, dim=1, keepdim=True) - cosim)).sum()
    same(get_graph_loss("simclr")(Z, G, temperature=tau).total, loss)

    row_indices, col_indices = G.nonzero(as_tuple=True)
    left, right = (torch.nn.functional.normalize(Z[rows], dim=0) for rows in (row_indices, col_indices))
    C = left.t() @ right
    loss = (C.diag() - 1).square().sum() + 0.1 * C[~torch.eye(dim).bool()].square().sum()
    same(get_graph_loss("barlow_twins")(Z, G, lambda_=0.1).total, loss)


def test_the_printed_floor_of_a_variance():
    Z = torch.zeros(6, 2, dtype=torch.float64)
    assert get_graph_loss("vicreg")(Z, views_graph(3, 2))["variance"] == pytest.approx(2 * (1 - 1e-3))


def test_misprints_are_other_losses(printed):
    """1{i = j} makes Ghat diagonal and its cross-entropy with G infinite; C_kk^2 is not C_kl^2."""
    G, _, _, Z = printed
    units = torch.nn.functional.normalize(Z, dim=1)
    weights = (units @ units.T / 0.3).exp() * (1 - torch.eye(len(Z)))
    estimate = weights / weights.sum(dim=1, keepdim=True)
    same(
        -torch.xlogy(G, estimate + torch.eye(len(Z))).sum(),
        get_graph_loss("simclr")(Z, G, temperature=0.3).total,
    )
    assert -torch.xlogy(G, estimate * torch.eye(len(Z))).sum() == math.inf
    terms = get_graph_loss("barlow_twins")(Z, G, lambda_=1.0)
    rows, columns = G.nonzero(as_tuple=True)
    left, right = (torch.nn.functional.normalize(Z[nodes], dim=0) for nodes in (rows, columns))
    misprinted = (K - 1) * (left.T @ right).diagonal().square().sum()
    assert abs(terms["redundancy"] - misprinted) > 0.05
    f = get_graph_loss("spectral")(Z, G + torch.eye(len(Z)))
    assert abs(f["repulsion"] - (Z @ Z.T).mean()) > 0.05, "the negatives' inner products are squared"


def test_two_views_are_the_pair_losses(views):
    """The factors that the docstrings give; the pairs of G in both orders."""
    z1, z2 = views
    Z, G, n = torch.cat(views), views_graph(len(z1), 2), 2 * len(z1)
    pair = get_loss("simclr")(z1, z2, temperature=0.3).total
    same(get_graph_loss("simclr")(Z, G, temperature=0.3).total, n * pair)
    for center in (False, True):
        ours = get_graph_loss("barlow_twins")(Z, G, center=center).total
        same(ours, get_loss("barlow_twins")(Z, torch.cat([z2, z1]), center=center).total)
    vicreg = get_graph_loss("vicreg")(Z, G, **UNIT)
    same(
        n / 2 * vicreg["invariance"],
        get_loss("vicreg")(z1, z2, invariance=1.0, reduction="sum")["invariance"],
    )
    stacked = get_loss("vicreg")(Z, Z, **UNIT, reduction="sum", epsilon=0.0)
    for name in ("variance", "covariance"):
        same(2 * vicreg[name], stacked[name])
    spectral = get_graph_loss("spectral")(Z, G)["invariance"]
    same(spectral, get_loss("spectral")(z1, z2, projection="none")["invariance"])


def test_whole_weights_are_repeated_pairs(Z):
    G = np.rint(2 * random_graph())
    assert set(np.unique(G)) > {0, 1, 2}
    rows, columns = np.nonzero(G)
    times = torch.from_numpy(G[rows, columns].astype(np.int64))
    i, j = (torch.from_numpy(nodes).repeat_interleave(times) for nodes in (rows, columns))
    repeated = Edges("relation", N, i, j, torch.ones(len(i), dtype=torch.float64))
    for name in ("vicreg", "simclr", "barlow_twins"):
        same(get_graph_loss(name)(Z, G).total, get_graph_loss(name)(Z, repeated).total)
    for center in (False, True):
        pair = get_loss("barlow_twins")(Z[i], Z[j], center=center).total
        same(get_graph_loss("barlow_twins")(Z, G, center=center).total, pair)
    once = (G > 0).astype(np.float64)
    for name in ("vicreg", "simclr", "barlow_twins", "gram"):
        ignored = get_graph_loss(name)(Z, once).total
        assert abs(get_graph_loss(name)(Z, G).total - ignored) > 1e-2, "weights count"


def test_isolated_nodes(Z):
    """They vanish from Barlow Twins; elsewhere they are candidates, samples of the covariance, rows of ZZ^T."""
    G = random_graph()
    moved = Z.clone()
    moved[-1] += torch.tensor([1.0, -2.0, 0.5])

    def change(name: str, **options: object) -> float:
        loss: Callable[..., Tensor] = lambda z: get_graph_loss(name)(z, G, **options).total  # noqa: E731
        return abs(loss(moved) - loss(Z)).item()

    assert change("barlow_twins") == change("barlow_twins", center=True) == 0
    assert min(change(name) for name in ("vicreg", "simclr", "gram")) > 1e-3
    with pytest.raises(Exception, match="G has no edge: expected at least one pair of views"):
        get_graph_loss("barlow_twins")(Z, np.zeros((N, N)))


def test_edges_are_those_of_the_graph_and_serve_every_call(Z):
    G = random_graph()
    edges = relation_edges(G)
    assert edges.degrees.tolist() == pytest.approx(G.sum(axis=1).tolist())
    for name in set(graph_loss_names()) - {"spectral"}:
        same(get_graph_loss(name)(Z, edges).total, get_graph_loss(name)(Z, G).total)
