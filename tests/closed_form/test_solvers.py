"""Every solver against LAPACK, the choice among them, and graphs of a size that only the right choice can solve."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.sparse as sp

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form import components, krylov, solvers
from spectral_ssl.closed_form.chebyshev import Filter, chebyshev_filter
from spectral_ssl.data.graph import laplacian, normalised_adjacency, views_graph
from spectral_ssl.errors import UserError

K = 6


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(29)


def symmetric(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, n: int) -> sp.csr_array:
    half = sp.csr_array((weights, (rows, columns)), shape=(n, n))
    graph = sp.csr_array(half + half.T)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def chain(rng: np.random.Generator, n: int = 700) -> sp.csr_array:
    i = np.arange(n - 1)
    return symmetric(i, i + 1, rng.uniform(0.5, 1.5, n - 1), n)


def expander(rng: np.random.Generator, n: int = 1200) -> sp.csr_array:
    """4 views a sample, and a random link at every node."""
    rows, columns = np.split(rng.permutation(n), 2)
    return sp.csr_array(views_graph(n // 4, 4) + symmetric(rows, columns, np.ones(n // 2), n))


def communities(rng: np.random.Generator, n: int = 700) -> sp.csr_array:
    """K + 1 dense groups with few links between: the wanted eigenvalues lie far below the rest."""
    groups = np.arange(n) % (K + 1)
    chance = np.where(groups[:, None] == groups, 0.3, 0.005)
    rows, columns = np.nonzero(np.triu(rng.random((n, n)) < chance, 1))
    return symmetric(rows, columns, np.ones(rows.size), n)


def power_law(rng: np.random.Generator, n: int = 900) -> sp.csr_array:
    """Every node linked to 3 earlier ones, the earliest the most often."""
    later = np.repeat(np.arange(1, n), 3)
    return symmetric(
        later, (later * rng.random(later.size) ** 2).astype(int), rng.uniform(1, 2, later.size), n
    )


GRAPHS = {"chain": chain, "expander": expander, "communities": communities, "power law": power_law}
CASES = [
    *[(graph, solver) for graph in GRAPHS for solver in ("shift-invert", "chebyshev")],
    ("communities", "lanczos"),
    ("expander", "lobpcg"),
    ("communities", "lobpcg"),
    ("power law", "lobpcg"),
]


def problem(graph: sp.csr_array, *, semidefinite: bool) -> solvers.Problem:
    n = graph.shape[0]
    matrix, null = (laplacian(graph), np.full(n, n**-0.5)) if semidefinite else (sp.csr_array(-graph), None)
    return solvers.reordered(solvers.Problem(sp.csr_array(matrix), null))[0]


@pytest.mark.parametrize("semidefinite", [True, False])
@pytest.mark.parametrize(("graph", "solver"), CASES)
def test_every_solver_agrees_with_lapack(
    graph: str, solver: str, semidefinite: bool, rng: np.random.Generator
) -> None:
    asked = problem(GRAPHS[graph](rng), semidefinite=semidefinite)
    expected = np.linalg.eigh(asked.matrix.toarray())
    skip = int(semidefinite)
    values, vectors = solvers.SOLVERS[solver](asked, K)
    order = np.argsort(values)
    assert values[order] == pytest.approx(expected[0][skip : K + skip], abs=1e-10 * asked.norm)
    assert cf.largest_angle(vectors, expected[1][:, skip : K + skip]) < 1e-6
    assert solvers.verified(asked, values, vectors)


@pytest.mark.parametrize(
    ("graph", "solver"),
    [("chain", "shift-invert"), ("expander", "chebyshev"), ("communities", "lanczos")],
)
def test_the_choice_is_named(graph: str, solver: str, rng: np.random.Generator) -> None:
    size = {"expander": 4000}.get(graph, 700)
    G = GRAPHS[graph](rng, size)
    assert cf.vicreg(G, K).solver == cf.barlow_twins(G, K).solver == solver
    assert cf.spectral(G, K + 1).solver == solver
    assert cf.vicreg(G, K, X=rng.standard_normal((size, 3))).solver == "dense"
    assert cf.vicreg(chain(rng, 100), K).solver == "dense"
    both = sp.csr_array(sp.block_diag([G, views_graph(3, 4), sp.csr_array((2, 2))]))
    assert cf.vicreg(both, K + 5).solver == f"components+{solver}"
    assert cf.vicreg(both, 5).solver == "components"


@pytest.mark.parametrize("name", cf.names())
def test_a_view_graph_of_a_hundred_thousand_nodes_is_nearly_free(name: str) -> None:
    G = views_graph(25_000, 4)
    started = time.process_time()
    result = cf.solve(name, G, 16)
    assert time.process_time() - started < 2
    assert result.solver == "components"
    assert result.eigenvalues == pytest.approx(np.full(16, {"vicreg": 0.0, "simclr": 3.0}.get(name, 1.0)))
    unit = result.embedding / np.linalg.norm(result.embedding, axis=0)
    assert unit.T @ unit == pytest.approx(np.eye(16), abs=1e-9)
    assert cf.objective(name, result.embedding, G) == pytest.approx(result.loss, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["vicreg", "barlow_twins", "spectral"])
def test_a_long_weighted_chain(name: str, rng: np.random.Generator) -> None:
    """Its best eigenvalues lie 10^-8 apart; the oscillation theorem counts the sign changes of each vector."""
    G = chain(rng, 20_000)
    started = time.process_time()
    result = cf.solve(name, G, 8)
    assert time.process_time() - started < 3
    assert result.solver == "shift-invert"
    changes = (np.diff(np.sign(result.embedding), axis=0) != 0).sum(axis=0)
    assert changes.tolist() == list(range(8) if name == "spectral" else range(1, 9))


def test_one_giant_component_among_small_ones(rng: np.random.Generator) -> None:
    """The largest eigenvalues of G itself, where nothing is known beforehand; of 600 nodes and many pairs."""
    small = [symmetric(np.array([0]), np.array([1]), rng.uniform(0.5, 3, 1), 2) for _ in range(300)]
    G = sp.csr_array(sp.block_diag([power_law(rng, 600), *small, sp.csr_array((3, 3))]))
    expected = np.linalg.eigvalsh(G.toarray())[::-1]
    for k in (3, 40, 250):
        result = cf.simclr(G, k)
        assert result.eigenvalues == pytest.approx(expected[:k], abs=1e-9)
        assert cf.simclr_objective(result.embedding, G) == pytest.approx(result.loss, abs=1e-7)
    assert cf.simclr(G, 40).solver.startswith("components+")


def test_ties_at_the_cut_give_some_basis_of_them(rng: np.random.Generator) -> None:
    n = 600
    i = np.arange(n)
    ring = symmetric(i, (i + 1) % n, np.ones(n), n)
    values = np.sort(2 - 2 * np.cos(2 * np.pi * np.arange(n) / n))[1:]
    for k in (3, 4):  # the second pair of eigenvalues, cut and whole
        result = cf.vicreg(ring, k)
        assert result.eigenvalues == pytest.approx(values[:k], abs=1e-13)
        assert cf.vicreg_objective(result.embedding, ring) == pytest.approx(result.loss, abs=1e-9)


@pytest.mark.parametrize("k", [1, 598, 599])
def test_dimensions_at_their_limits(k: int, rng: np.random.Generator) -> None:
    G = power_law(rng, 600)
    for name, values in (
        ("vicreg", np.linalg.eigvalsh(laplacian(G).toarray())[1:]),
        ("barlow_twins", np.linalg.eigvalsh(normalised_adjacency(G).toarray())[-2::-1]),
        ("spectral", np.linalg.eigvalsh(normalised_adjacency(G).toarray())[::-1]),
    ):
        assert cf.solve(name, G, k).eigenvalues == pytest.approx(values[:k], abs=1e-10)


def test_what_a_first_run_missed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A diagonal operator whose top is a triple eigenvalue, and a run that sees one copy of it."""
    diagonal = np.concatenate([[3.0, 3.0, 3.0], np.linspace(2, 0, 197)])
    arpack, runs = krylov._arpack, []

    def blind(apply: krylov.Operator, start: np.ndarray, k: int, tolerance: float) -> tuple:
        runs.append(k)
        if len(runs) == 1:
            start = np.where(np.isin(np.arange(200), [1, 2]), 0.0, start)
        return arpack(apply, start, k, tolerance)

    monkeypatch.setattr(krylov, "_arpack", blind)
    values, vectors = krylov.top_pairs(lambda x: diagonal * x, 200, 4)
    assert values == pytest.approx([3, 3, 3, 2])
    assert vectors.T @ vectors == pytest.approx(np.eye(4), abs=1e-10)
    assert len(runs) > 2


