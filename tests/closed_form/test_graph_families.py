"""The four closed forms on families of graphs: sparse as dense, Lanczos as LAPACK, linear as free."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form import eigen, solvers
from spectral_ssl.data.graph import laplacian, normalised_adjacency, views_graph
from spectral_ssl.theorems.instances import relation_graph

LOSS_TOLERANCE, ANGLE_TOLERANCE = 1e-9, 1e-6
N = 24


def complete(rng: np.random.Generator) -> np.ndarray:
    return np.ones((N, N)) - np.eye(N)


def regular(rng: np.random.Generator) -> np.ndarray:
    """A circulant: every node of degree 4, most eigenvalues in pairs."""
    return scipy.linalg.toeplitz([0.0, 1, 1, *[0.0] * (N - 5), 1, 1])


def block(rng: np.random.Generator) -> np.ndarray:
    """A planted partition of three groups."""
    groups = np.repeat(np.arange(3), N // 3)
    chance = np.where(groups[:, None] == groups, 0.9, 0.1)
    upper = np.triu(rng.random((N, N)) < chance, 1).astype(np.float64)
    upper[np.arange(N - 1), np.arange(1, N)] = 1
    return upper + upper.T


def power_law(rng: np.random.Generator) -> np.ndarray:
    """Nodes linked to 2 earlier ones, chosen by degree."""
    G = np.zeros((N, N))
    G[0, 1] = G[1, 0] = 1
    for node in range(2, N):
        share = G[:node].sum(axis=1)
        chosen = rng.choice(node, 2, replace=False, p=share / share.sum())
        G[node, chosen] = G[chosen, node] = 1
    return G


def disconnected(rng: np.random.Generator) -> np.ndarray:
    return scipy.linalg.block_diag(
        relation_graph(rng, 3), relation_graph(rng, 8), relation_graph(rng, N - 11)
    )


def weighted(rng: np.random.Generator) -> np.ndarray:
    return relation_graph(rng, N, heavy=True)


FAMILIES = [complete, regular, block, power_law, disconnected, weighted]
Family = Callable[[np.random.Generator], np.ndarray]
over_families = pytest.mark.parametrize("family", FAMILIES)
over_losses = pytest.mark.parametrize("name", cf.names())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def instance(family: Family, name: str, rng: np.random.Generator) -> np.ndarray:
    """A graph of the family; with self-loops for the loss whose graph has them."""
    return family(rng) + (0.7 * np.eye(N) if name == "spectral" else 0.0)


def spectrum(name: str, G: np.ndarray, X: np.ndarray | None) -> np.ndarray:
    """Every eigenvalue of the problem, from the best, by a generalised eigenproblem in X (or all centred rows)."""
    degree = G.sum(axis=1)
    A, B, centre = {
        "vicreg": (laplacian(G), np.eye(N), np.ones(N)),
        "simclr": (-G, np.eye(N), None),
        "barlow_twins": (-G, np.diag(degree), degree),
        "spectral": (-normalised_adjacency(G), np.eye(N), None),
    }[name]
    basis = np.eye(N) if X is None else (np.sqrt(degree)[:, None] * X if name == "spectral" else X)
    if centre is not None:
        basis = cf.span(basis - centre @ basis / centre.sum())
    values = scipy.linalg.eigh(basis.T @ A @ basis, basis.T @ B @ basis, eigvals_only=True)
    return values if name == "vicreg" else -values


def disagreement(first: cf.Result, second: cf.Result, values: np.ndarray) -> tuple[float, float]:
    """Loss gap and largest angle; no angle where eigenvalues tie at the cut, in front of a zero column or not."""
    k = min(first.eigenvalues.size, values.size)
    used = int((np.linalg.norm(first.embedding, axis=0) > 1e-6).sum())
    tied = 0 < used < values.size and abs(values[used - 1] - values[used]) < 1e-6
    assert first.eigenvalues[:k] == pytest.approx(values[:k], abs=1e-9)
    angle = 0.0 if tied else cf.largest_angle(first.embedding, second.embedding)
    return abs(first.loss - second.loss), angle


def check(name: str, G: np.ndarray, k: int, X: np.ndarray | None) -> None:
    dense, sparse = cf.solve(name, G, k, X=X), cf.solve(name, sp.csr_array(G), k, X=X)
    loss, angle = disagreement(dense, sparse, spectrum(name, G, X))
    assert loss < LOSS_TOLERANCE
    assert angle < ANGLE_TOLERANCE
    for result in (dense, sparse):
        for graph in (G, sp.csr_array(G)):
            assert abs(cf.objective(name, result.embedding, graph) - result.loss) < LOSS_TOLERANCE


@over_families
@over_losses
@pytest.mark.parametrize("k", [3, N - 1])
def test_sparse_as_dense_when_free(name: str, family: Family, k: int, rng: np.random.Generator) -> None:
    check(name, instance(family, name, rng), k, None)


@over_families
@over_losses
@pytest.mark.parametrize("k", [2, 5])
def test_sparse_as_dense_when_linear(name: str, family: Family, k: int, rng: np.random.Generator) -> None:
    check(name, instance(family, name, rng), k, rng.standard_normal((N, 6)) + 0.5)


@over_families
@over_losses
@pytest.mark.parametrize("linear", [False, True])
def test_lanczos_as_lapack(
    name: str, family: Family, linear: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    G = instance(family, name, rng)
    X = rng.standard_normal((N, 6)) + 0.5 if linear else None
    dense = cf.solve(name, G, 3, X=X)
    monkeypatch.setattr(solvers, "DENSE_LIMIT", 4)
    for limit in (solvers.FACTORISATION_LIMIT, -1.0):  # with shift-invert and without
        monkeypatch.setattr(solvers, "FACTORISATION_LIMIT", limit)
        loss, angle = disagreement(dense, cf.solve(name, sp.csr_array(G), 3, X=X), spectrum(name, G, X))
        assert loss < LOSS_TOLERANCE
        assert angle < ANGLE_TOLERANCE


@over_families
@pytest.mark.parametrize("name", ["simclr", "spectral"])
def test_more_dimensions_than_positive_eigenvalues(
    name: str, family: Family, rng: np.random.Generator
) -> None:
    G = family(rng)
    values = spectrum(name, G, None)
    positive = int((values > 1e-9).sum())
    assert positive < N - 2
    for graph in (G, sp.csr_array(G)):
        result = cf.solve(name, graph, positive + 2)
        assert np.linalg.matrix_rank(result.embedding, tol=1e-6) == positive
        assert result.loss == pytest.approx((values[values < 0] ** 2).sum(), abs=1e-9)
        assert result.loss == pytest.approx(cf.solve(name, graph, positive).loss, abs=1e-9)


@over_families
@over_losses
def test_a_linear_network_of_full_rank_is_free(name: str, family: Family, rng: np.random.Generator) -> None:
    G = instance(family, name, rng)
    free, linear = cf.solve(name, G, 4), cf.solve(name, G, 4, X=rng.standard_normal((N, N)))
    assert linear.loss == pytest.approx(free.loss, abs=1e-8)
    assert linear.eigenvalues == pytest.approx(free.eigenvalues, abs=1e-8)


def large_graph(rng: np.random.Generator, n: int) -> sp.csr_array:
    """One component of n nodes, 299 small ones, two isolated nodes."""
    i = np.arange(n)
    path = sp.csr_array((rng.uniform(0.5, 1.5, n - 1), (i[:-1], i[1:])), shape=(n, n))
    jumps = sp.csr_array((rng.uniform(0.5, 1.5, 40), (i[:40], i[-40:])), shape=(n, n))
    large = path + path.T + jumps + jumps.T
    return sp.csr_array(sp.block_diag([large, views_graph(299, 2), sp.csr_array((2, 2))]))


@over_losses
@pytest.mark.parametrize("linear", [False, True])
def test_a_large_sparse_graph_stays_sparse(
    name: str, linear: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    G = large_graph(rng, 2400)  # above the size of the dense solver
    if name == "spectral":
        G = sp.csr_array(G + sp.eye_array(3000))
    X = rng.standard_normal((3000, 5)) if linear else None

    for kind in (sp.csr_array, sp.csc_array, sp.coo_array):
        toarray = kind.toarray

        def refuse(matrix: object, *arguments: object, of: object = toarray, **options: object) -> object:
            assert matrix.shape[0] < 100, "made dense"  # type: ignore[attr-defined]
            return of(matrix, *arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)
    result = cf.solve(name, G, 4, X=X)
    assert cf.objective(name, result.embedding, G) == pytest.approx(result.loss, rel=1e-9, abs=1e-9)


def test_large_sparse_correlations_are_those_of_the_dense_solver(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 components make 1 the largest correlation 299 times; what follows is the large component's own."""
    monkeypatch.setattr(solvers, "DENSE_LIMIT", 300)
    G = large_graph(rng, 400)
    result = cf.barlow_twins(G, 303)
    linked, degree = slice(998), G.sum(axis=1)
    large = normalised_adjacency(G[:400][:, :400]).toarray()
    assert result.eigenvalues[:299] == pytest.approx(np.ones(299), abs=1e-12)
    assert result.eigenvalues[299:] == pytest.approx(np.linalg.eigvalsh(large)[::-1][1:5], abs=1e-9)
    Z = result.embedding
    assert pytest.approx(np.eye(303), abs=1e-9) == Z.T @ (degree[:, None] * Z)
    assert pytest.approx(np.diag(result.eigenvalues), abs=1e-9) == Z.T @ (G @ Z)
    assert degree @ Z == pytest.approx(np.zeros(303), abs=1e-9)
    assert np.array_equal(Z[998:], np.zeros((2, 303)))
    assert np.abs(Z[linked]).max(axis=1).min() > 0


@pytest.mark.parametrize(
    "pairs", [eigen.smallest_centred_laplacian_pairs, eigen.largest_centred_adjacency_pairs]
)
def test_nearly_disconnected_graphs_are_centred_all_the_same(
    pairs: Callable, rng: np.random.Generator
) -> None:
    """With a bridge of 1e-9 rounding turns the constant vector and the next one by 1e-6."""
    G = scipy.linalg.block_diag(relation_graph(rng, 9), relation_graph(rng, 15))
    G[0, 10] = G[10, 0] = 1e-9
    vectors = pairs(G, 3).vectors
    mass = np.ones(N) if pairs is eigen.smallest_centred_laplacian_pairs else G.sum(axis=1)
    assert np.sqrt(mass) @ vectors == pytest.approx(np.zeros(3), abs=1e-14)
    assert vectors.T @ vectors == pytest.approx(np.eye(3), abs=1e-12)
