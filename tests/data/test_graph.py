import numpy as np
import pytest
from scipy import sparse

from spectral_ssl.data import graph
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.errors import UserError

KINDS = [np.asarray, sparse.csr_array, sparse.coo_matrix]


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def random_graph(seed=0, n=9):
    upper = np.triu(np.random.default_rng(seed).uniform(size=(n, n)), 1)
    return upper + upper.T


@pytest.mark.parametrize(("n", "views"), [(1, 2), (5, 2), (3, 4), (7, 3)])
def test_views_graph_is_the_printed_construction(n, views):
    size = n * views
    i = np.arange(size).repeat(views - 1)  # torch's repeat_interleave
    j = (i + np.tile(np.arange(1, views), size) * n) % size  # torch's repeat
    printed = np.zeros((size, size))
    printed[i, j] = 1
    built = graph.views_graph(n, views)
    assert isinstance(built, sparse.csr_array)
    assert built.dtype == np.float64
    np.testing.assert_array_equal(built.toarray(), printed)
    assert built.nnz == size * (views - 1)
    graph.check_relation_graph(built)
    count, labels = graph.connected_components(built)
    assert count == n
    np.testing.assert_array_equal(labels, np.tile(np.arange(n), views))


@pytest.mark.parametrize(("n", "views"), [(0, 2), (3, 1)])
def test_views_graph_needs_pairs(n, views):
    with pytest.raises(UserError, match="has no pairs"):
        graph.views_graph(n, views)


@pytest.mark.parametrize("kind", KINDS)
def test_laplacian_is_the_dirichlet_form(kind):
    g = random_graph()
    z = np.random.default_rng(2).normal(size=(9, 3))
    differences = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    laplacian = dense(graph.laplacian(kind(g)))
    assert (g * differences).sum() == pytest.approx(2 * np.trace(z.T @ laplacian @ z), rel=1e-13)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_relation_graph_check_passes_and_names_the_first_offence(kind):
    good = random_graph()
    np.testing.assert_array_equal(dense(graph.check_relation_graph(kind(good))), good)
    for entry, value, message in [
        ((2, 5), np.inf, r"G\[2, 5\] = inf is not finite"),
        ((2, 5), -1.0, r"G\[2, 5\] = -1 is negative"),
        ((3, 3), 0.5, r"G\[3, 3\] = 0.5 lies on the diagonal"),
        ((7, 4), 2.0, r"G\[4, 7\] = .* but G\[7, 4\] = 2: expected a symmetric"),
        ((7, 4), good[7, 4] + 1e-9, "expected a symmetric"),
    ]:
        bad = good.copy()
        bad[entry] = value
        with pytest.raises(UserError, match=message):
            graph.check_relation_graph(kind(bad))
    with pytest.raises(UserError, match="square"):
        graph.check_relation_graph(kind(good[:3]))


def test_duplicate_sparse_entries_are_summed_and_the_input_is_left_alone():
    g = sparse.csr_array((np.array([3.0, -1.0, 2.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    np.testing.assert_array_equal(graph.check_relation_graph(g).toarray(), [[0, 2], [2, 0]])
    np.testing.assert_array_equal(g.data, [3, -1, 2])


def test_stored_zeros_are_no_edges():
    g = sparse.csr_array((np.array([0.0, 0.0]), (np.array([0, 1]), np.array([1, 0]))), shape=(2, 2))
    assert graph.connected_components(g)[0] == 2


def test_normalised_adjacency_refuses_isolated_nodes():
    with pytest.raises(UserError, match=r"node 1 has degree 0.*drop isolated nodes"):
        graph.normalised_adjacency(np.diag([1.0, 0.0]))


def test_normalised_adjacency_has_eigenvalue_one_for_each_component():
    w, _ = augmentation_graph(np.kron(np.eye(3), [[0.2, 0.8], [0.7, 0.3]]))
    values = np.linalg.eigvalsh(graph.normalised_adjacency(w))
    assert np.sum(np.abs(values - 1) < 1e-12) == graph.connected_components(w)[0] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_graph_returns_from_disk(tmp_path, kind):
    g = random_graph()
    graph.save_graph(tmp_path / "G.npz", kind(g))
    loaded = graph.load_graph(tmp_path / "G.npz")
    assert isinstance(loaded, sparse.csr_array)
    np.testing.assert_array_equal(loaded.toarray(), g)
    assert [p.name for p in tmp_path.iterdir()] == ["G.npz"]


def test_load_graph_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match=r"G\.npz is missing: run the stage"):
        graph.load_graph(tmp_path / "G.npz")
    (tmp_path / "G.npz").write_bytes(b"PK\x03\x04 not a graph")
    with pytest.raises(UserError, match=r"G\.npz is damaged .*: delete it and run the stage that writes it"):
        graph.load_graph(tmp_path / "G.npz")
    np.savez(tmp_path / "G.npz", pickled=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"G\.npz is damaged .*: delete it and run the stage that writes it"):
        graph.load_graph(tmp_path / "G.npz")