def test_a_filter_turns_the_order_round_and_damps_the_rest(rng: np.random.Generator) -> None:
    matrix = sp.csr_array(laplacian(expander(rng)))
    null = np.full(1200, 1200**-0.5)
    chosen = chebyshev_filter(matrix, lambda x: x - null * (null @ x), K, 8.0)
    values, vectors = np.linalg.eigh(matrix.toarray())
    assert values[K + 1] <= chosen.low
    assert values[-1] <= chosen.high
    after = np.array([vector @ chosen(vector) for vector in vectors.T])
    wanted = values[1:] < chosen.low
    assert (np.diff(after[1:][wanted]) < 1e-9).all()
    assert abs(after[1:][~wanted]).max() <= 1 + 1e-9
    assert chosen.inverse(after[1:][wanted]) == pytest.approx(values[1:][wanted], abs=1e-9)


def test_a_solver_that_fails_gives_way_to_the_next(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    G = chain(rng)
    expected = cf.vicreg(G, 3)
    assert expected.solver == "shift-invert"

    def wrong(asked: solvers.Problem, k: int) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = solvers.shift_invert(asked, k)
        return values * (1 + 1e-3), vectors + 1e-3

    def missing(asked: solvers.Problem, k: int) -> tuple[np.ndarray, np.ndarray]:
        raise krylov.NotConverged

    monkeypatch.setitem(solvers.SOLVERS, "shift-invert", wrong)
    for name in ("lanczos", "chebyshev", "lobpcg"):
        monkeypatch.setitem(solvers.SOLVERS, name, missing)
    found = cf.vicreg(G, 3)
    assert found.solver == "dense"
    assert cf.largest_angle(found.embedding, expected.embedding) < 1e-6
    monkeypatch.setattr(solvers, "LAST_RESORT", 0)
    with pytest.raises(UserError, match=r"^no solver found 3 eigenpairs of a component of 700 nodes"):
        cf.vicreg(G, 3)


def test_few_distinct_eigenvalues_leave_nothing_to_filter() -> None:
    complete = sp.csr_array(np.ones((600, 600)) - np.eye(600))
    assert cf.vicreg(complete, 4).eigenvalues == pytest.approx(np.full(4, 600.0))
    null = np.full(600, 600**-0.5)
    chosen = chebyshev_filter(laplacian(complete), lambda x: x - null * (null @ x), 4, 1198.0)
    assert isinstance(chosen, Filter)
    assert chosen.degree == 0


def test_only_components_that_can_matter_are_candidates(rng: np.random.Generator) -> None:
    G = sp.csr_array(sp.block_diag([views_graph(50, 2), 2 * views_graph(30, 3), sp.csr_array((4, 4))]))
    matrix = sp.csr_array(-G)
    parts = components.Components.of(matrix)
    chosen = components.candidates(matrix, parts, 7)
    assert chosen.size == 7
    assert (parts.sizes[chosen] == 3).all()
    assert parts.sizes[components.candidates(matrix, parts, 60)].tolist().count(3) == 30


def test_a_cluster_that_lapack_cannot_take_a_part_of_is_taken_whole() -> None:
    """LAPACK's method for a part of the spectrum fails on some of these: one eigenvalue, and 31 times another."""
    for seed in range(40):
        direction = np.random.default_rng(seed).standard_normal(32)
        A = np.outer(direction, direction) - np.eye(32) / 31
        values, vectors = cf.extremal_eigenpairs((A + A.T) / 2, 16, "largest")
        np.testing.assert_allclose(values, [direction @ direction - 1 / 31, *[-1 / 31] * 15], atol=1e-12)
        np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-12)
