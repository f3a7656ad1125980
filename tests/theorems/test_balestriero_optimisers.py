"""What the optima of Balestriero & LeCun's statements are compared with: gradients, a second route, mutants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from spectral_ssl.theorems import run
from spectral_ssl.theorems.balestriero2022 import (
    barlow,
    complexity,
    graph_step,
    networks,
    rank,
    simclr,
    task,
    vicreg,
)
from spectral_ssl.theorems.instances import relation_graph


def by_torch(left: np.ndarray, right: np.ndarray, alpha: float, *, whiten: bool) -> Callable:
    """The same loss from the pairs' rows, its gradient automatic."""
    first, second = torch.from_numpy(left), torch.from_numpy(right)

    def loss(W: torch.Tensor) -> torch.Tensor:
        one, two = first @ W, second @ W
        if whiten:
            inverse = torch.linalg.inv(torch.linalg.cholesky(one.T @ one))
            one, two = one @ inverse.T, two @ inverse.T
        else:
            one, two = one / one.norm(dim=0), two / two.norm(dim=0)
        C = one.T @ two
        diagonal = C.diagonal()
        return (1 - diagonal).square().sum() + alpha * (C.square().sum() - diagonal.square().sum())

    def at(point: np.ndarray) -> tuple[float, np.ndarray]:
        variable = torch.from_numpy(point.copy()).requires_grad_()
        value = loss(variable)
        (gradient,) = torch.autograd.grad(value, variable)
        return float(value.detach()), gradient.numpy()

    return at


@pytest.mark.parametrize("whiten", [True, False])
def test_barlow_twins_gradient_is_that_of_automatic_differentiation(whiten: bool) -> None:
    rng = np.random.default_rng(0)
    G, X = relation_graph(rng, 9), rng.standard_normal((9, 5))
    left, right = barlow.pair_rows(G, X)
    W = rng.standard_normal((5, 3))
    value, gradient = barlow.objective(left, right, 3.0, whiten=whiten)(W)
    other, slope = by_torch(left, right, 3.0, whiten=whiten)(W)
    assert value == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


def test_two_candidates_split_their_probability_by_the_logistic_function() -> None:
    Z, tau = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), 0.5
    _, P = graph_step.graph_step(Z, tau)
    np.testing.assert_allclose(P[0], [0, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    np.testing.assert_allclose(P[1], [0.5, 0, 0.5])
    printed = graph_step._printed_step(Z, tau)
    assert np.count_nonzero(printed) == 3
    np.testing.assert_allclose(printed[1, 1], np.exp(2) / 2)
    assert graph_step._infeasibility(P) < 1e-15 < graph_step._infeasibility(printed)


def test_mirror_descent_and_logits_reach_the_softmax_from_elsewhere() -> None:
    rng = np.random.default_rng(1)
    distance, P = graph_step.graph_step(rng.standard_normal((5, 3)), 0.4)
    p, d = graph_step._off_diagonal(P), graph_step._off_diagonal(distance)
    np.testing.assert_allclose(graph_step._mirror_descent(d, 0.4, rng), p, atol=1e-14)
    assert np.abs(graph_step._by_logits(d, 0.4)(np.log(p))[1]).max() < 1e-14
    assert np.abs(graph_step._by_logits(d, 0.4)(0 * p)[1]).max() > 1e-3


def test_a_softmax_over_all_candidates_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = graph_step.graph_step

    def smoothed(Z: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        distance, P = right(Z, temperature)
        uniform = (1 - np.eye(len(P))) / (len(P) - 1)
        return distance, 0.999 * P + 0.001 * uniform

    monkeypatch.setattr(graph_step, "graph_step", smoothed)
    assert run("balestriero2022/simclr-graph-step", instances=3).verdict == "fails"


@pytest.mark.parametrize("kind", list(networks.NETWORKS))
def test_networks_trained_on_one_pair_and_a_triangle(kind: str) -> None:
    rng, state = np.random.default_rng(2), torch.get_rng_state()
    pair = np.array([[0.0, 1.0], [1.0, 0.0]])
    Z = networks.trained(kind, pair, 2, rng, "gram")
    np.testing.assert_allclose(
        Z @ Z.T, np.full((2, 2), 0.5), atol=1e-5
    )  # the top eigenpair: 1, (1, 1) / sqrt 2
    triangle = np.ones((3, 3)) - np.eye(3)
    Z = networks.trained(kind, triangle, 3, rng, "vicreg", variance_kind="quadratic", invariance=0.25)
    # lambda = 3 twice: c = 1 - 0.25 * 2 * 3 / 3 = 1/2.
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(Z, rowvar=False)), [0, 0.5, 0.5], atol=1e-5)
    assert torch.equal(state, torch.get_rng_state())


def test_a_wrong_staircase_and_wrong_networks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = rank.objective
    with monkeypatch.context() as patch:
        patch.setattr(rank, "objective", lambda G, gamma, scale: right(G, 2 * gamma, scale))
        assert run("balestriero2022/vicreg-rank", instances=1).verdict == "fails"
    monkeypatch.setattr(rank, "trained", lambda kind, G, k, rng, loss, **options: np.eye(len(G))[:, :k])
    assert run("balestriero2022/rank", instances=1).verdict == "fails"


def test_the_covariance_over_one_index_is_not_rotation_invariant() -> None:
    Z = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    assert vicreg._counted_once(Z, np.random.default_rng(0)) > 1e-3
    assert (
        vicreg._counted_once(Z / np.array([1.0, 2.0]), np.random.default_rng(0)) < 1e-12
    )  # Cov a multiple of I


def test_the_graph_with_indefinite_order_tells_the_two_orders_apart() -> None:
    _, values, _ = simclr._indefinite(np.random.default_rng(0))
    assert -values[-1] > values[values > 0].min()


def test_least_squares_by_the_span_is_that_of_the_normal_equations() -> None:
    Z, Y = np.array([[1.0], [1.0], [0.0]]), np.array([[1.0], [0.0], [2.0]])
    assert task._probe_residual(Z, Y) == pytest.approx(4.5)  # w = 1/2: 1/4 + 1/4 + 4


def test_operations_are_those_of_a_count_by_hand() -> None:
    # Covariances of two views: forwards one product of N K^2 multiplications and additions, and backwards one, for they
    # are symmetric.
    assert complexity.operations("vicreg", 64, 16) == 2 * 2 * 2 * 64 * 16**2
    edges = complexity.ring(6, 4)
    G = np.zeros((6, 6))
    G[edges.rows, edges.columns] = 1
    np.testing.assert_array_equal(G, G.T)
    np.testing.assert_array_equal(G.sum(1), 4)
    assert not G.diagonal().any()


def test_entries_are_counted_and_views_are_not() -> None:
    counter = complexity.ElementCounter()
    with counter:
        x = torch.ones(3, 4)
        _ = (x.T + 1).sum(dim=0)
    assert counter.written == 12 + 12 + 3
