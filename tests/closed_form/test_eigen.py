from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form import solvers
from spectral_ssl.closed_form.eigen import fix_signs, smallest_centred_laplacian_pairs
from spectral_ssl.data.graph import laplacian, normalised_adjacency, views_graph


def ring(n: int, weights: np.ndarray) -> sp.csr_array:
    i = np.arange(n)
    G = sp.csr_array((weights, (i, (i + 1) % n)), shape=(n, n))
    return sp.csr_array(G + G.T)


def torus(side: int) -> sp.csr_array:
    cycle = ring(side, np.ones(side))
    eye = sp.eye_array(side)
    return sp.csr_array(sp.kron(cycle, eye) + sp.kron(eye, cycle))


def test_known_eigenpairs_of_a_path() -> None:
    n = 6
    G = np.diag(np.ones(n - 1), 1)
    values, vectors = cf.extremal_eigenpairs(G + G.T, 3, "largest")
    assert values == pytest.approx(2 * np.cos(np.pi * np.arange(1, 4) / (n + 1)))
    assert vectors.T @ vectors == pytest.approx(np.eye(3), abs=1e-12)
    smallest, _ = cf.extremal_eigenpairs(G + G.T, 3, "smallest")
    assert smallest == pytest.approx(-values)


def test_generalised_pairs_against_scipy() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 7, 7))
    A, B = A + A.T, B @ B.T + np.eye(7)
    values, vectors = cf.extremal_eigenpairs(A, 2, "smallest", B)
    assert values == pytest.approx(scipy.linalg.eigh(A, B, eigvals_only=True)[:2])
    assert pytest.approx(B @ vectors * values) == A @ vectors


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("generalised", [False, True])
def test_sparse_route_agrees_with_dense(
    which: str, generalised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    G = ring(150, rng.uniform(0.5, 1.5, 150))
    L = laplacian(G)
    B = sp.csr_array(sp.diags_array(rng.uniform(1, 2, 150))) if generalised else None
    dense = cf.extremal_eigenpairs(L, 5, which, B)  # type: ignore[arg-type]
    monkeypatch.setattr(solvers, "DENSE_LIMIT", 10)
    first = cf.extremal_eigenpairs(L, 5, which, B)  # type: ignore[arg-type]
    assert first[0] == pytest.approx(dense[0], abs=1e-9)
    assert cf.largest_angle(first[1], dense[1]) < 1e-6
    again = cf.extremal_eigenpairs(L, 5, which, B)  # type: ignore[arg-type]
    assert np.array_equal(first[1], again[1])


def test_signs_are_fixed_by_the_first_largest_entry() -> None:
    vectors = np.array([[-0.5, 0.1], [0.5, -0.9], [0.2, 0.3]])
    fixed = fix_signs(vectors)
    assert np.array_equal(fixed, fix_signs(-vectors))
    assert fixed[0, 0] > 0
    assert fixed[1, 1] > 0


def test_centred_pairs_against_a_projected_dense_solve() -> None:
    rng = np.random.default_rng(2)
    parts = []
    for size in (4, 1, 6, 3):
        block = np.triu(rng.uniform(0.5, 1.5, (size, size)), 1)
        parts.append(block + block.T)
    G = scipy.linalg.block_diag(*parts)
    n = G.shape[0]
    values, vectors, solver = smallest_centred_laplacian_pairs(G, n - 1)
    assert solver == "components"
    basis = scipy.linalg.null_space(np.ones((1, n)))
    assert values == pytest.approx(np.linalg.eigvalsh(basis.T @ laplacian(G) @ basis), abs=1e-12)
    assert (values < 1e-12).sum() == 3
    assert vectors.T @ vectors == pytest.approx(np.eye(n - 1), abs=1e-12)
    assert vectors.sum(axis=0) == pytest.approx(0, abs=1e-12)
    assert laplacian(G) @ vectors == pytest.approx(vectors * values, abs=1e-12)


def test_tied_eigenvalues_of_a_large_sparse_torus() -> None:
    side = 50
    values, vectors, solver = smallest_centred_laplacian_pairs(torus(side), 8)
    assert solver == "shift-invert"
    step = 2 - 2 * np.cos(2 * np.pi / side)
    assert values == pytest.approx([step] * 4 + [2 * step] * 4)
    assert vectors.T @ vectors == pytest.approx(np.eye(8), abs=1e-9)


def test_an_expander_is_solved_without_a_factorisation() -> None:
    rng = np.random.default_rng(3)
    i, j = rng.integers(2200, size=(2, 9000))
    links = sp.csr_array((rng.random(9000), (i, j)), shape=(2200, 2200))
    G = sp.csr_array(links + links.T + views_graph(1100, 2))
    G.setdiag(0)
    G.eliminate_zeros()
    values, vectors, solver = smallest_centred_laplacian_pairs(G, 6)
    assert solver == "chebyshev"
    assert values == pytest.approx(np.linalg.eigvalsh(laplacian(G).toarray())[1:7], abs=1e-9)
    assert abs(laplacian(G) @ vectors - vectors * values).max() < 1e-8


@pytest.mark.parametrize("n", [63, 64, 65, 100])
def test_one_connected_graph_of_any_size(n: int) -> None:
    rng = np.random.default_rng(n)
    G = np.triu(rng.random((n, n)), 1)
    G = G + G.T
    values, vectors, solver = smallest_centred_laplacian_pairs(G, n - 1)
    assert solver == "dense"
    assert values == pytest.approx(np.linalg.eigvalsh(laplacian(G))[1:])
    assert vectors.T @ vectors == pytest.approx(np.eye(n - 1), abs=1e-10)


def test_an_eigenvalue_that_many_components_share_is_found_as_often() -> None:
    rng = np.random.default_rng(4)
    blocks = [rng.uniform(0.5, 1.5, (size, size)) for size in [2, 3, 70] * 40]
    G = sp.csr_array(sp.block_diag([sp.coo_array(block + block.T) for block in blocks]))
    assert G.shape[0] > solvers.DENSE_LIMIT
    result = cf.spectral(G, 100)
    assert result.eigenvalues == pytest.approx(np.ones(100))
    wide = cf.spectral(G, 125)
    assert (wide.eigenvalues > 1 - 1e-9).sum() == 120
    dense = np.linalg.eigvalsh(normalised_adjacency(G).toarray())[::-1]
    assert wide.eigenvalues == pytest.approx(dense[:125], abs=1e-10)


def test_a_large_graph_of_many_small_components() -> None:
    G = views_graph(3000, 2)
    values, vectors, _ = smallest_centred_laplacian_pairs(G, 5)
    assert np.array_equal(values, np.zeros(5))
    assert vectors.T @ vectors == pytest.approx(np.eye(5), abs=1e-12)
    assert abs(laplacian(G) @ vectors).max() < 1e-14
    assert vectors.sum(axis=0) == pytest.approx(0, abs=1e-10)


def test_principal_angles() -> None:
    first = np.eye(4)[:, :2]
    turned = np.column_stack([np.eye(4)[:, 0], [0, np.cos(0.3), np.sin(0.3), 0]])
    assert cf.principal_angles(first, turned @ [[2, 1], [0, 3]]) == pytest.approx([0, 0.3], abs=1e-12)
    assert cf.largest_angle(first, turned) == pytest.approx(0.3)
    assert cf.largest_angle(first, first[:, :1]) == pytest.approx(np.pi / 2)
    assert cf.largest_angle(np.zeros((4, 2)), np.zeros((4, 1))) == 0.0
    tiny = first + 1e-9 * np.eye(4)[:, 2:]
    assert cf.largest_angle(first, tiny) == pytest.approx(1e-9, rel=1e-3)
    assert cf.principal_angles(np.zeros((4, 1)), first).size == 0
