"""The closed forms against random-restart optimisation, on ordinary and degenerate graphs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse as sp
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import laplacian, normalised_adjacency, views_graph
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.balestriero2022.vicreg import objective
from spectral_ssl.theorems.instances import augmentation_weights, relation_graph
from spectral_ssl.theorems.optimise import minimise


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


GRAPHS = {
    "connected": lambda rng: relation_graph(rng, 9),
    "power law": lambda rng: relation_graph(rng, 9, heavy=True),
    "disconnected": lambda rng: scipy.linalg.block_diag(
        relation_graph(rng, 4), relation_graph(rng, 5), np.zeros((1, 1))
    ),
    "views": lambda rng: views_graph(4, 2).toarray(),
    "empty": lambda rng: np.zeros((6, 6)),
}


@pytest.mark.parametrize("divisor", ["n", "n-1"])
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("k", [2, 5])
def test_vicreg_reaches_the_optimisers_loss(
    kind: str, k: int, divisor: str, rng: np.random.Generator
) -> None:
    G = GRAPHS[kind](rng)
    n = G.shape[0]
    scale = float(n - 1 if divisor == "n-1" else n)
    result = cf.vicreg(G, k, 1.0, 0.4, divisor)
    best = minimise(objective(G, 0.4, scale), (n, k), rng)
    assert result.loss == pytest.approx(best.loss, abs=1e-8)
    assert cf.vicreg_objective(result.embedding, G, 1.0, 0.4, divisor) == pytest.approx(
        result.loss, abs=1e-10
    )


def test_vicregs_divisors_differ_and_set_the_variance(rng: np.random.Generator) -> None:
    G = relation_graph(rng, 9)
    for divisor, ddof in (("n", 0), ("n-1", 1)):
        result = cf.vicreg(G, 3, 1.0, 1e-9, divisor)
        assert result.embedding.var(axis=0, ddof=ddof) == pytest.approx(np.ones(3), abs=1e-6)
    assert cf.vicreg(G, 3, divisor="n").loss != pytest.approx(cf.vicreg(G, 3, divisor="n-1").loss, rel=1e-6)


def test_vicreg_on_the_views_graph_is_zero_up_to_the_number_of_samples() -> None:
    G = views_graph(5, 3)
    result = cf.vicreg(G, 4)
    assert result.loss == 0
    assert np.array_equal(result.eigenvalues, np.zeros(4))
    assert cf.vicreg_objective(result.embedding, G) == pytest.approx(0, abs=1e-20)
    assert cf.vicreg(G, 5).loss > 0.1


def test_vicreg_with_more_dimensions_than_exist() -> None:
    G = views_graph(2, 2)
    result = cf.vicreg(G, 4, invariance=0.0)
    assert result.eigenvalues[-1] == np.inf
    assert result.loss == pytest.approx(1)
    assert np.array_equal(result.embedding[:, -1], np.zeros(4))
    assert cf.vicreg(G, 4, invariance=0.3).loss == pytest.approx(
        cf.vicreg_objective(cf.vicreg(G, 4, invariance=0.3).embedding, G), abs=1e-12
    )


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("k", [2, 6])
def test_simclr_reaches_the_optimisers_loss(kind: str, k: int, rng: np.random.Generator) -> None:
    G = GRAPHS[kind](rng)
    result = cf.simclr(G, k)
    best = minimise(gram_objective(G), (G.shape[0], k), rng)
    assert result.loss == pytest.approx(best.loss, abs=1e-6)
    assert cf.simclr_objective(result.embedding, G) == pytest.approx(result.loss, abs=1e-10)


@pytest.mark.parametrize("rank", [2, 4])
def test_linear_networks_reach_the_optimisers_loss(rank: int, rng: np.random.Generator) -> None:
    G = relation_graph(rng, 12)
    X = rng.standard_normal((12, rank)) @ rng.standard_normal((rank, 4)) + 0.7
    for result, goal, loss in (
        (cf.vicreg(G, 3, 1.0, 0.2, X=X), objective(G, 0.2, 11.0, X), None),
        (cf.simclr(G, 3, X=X), gram_objective(G, X), cf.simclr_objective),
    ):
        best = minimise(goal, (4, 3), rng, scale=0.3)
        assert result.loss == pytest.approx(best.loss, abs=1e-8)
        assert result.weights is not None
        assert pytest.approx(X @ result.weights) == result.embedding
        if loss is not None:
            assert loss(result.embedding, G) == pytest.approx(result.loss, abs=1e-10)
        else:
            assert cf.vicreg_objective(result.embedding, G, 1.0, 0.2) == pytest.approx(result.loss, abs=1e-10)


def test_hand_written_gradients(rng: np.random.Generator) -> None:
    G, X = relation_graph(rng, 7), rng.standard_normal((7, 4))
    for goal, shape in (
        (objective(G, 0.4, 6.0), (7, 2)),
        (objective(G, 0.4, 7.0, X), (4, 2)),
        (gram_objective(G, X), (4, 2)),
    ):
        point = rng.standard_normal(shape)
        numeric = scipy.optimize.approx_fprime(
            point.ravel(), lambda flat, goal=goal, shape=shape: goal(flat.reshape(shape))[0]
        )
        assert goal(point)[1].ravel() == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_spectral_recovers_the_augmentation_graph(rng: np.random.Generator) -> None:
    w = augmentation_weights(rng, 20, 8)
    result = cf.spectral(w, 8)
    assert result.eigenvalues[0] == pytest.approx(1)
    assert result.loss == pytest.approx(0, abs=1e-12)
    assert result.embedding @ result.embedding.T == pytest.approx(normalised_adjacency(w), abs=1e-12)
    few = cf.spectral(sp.csr_array(3 * w), 3)
    assert few.loss == pytest.approx(cf.spectral_objective(few.embedding, w))
    f = few.embedding / np.sqrt(w.sum(axis=1))[:, None]
    constant = (w**2 / np.outer(w.sum(axis=1), w.sum(axis=1))).sum()
    assert cf.spectral_contrastive_loss(f, 3 * w) == pytest.approx(few.loss - constant)


def test_spectral_on_separate_images_of_one_augmentation_each() -> None:
    w = augmentation_graph(np.eye(4)).w
    assert cf.spectral(w, 2).eigenvalues == pytest.approx([1, 1])
    assert cf.spectral(w, 2).loss == pytest.approx(2)


def whitened_minimum(G: np.ndarray, X: np.ndarray, k: int, alpha: float, rng: np.random.Generator) -> float:
    """Lowest whitened Barlow Twins loss over W found from several starts, by automatic differentiation."""
    degree, graph = torch.from_numpy(G.sum(axis=1)), torch.from_numpy(G)
    features = torch.from_numpy(X)
    features = features - degree @ features / degree.sum()

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = torch.from_numpy(flat.reshape(X.shape[1], k).copy()).requires_grad_()
        Z = features @ W
        white = torch.linalg.solve_triangular(
            torch.linalg.cholesky(Z.T @ (degree[:, None] * Z)), Z.T, upper=False
        ).T
        rotation = torch.linalg.qr(W[:k])[0]
        C = rotation.T @ white.T @ graph @ white @ rotation
        diagonal = torch.diagonal(C)
        loss = (1 - diagonal).square().sum() + alpha * (C.square().sum() - diagonal.square().sum())
        loss.backward()
        assert W.grad is not None
        return float(loss.detach()), W.grad.numpy().ravel()

    starts = rng.standard_normal((6, X.shape[1] * k))
    return min(
        float(scipy.optimize.minimize(value, start, jac=True, options={"gtol": 1e-9}).fun) for start in starts
    )


@pytest.mark.parametrize("alpha", [1.0, 3.0])
@pytest.mark.parametrize("linear", [False, True])
def test_barlow_twins_against_an_optimiser(alpha: float, linear: bool, rng: np.random.Generator) -> None:
    G = relation_graph(rng, 10)
    X = rng.standard_normal((10, 5)) + 1 if linear else None
    result = cf.barlow_twins(G, 2, alpha, X)
    found = whitened_minimum(G, np.eye(10) if X is None else X, 2, alpha, rng)
    assert result.loss == pytest.approx(found, abs=1e-7)
    assert cf.barlow_twins_objective(result.embedding, G, alpha) == pytest.approx(result.loss, abs=1e-10)


def test_barlow_twins_correlations_against_the_two_views_rows(rng: np.random.Generator) -> None:
    G = relation_graph(rng, 9)
    G[0] = G[:, 0] = 0
    result = cf.barlow_twins(G, 3)
    rows, columns = np.nonzero(G)
    root = np.sqrt(G[rows, columns])[:, None]
    left, right = root * result.embedding[rows], root * result.embedding[columns]
    assert left.T @ left == pytest.approx(np.eye(3), abs=1e-10)
    assert left.T @ right == pytest.approx(np.diag(result.eigenvalues), abs=1e-10)
    assert np.array_equal(result.embedding[0], np.zeros(3))


def test_vicreg_spans_what_scikit_learn_embeds() -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    rng = np.random.default_rng(5)
    n = 12
    circulant = scipy.linalg.toeplitz([0.0, 1, 0.4, 0, 0, 0.05, 0.3, 0.05, 0, 0, 0.4, 1])
    regular = circulant[np.ix_(order := rng.permutation(n), order)]
    assert np.ptp(regular.sum(axis=1)) < 1e-12
    theirs = manifold.SpectralEmbedding(2, affinity="precomputed", random_state=0).fit_transform(regular)
    assert cf.largest_angle(theirs, cf.vicreg(regular, 2, invariance=0.05).embedding) < 1e-6
    irregular = relation_graph(rng, n)
    theirs = manifold.spectral_embedding(irregular, n_components=2, norm_laplacian=False, random_state=0)
    ours = cf.vicreg(irregular, 2, invariance=0.05)
    assert cf.largest_angle(theirs, ours.embedding) < 1e-6
    assert ours.eigenvalues == pytest.approx(np.linalg.eigvalsh(laplacian(irregular))[1:3])
    normalised = manifold.spectral_embedding(irregular, n_components=2, random_state=0)
    assert cf.largest_angle(normalised, ours.embedding) > 0.01
