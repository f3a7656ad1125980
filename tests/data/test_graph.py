import numpy as np
import pytest
from scipy import sparse

from spectral_ssl.data import graph
from spectral_ssl.errors import UserError

KINDS = [np.asarray, sparse.csr_array, sparse.coo_matrix]


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def toy_kernel(rotation=1 / 3):
    """Lightning and cloud: two images, each shown upright or, with probability `rotation`, rotated."""
    return np.kron(np.eye(2), [[1 - rotation, rotation]])


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
def test_toy_graph_has_the_printed_values(kind):
    w, kept = graph.augmentation_graph(kind(toy_kernel()))
    assert sparse.issparse(w) == (kind is not np.asarray)
    block = np.array([[2 / 9, 1 / 9], [1 / 9, 1 / 18]])
    np.testing.assert_allclose(dense(w), np.kron(np.eye(2), block), rtol=0, atol=1e-16)
    np.testing.assert_array_equal(kept, np.arange(4))
    np.testing.assert_allclose(graph.degrees(w), [1 / 3, 1 / 6, 1 / 3, 1 / 6], rtol=1e-15)
    normalised = np.array([[2 / 3, np.sqrt(2) / 3], [np.sqrt(2) / 3, 1 / 3]])
    np.testing.assert_allclose(
        dense(graph.normalised_adjacency(w)), np.kron(np.eye(2), normalised), atol=3e-16
    )
    assert graph.conductance(w, [0]) == pytest.approx(1 / 3, rel=1e-14)
    assert graph.conductance(w, [1]) == pytest.approx(2 / 3, rel=1e-14)
    assert graph.conductance(w, [0, 1]) == 0
    assert graph.connected_components(w)[0] == 2


def test_toy_graph_depends_on_the_rotation():
    w, _ = graph.augmentation_graph(toy_kernel(rotation=1 / 2))
    assert abs(w[0, 0] - 2 / 9) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_graph_is_the_sum_over_images(kind):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(6), size=4)
    p[:, 2] = 0
    p /= p.sum(axis=1, keepdims=True)
    prior = np.array([0.1, 0.0, 0.4, 0.5])
    expected = sum(prior[i] * np.outer(p[i], p[i]) for i in range(4))
    w, kept = graph.augmentation_graph(kind(p), prior)
    np.testing.assert_array_equal(kept, [0, 1, 3, 4, 5])
    np.testing.assert_allclose(dense(w), expected[np.ix_(kept, kept)], rtol=1e-14)
    assert dense(w).sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_array_equal(dense(w), dense(w).T)
    np.testing.assert_allclose(graph.degrees(w), (prior @ p)[kept], rtol=1e-14)


@pytest.mark.parametrize(
    ("p", "prior", "message"),
    [
        ([[0.5, 0.4]], None, "row 0 of p sums to 0.9"),
        ([[1.5, -0.5]], None, r"p\[0, 1\] = -0.5 is negative"),
        ([[np.nan, 1.0]], None, r"p\[0, 0\] = nan is not finite"),
        ([[0.5, 0.5]], [0.5], "prior sums to 0.5"),
        ([[0.5, 0.5]], [0.5, 0.5], "expected one probability for each of 1 images"),
        ([0.5, 0.5], None, "expected a matrix"),
    ],
)
def test_augmentation_graph_refuses_what_is_no_distribution(p, prior, message):
    with pytest.raises(UserError, match=message):
        graph.augmentation_graph(np.array(p), prior)


@pytest.mark.parametrize("kind", KINDS)
def test_laplacian_is_the_dirichlet_form(kind):
    g = random_graph()
    z = np.random.default_rng(2).normal(size=(9, 3))
    differences = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    laplacian = dense(graph.laplacian(kind(g)))
    assert (g * differences).sum() == pytest.approx(2 * np.trace(z.T @ laplacian @ z), rel=1e-13)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_conductance_counts_crossing_weight(kind):
    g = random_graph(seed=3) + np.eye(9)
    subset = [1, 4, 5]
    rest = [i for i in range(9) if i not in subset]
    expected = sum(g[i, j] for i in subset for j in rest) / sum(g[i, j] for i in subset for j in range(9))
    assert graph.conductance(kind(g), subset) == pytest.approx(expected, rel=1e-14)
    assert graph.conductance(kind(g), np.isin(np.arange(9), subset)) == graph.conductance(kind(g), subset)
    assert graph.conductance(kind(g), range(9)) == 0


@pytest.mark.parametrize("subset", [[], [9], [-1], [0.5], [True, False]])
def test_conductance_refuses_a_subset_that_is_none(subset):
    with pytest.raises(UserError, match="subset"):
        graph.conductance(random_graph(), subset)


def test_conductance_of_isolated_nodes_is_undefined():
    with pytest.raises(UserError, match="degree zero"):
        graph.conductance(np.zeros((3, 3)), [1])


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
    w, _ = graph.augmentation_graph(np.kron(np.eye(3), [[0.2, 0.8], [0.7, 0.3]]))
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
    with pytest.raises(UserError, match=r"no graph .*G\.npz: run the stage"):
        graph.load_graph(tmp_path / "G.npz")
    (tmp_path / "G.npz").write_bytes(b"PK\x03\x04 not a graph")
    with pytest.raises(UserError, match="holds no graph"):
        graph.load_graph(tmp_path / "G.npz")
    np.savez(tmp_path / "G.npz", pickled=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="holds no graph"):
        graph.load_graph(tmp_path / "G.npz")
