"""Networks trained on a whole graph: they end at the closed form, say where they diverge, and refuse what cannot be."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.errors import UserError
from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.sections import Optimiser
from spectral_ssl.train.graph import (
    OBJECTIVES,
    ROWS,
    GraphRun,
    GraphTrained,
    Table,
    Whitened,
    graph_network,
    train_on_graph,
)
from spectral_ssl.train.inductive import overlaps, probe, views_of_images

N, K = 12, 2


PLACES = np.random.default_rng(2).normal(size=(N, 2))
FEATURES = np.linalg.qr(np.hstack([PLACES, PLACES**2, np.ones((N, 1))]))[0] * N**0.5


def graph(loss: str) -> np.ndarray:
    """Weights between nodes in a plane; with a diagonal for the spectral loss."""
    weights = np.exp(-((PLACES[:, None] - PLACES) ** 2).sum(axis=2))
    if loss != "spectral":
        np.fill_diagonal(weights, 0.0)
    return weights


def trial(loss: str, network: str, steps: int = 400, seed: int = 0, rate: float | None = None) -> GraphRun:
    peak = rate or {"free": 0.1, "linear": 0.1, "mlp": 0.01}[network]
    optimiser = Optimiser(name="adamw", learning_rate=peak, weight_decay=0.0, warmup_epochs=0)
    return GraphRun(loss, network, K, optimiser, steps, seed, width=32)


@cache
def trained(loss: str, network: str) -> GraphTrained:
    return train_on_graph(trial(loss, network), graph(loss), FEATURES)


@pytest.mark.parametrize("loss", list(OBJECTIVES))
@pytest.mark.parametrize("network", ["free", "linear"])
def test_a_network_ends_at_the_closed_form_of_its_class(loss: str, network: str) -> None:
    found = trained(loss, network)
    assert found.diverged is None
    first, last = found.history[0], found.history[-1]
    assert first["gap"] > 0.05
    assert abs(last["gap"]) < 1e-6
    assert last["angle"] < 1e-3
    assert last["rank"] == K
    options = OBJECTIVES[loss].options
    free = cf.solve(loss, graph(loss), K, **options).loss
    own = cf.solve(loss, graph(loss), K, X=FEATURES if network == "linear" else None, **options).loss
    assert found.optimum.loss == pytest.approx(own)
    assert (last["excess"] > 1e-3) == (own > free + 1e-3)


@pytest.mark.parametrize("loss", list(OBJECTIVES))
def test_an_mlp_comes_within_a_few_percent_of_the_free_optimum(loss: str) -> None:
    assert -1e-9 < trained(loss, "mlp").history[-1]["gap"] < 0.03
    assert trained(loss, "mlp").history[-1]["gap"] == trained(loss, "mlp").history[-1]["excess"]


@pytest.mark.parametrize("loss", list(OBJECTIVES))
def test_the_loss_trained_is_the_closed_forms_objective(loss: str) -> None:
    """By another route: torch's loss against numpy's objective, up to what the spectral loss leaves out."""
    found, objective, weights = trained(loss, "free"), OBJECTIVES[loss], graph(loss)
    total = get_graph_loss(objective.loss)(
        torch.from_numpy(found.embedding), weights, **objective.hyperparameters
    ).total.item()
    assert total == pytest.approx(found.history[-1]["total"], rel=1e-12)
    z, constant = found.embedding, 0.0
    if loss == "spectral":
        weights = weights / weights.sum()
        degrees = weights.sum(axis=1)
        z = np.sqrt(degrees)[:, None] * z
        constant = (weights**2 / np.outer(degrees, degrees)).sum()
    assert total + constant == pytest.approx(cf.objective(loss, z, weights, **objective.options), abs=1e-9)


def test_a_quasi_newton_method_finds_no_lower_loss() -> None:
    loss, weights = get_graph_loss("gram"), graph("simclr")

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(flat.reshape(N, K)).requires_grad_()
        total = loss(z, weights).total
        total.backward()
        assert z.grad is not None
        return total.item(), z.grad.numpy().ravel()

    starts = np.random.default_rng(0).normal(size=(4, N * K))
    best = min(minimize(value, start, jac=True, method="L-BFGS-B").fun for start in starts)
    assert trained("simclr", "free").history[-1]["total"] == pytest.approx(best, abs=1e-5)


def test_history_is_on_a_log_scale_from_the_start_to_the_last_step() -> None:
    steps = [row["step"] for row in trained("simclr", "free").history]
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[-1] == 400
    assert len(steps) <= ROWS + 1
    assert steps[-1] - steps[-2] > 25


def test_the_same_seed_gives_the_same_bits_and_another_one_others() -> None:
    one, two, other = (
        train_on_graph(trial("vicreg", "mlp", 5, seed), graph("vicreg"), FEATURES) for seed in (3, 3, 4)
    )
    assert one.history == two.history
    assert one.history != other.history


def test_divergence_is_a_result_with_its_term_and_step() -> None:
    optimiser = Optimiser(name="sgd", learning_rate=50.0, weight_decay=0.0, warmup_epochs=0)
    found = train_on_graph(GraphRun("simclr", "free", K, optimiser, 100, 0), graph("simclr"), FEATURES)
    assert found.diverged is not None
    assert found.diverged["term"] in ("invariance", "repulsion")
    assert 1 < found.diverged["step"] < 100
    assert all(np.isfinite(row["total"]) for row in found.history)
    assert found.history[-1]["step"] < found.diverged["step"]


def test_whitening_is_exact_and_says_where_it_cannot_be() -> None:
    degrees = torch.from_numpy(graph("barlow_twins").sum(axis=1))
    table = Table(N, K, generator=torch.Generator().manual_seed(0)).double()
    z = Whitened(table, degrees)(torch.empty(N, 0))
    torch.testing.assert_close(z.T @ (degrees[:, None] * z), torch.eye(K, dtype=torch.float64))
    torch.testing.assert_close(degrees @ z, torch.zeros(K, dtype=torch.float64), atol=1e-12, rtol=0)
    with torch.no_grad():
        table.weight[:, 1] = 0.0
    assert torch.isnan(Whitened(table, degrees)(torch.empty(N, 0))).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "vicrag"}, "unknown loss with a closed form 'vicrag'; did you mean 'vicreg'"),
        ({"network": "liner"}, "unknown network 'liner'; did you mean 'linear'"),
        ({"network": "conv"}, r"features of shape \(12, 5\): network 'conv' needs square images"),
        ({"features": FEATURES[:-1]}, r"features of shape \(11, 5\) for a graph of 12 nodes"),
        ({"features": np.full((N, 2), np.nan)}, "expected one finite row a node"),
        ({"graph": np.triu(graph("vicreg"))}, "symmetric"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, Any], message: str) -> None:
    run = trial(changes.get("loss", "vicreg"), "free")
    run = GraphRun(run.loss, changes.get("network", "free"), K, run.optimiser, 1, 0)
    with pytest.raises(UserError, match=message):
        train_on_graph(run, changes.get("graph", graph("vicreg")), changes.get("features", FEATURES))


def test_features_decide_the_precision_and_images_make_a_convolution_possible() -> None:
    images = torch.rand(N, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = graph_network("conv", images, K, generator=torch.Generator().manual_seed(0))
    assert network(images).shape == (N, K)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    wide = graph_network("linear", images.double(), K, generator=torch.Generator().manual_seed(0))
    assert {p.dtype for p in wide.parameters()} == {torch.float64}


def test_embeddings_of_one_loss_may_be_worth_anything_to_a_probe() -> None:
    """One graph, one loss: classes' indicators and random directions of the images both reach the least value."""
    n, classes = 40, 4
    labels = np.repeat(np.arange(classes), n // classes)
    images = np.zeros((n, 8, 8, 1), np.uint8)
    data = views_of_images(
        images, labels, views=2, augmentation="digits_affine", generator=torch.Generator().manual_seed(0)
    )
    assert data.features.shape == (2 * n, 1, 8, 8)
    np.testing.assert_array_equal(data.w.toarray(), views_graph(n, 2).toarray() + np.eye(2 * n))
    assert data.known.sum() == n
    assert set(data.image[data.known]).isdisjoint(data.image[~data.known])
    random = np.random.default_rng(0).normal(size=(n, classes))
    best = {}
    for name, z in {"classes": np.eye(classes)[labels], "random": random}.items():
        rows = np.tile(np.linalg.qr(z)[0], (2, 1)) * np.sqrt(n)
        value = cf.objective("spectral", rows / np.sqrt(2 * n), data.w)
        assert value == pytest.approx(cf.solve("spectral", data.w, classes).loss, abs=1e-9)
        best[name] = probe(rows, data)
    assert best["classes"] == pytest.approx({"few5": 1.0, "knn": 1.0, "clusters": 1.0})
    assert best["random"]["few5"] < 0.5
    assert abs(best["random"]["clusters"]) < 0.3


def test_overlap_is_one_for_one_span_and_none_for_perpendicular_ones() -> None:
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 4)))[0]
    turned = basis[:, :2] @ np.array([[1.0, 2.0], [0.0, 3.0]])
    assert overlaps([basis[:, :2], turned]) == pytest.approx([1.0, 1.0])
    assert overlaps([basis[:, :2], basis[:, 2:]]) == pytest.approx([0.0, 0.0])
    assert np.isnan(overlaps([basis])[0])
