"""One interface to the closed forms, and the linear spectral loss."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import degrees, normalised_adjacency
from spectral_ssl.errors import UserError
from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.instances import augmentation_weights, relation_graph
from spectral_ssl.theorems.optimise import disagreement, minimise

GOOD = np.ones((4, 4)) - np.eye(4)
OTHER = {"vicreg": {"variance": 2.0, "invariance": 0.5, "divisor": "n"}, "barlow_twins": {"alpha": 2.0}}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(23)


def test_names_and_options() -> None:
    assert cf.names() == ["vicreg", "simclr", "barlow_twins", "spectral"]
    assert cf.options("vicreg") == {"variance": 1.0, "invariance": 0.3, "divisor": "n-1"}
    assert cf.options("barlow_twins") == {"alpha": 1.0}
    assert cf.options("simclr") == cf.options("spectral") == {}


@pytest.mark.parametrize("name", cf.names())
def test_it_calls_the_function_of_that_name(name: str, rng: np.random.Generator) -> None:
    G, X, options = relation_graph(rng, 9), rng.standard_normal((9, 4)), OTHER.get(name, {})
    for more in ({}, {"X": X}):
        ours, direct = cf.solve(name, G, 3, **more, **options), getattr(cf, name)(G, 3, **more, **options)
        assert np.array_equal(ours.embedding, direct.embedding)
        assert ours.loss == direct.loss == pytest.approx(cf.objective(name, ours.embedding, G, **options))
    elsewhere = rng.standard_normal((9, 3))
    assert cf.objective(name, elsewhere, G, **options) > ours.loss
    assert cf.objective(name, elsewhere, G, **options) == getattr(cf, f"{name}_objective")(
        elsewhere, G, **options
    )


def test_the_population_loss_of_a_sparse_graph(rng: np.random.Generator) -> None:
    w, f = augmentation_weights(rng, 30, 10), rng.standard_normal((10, 3))
    joint, degree, gram = w / w.sum(), w.sum(axis=1) / w.sum(), f @ f.T
    expected = (-2 * joint * gram + np.outer(degree, degree) * gram**2).sum()
    for graph in (w, sp.csr_array(5 * w)):
        assert cf.spectral_contrastive_loss(f, graph) == pytest.approx(expected, abs=1e-12)


def test_unknown_names_and_options_are_refused() -> None:
    for call in (cf.solve, cf.objective):
        second, third = (GOOD, 2) if call is cf.solve else (np.ones((4, 2)), GOOD)
        with pytest.raises(UserError, match=r"unknown closed form 'vicrge'; did you mean 'vicreg'\?"):
            call("vicrge", second, third)
        with pytest.raises(
            UserError, match=r"unknown option of vicreg 'varience'; did you mean 'variance'\?"
        ):
            call("vicreg", second, third, varience=1.0)
        with pytest.raises(UserError, match="simclr has no options: found 'alpha', drop it"):
            call("simclr", second, third, alpha=1.0)


@pytest.mark.parametrize("name", cf.names())
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("X", [None, np.eye(4)])
def test_too_many_dimensions_are_refused(name: str, sparse: bool, X: np.ndarray | None) -> None:
    graph = sp.csr_array(GOOD) if sparse else GOOD
    with pytest.raises(UserError, match=r"^k is 5, more than the N samples \(4\): choose k <= 4$"):
        cf.solve(name, graph, 5, X=X)
    if name == "barlow_twins":
        with pytest.raises(UserError, match=r"^k is 4, more than the .* \(3\): choose k <= 3$"):
            cf.solve(name, graph, 4, X=X)


@pytest.mark.parametrize("name", cf.names())
def test_bad_matrices_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"^X is a scipy sparse matrix: expected a dense one; pass X.toarray"):
        cf.solve(name, GOOD, 2, X=sp.eye_array(4))
    with pytest.raises(UserError, match=r"^[Gw] is not numeric: pass an"):
        cf.solve(name, [["a", "b"], ["c", "d"]], 1)
    for Z, words in (
        (np.ones((3, 2)), r"shape \(3, 2\): expected \(4, K\)"),
        (np.ones(4), r"shape \(4,\): expected"),
        (np.full((4, 2), np.inf), "NaN or infinite"),
        ([["a"]] * 4, r"not numeric: pass an \(N, K\) array"),
    ):
        with pytest.raises(UserError, match=words):
            cf.objective(name, Z, GOOD)


def test_barlow_twins_cannot_whiten_what_has_not_full_rank(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((4, 2))
    for rank, Z in ((0, np.ones((4, 3))), (1, np.outer(rows[:, 0], rows[0])), (2, rows @ rng.random((2, 5)))):
        words = f"Z has rank {rank} .* whitening {Z.shape[1]} columns needs as much; drop columns"
        with pytest.raises(UserError, match=words):
            cf.barlow_twins_objective(Z, GOOD)
        with pytest.raises(UserError, match=words):  # at any scale
            cf.barlow_twins_objective(1e7 * Z, GOOD)
    with pytest.raises(UserError, match="G has no edge"):
        cf.barlow_twins_objective(np.eye(4), np.zeros((4, 4)))


@pytest.mark.parametrize("rank", [3, 5])
def test_a_linear_spectral_network_reaches_the_optimisers_loss(rank: int, rng: np.random.Generator) -> None:
    w = augmentation_weights(rng, 30, 10)
    X = rng.standard_normal((10, rank)) @ rng.standard_normal((rank, 5)) + 0.3
    result = cf.spectral(7 * w, 2, X=X)
    root = np.sqrt(degrees(w))[:, None]
    A, features = normalised_adjacency(w), root * X
    best = minimise(gram_objective(A, features), (5, 2), rng, scale=0.3)
    best = type(best)(best.loss, features @ best.point, best.spread)
    loss, angle = disagreement(result, best, 1.0, centre=False)
    assert loss < 1e-9
    assert angle < 1e-5
    assert result.weights is not None
    f = X @ result.weights
    assert root * f == pytest.approx(result.embedding)
    constant = float((A**2).sum())
    assert cf.spectral_contrastive_loss(f, w) == pytest.approx(result.loss - constant)
    assert cf.simclr_objective(f, w - np.diag(np.diag(w))) != pytest.approx(result.loss, rel=1e-3)


def test_a_linear_spectral_network_with_more_dimensions_than_features(rng: np.random.Generator) -> None:
    w = augmentation_weights(rng, 30, 8)
    result = cf.spectral(w, 4, X=rng.standard_normal((8, 3)))
    assert result.eigenvalues[3] == -np.inf
    assert np.array_equal(result.embedding[:, 3], np.zeros(8))
    assert cf.spectral_objective(result.embedding, sp.csr_array(w)) == pytest.approx(result.loss, abs=1e-12)
    with pytest.raises(UserError, match=r"^X has shape \(7, 3\): expected \(8, D\)"):
        cf.spectral(w, 2, X=np.ones((7, 3)))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("linear", [False, True])
def test_the_graph_losses_reach_the_closed_forms_loss(
    linear: bool, sparse: bool, rng: np.random.Generator
) -> None:
    """At the optimum: the loss there, and no gradient with respect to the embedding or to the weights."""
    G = relation_graph(rng, 10)
    w = G + np.eye(10)
    X = rng.standard_normal((10, 6)) if linear else None
    vicreg = cf.vicreg(G, 3, variance=2.0, invariance=0.1, X=X)
    quadratic = {"variance": 2.0, "covariance": 2.0, "invariance": 0.1, "variance_kind": "quadratic"}
    gram, spectral = cf.simclr(G, 3, X=X), cf.spectral(w, 3, X=X)
    f = spectral.embedding / np.sqrt(w.sum(axis=1) / w.sum())[:, None]
    constant = float((normalised_adjacency(w) ** 2).sum())
    for name, graph, Z, expected, options in (
        ("vicreg", G, vicreg.embedding, vicreg.loss, quadratic),
        ("gram", G, gram.embedding, gram.loss, {}),
        ("spectral", w, f, spectral.loss - constant, {}),
    ):
        point = torch.from_numpy(Z).requires_grad_()
        total = get_graph_loss(name)(point, sp.csr_array(graph) if sparse else graph, **options).total
        assert total.item() == pytest.approx(expected, abs=1e-10)
        (gradient,) = torch.autograd.grad(total, point)
        along = gradient if X is None else torch.from_numpy(X).T @ gradient
        assert along.abs().max().item() < 1e-9


@pytest.mark.parametrize("linear", [False, True])
def test_whitened_barlow_twins_is_the_graph_loss_of_a_diagonal(
    linear: bool, rng: np.random.Generator
) -> None:
    G = relation_graph(rng, 10)
    result = cf.barlow_twins(G, 3, 2.0, rng.standard_normal((10, 6)) if linear else None)
    terms = get_graph_loss("barlow_twins")(torch.from_numpy(result.embedding), G, lambda_=2.0, center=True)
    assert terms["invariance"].item() == pytest.approx(result.loss, abs=1e-10)
    assert terms["redundancy"].item() == pytest.approx(0, abs=1e-20)
    turned = result.embedding @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotated = get_graph_loss("barlow_twins")(torch.from_numpy(turned), G, lambda_=2.0, center=True)
    assert rotated.total.item() > result.loss + 1e-3
