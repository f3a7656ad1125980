import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from spectral_ssl.data import relations
from spectral_ssl.data.graph import check_relation_graph, laplacian, views_graph
from spectral_ssl.errors import UserError


def checked(graph):
    """The dense graph, after the check that it is a relation graph of the promised kind."""
    assert isinstance(graph, sparse.csr_array)
    assert graph.dtype == np.float64
    assert graph.has_sorted_indices
    assert (graph.data > 0).all()  # no zero is stored
    return check_relation_graph(graph).toarray()


def random_graph(seed=0, n=12, density=0.4):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(1, 2, (n, n)) * (rng.random((n, n)) < density), 1)
    return upper + upper.T


def test_labels_join_their_class_and_the_unlabelled_nothing():
    found = checked(relations.labels_graph([1, 0, -1, 1, -1, 1]))
    expected = np.zeros((6, 6))
    for i, j in itertools.permutations([0, 3, 5], 2):
        expected[i, j] = 1
    np.testing.assert_array_equal(found, expected)
    assert relations.labels_graph([-1, -1]).nnz == 0


def test_labels_of_samples_views_give_the_views_graph():
    found = checked(relations.labels_graph(np.tile(np.arange(4), 3)))
    np.testing.assert_array_equal(found, views_graph(4, 3).toarray())


def test_class_weights_make_the_dirichlet_form_the_scatter_within_classes():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 4], [2, 5, 9]))
    x = rng.normal(size=(16, 3))
    scatters = [(labels == c).sum() * np.cov(x[labels == c].T, bias=True) for c in (0, 1, 4)]
    weighted = relations.labels_graph(labels, "class")
    checked(weighted)
    np.testing.assert_allclose(x.T @ laplacian(weighted) @ x, sum(scatters), atol=1e-13)
    ones = x.T @ laplacian(relations.labels_graph(labels)) @ x  # heavier classes count more
    np.testing.assert_allclose(ones, 2 * scatters[0] + 5 * scatters[1] + 9 * scatters[2], atol=1e-12)


def test_pairs_beyond_the_limit_are_refused():
    assert relations.labels_graph(np.arange(4000) % 4).nnz == 4 * 1000 * 999
    with pytest.raises(
        UserError, match=r"groups of 6,000 samples are 35,994,000 entries, more than 33,554,432"
    ):
        relations.labels_graph(np.zeros(6000, dtype=int))
    with pytest.raises(UserError, match=r"5000 neighbours of each of 6,000 samples are 60,000,000 entries"):
        relations.neighbours_graph(np.zeros((6000, 1)), 5000)


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        ([0.5, 1.0], "ones", "labels of shape .* type float64: expected"),
        ([[0, 1]], "ones", r"labels of shape \(1, 2\)"),
        ([0, -2], "ones", "integers from 0, or -1"),
        ([0, 1], "clas", "unknown weights .* did you mean 'class'"),
    ],
)
def test_labels_graph_refuses(labels, weights, message):
    with pytest.raises(UserError, match=message):
        relations.labels_graph(labels, weights)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 4, 29])
def test_neighbours_are_those_of_the_sorted_distances(metric, k):
    x = np.random.default_rng(1).normal(size=(30, 5)) + 1
    distance = cdist(x, x, metric)
    np.fill_diagonal(distance, np.inf)
    directed = np.zeros((30, 30))
    np.put_along_axis(directed, distance.argsort(axis=1)[:, :k], 1, axis=1)
    union = checked(relations.neighbours_graph(x, k, metric))
    np.testing.assert_array_equal(union, np.maximum(directed, directed.T))
    mutual = checked(relations.neighbours_graph(x, k, metric, symmetric="mutual"))
    np.testing.assert_array_equal(mutual, directed * directed.T)
    assert (union != mutual).any() == (k < 29)


def edges(graph):
    return sorted((int(i), int(j)) for i, j in np.argwhere(np.triu(checked(graph))))


def test_ties_go_to_the_lower_index():
    line = np.arange(5.0)[:, None] / 10 + 1e3
    assert edges(relations.neighbours_graph(line, 1)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert edges(relations.neighbours_graph(line, 1, symmetric="mutual")) == [(0, 1)]
    # Neighbours 0 -> 1 2, 1 -> 0 2, 2 -> 1 3 and so on: the ends only have one side.
    assert edges(relations.neighbours_graph(line, 2, symmetric="mutual")) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("dimension", [1, 40])  # found by a tree, found by matrix products
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_duplicates_are_neighbours_and_no_sample_is_its_own(metric, dimension):
    x = np.full((7, dimension), 0.1)
    x[6, 0] = -5.0
    if metric == "cosine":
        x[:6] *= np.linspace(1, 3, 6)[:, None]  # one direction
    assert edges(relations.neighbours_graph(x, 2, metric, symmetric="mutual")) == [(0, 1), (0, 2), (1, 2)]
    union = [(i, j) for i in (0, 1) for j in range(i + 1, 7)]
    assert edges(relations.neighbours_graph(x, 2, metric)) == union


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.eye(3), {"k": 3}, "k = 3 neighbours among 3 samples: choose k from 1 to 2"),
        (np.eye(3), {"k": 0}, "k = 0 neighbours"),
        (np.array([[0.0], [np.nan]]), {"k": 1}, "features of sample 1 are not finite"),
        (np.zeros(3), {"k": 1}, r"features of shape \(3,\)"),
        (np.eye(3)[:, :2], {"k": 1, "metric": "cosine"}, "sample 2 are all zero: they have no cosine"),
        (np.eye(3), {"k": 1, "metric": "cosin"}, "unknown metric 'cosin'; did you mean 'cosine'"),
        (np.eye(3), {"k": 1, "symmetric": "both"}, "unknown symmetrisation 'both'"),
    ],
)
def test_neighbours_graph_refuses(x, options, message):
    with pytest.raises(UserError, match=message):
        relations.neighbours_graph(x, **options)


DESIGN = np.array(list(itertools.product(range(3), range(4), range(2))))  # each combination once
NAMES = ["shape", "colour", "size"]


def test_factor_graph_joins_those_that_share_every_kept_factor():
    found = checked(relations.factor_graph(DESIGN, NAMES, ["size", "shape"]))
    for i, j in itertools.product(range(24), repeat=2):
        assert found[i, j] == (i != j and (DESIGN[i, [0, 2]] == DESIGN[j, [0, 2]]).all())
    assert relations.factor_graph(DESIGN, NAMES, NAMES).nnz == 0


def test_factor_graph_is_aligned_with_the_kept_factors_alone():
    graph = relations.factor_graph(DESIGN, NAMES, ["shape"])
    assert relations.alignment(graph, DESIGN[:, 0]) == (1, pytest.approx(3 * 8 * 7 / (24 * 23)))
    assert relations.alignment(graph, DESIGN[:, 1]).observed == pytest.approx(1 / 7)  # 1 of the 7 others
    assert relations.alignment(graph, DESIGN[:, 2]).observed == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    ("factors", "names", "keep", "message"),
    [
        (DESIGN, NAMES, ["color"], "unknown factor 'color'; did you mean 'colour'"),
        (DESIGN, NAMES, [], "no factor to keep"),
        (DESIGN, NAMES[:2], ["shape"], "expected 3 different ones"),
        (DESIGN, ["a", "a", "b"], ["a"], "expected 3 different ones"),
        (DESIGN / 2, NAMES, ["shape"], "type float64: expected integers"),
    ],
)
def test_factor_graph_refuses(factors, names, keep, message):
    with pytest.raises(UserError, match=message):
        relations.factor_graph(factors, names, keep)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
def test_rewiring_moves_the_share_of_edges_and_keeps_their_weights(kind, fraction):
    g = random_graph()
    number = np.count_nonzero(g) // 2
    found = relations.rewired(kind(g), fraction, generator=np.random.default_rng(2))
    moved = checked(found)
    assert np.count_nonzero((moved > 0) & (g == 0)) == 2 * round(fraction * number)
    np.testing.assert_array_equal(moved[(moved > 0) & (g > 0)], g[(moved > 0) & (g > 0)])
    np.testing.assert_array_equal(np.sort(moved[moved > 0]), np.sort(g[g > 0]))
    again = relations.rewired(kind(g), fraction, generator=np.random.default_rng(2))
    np.testing.assert_array_equal(again.toarray(), moved)
    if fraction:
        other = relations.rewired(kind(g), fraction, generator=np.random.default_rng(3))
        assert (other.toarray() != moved).any()


def test_rewiring_is_uniform_over_edges_and_free_pairs():
    g = np.zeros((5, 5))
    g[0, 1] = g[1, 0] = g[2, 4] = g[4, 2] = 1
    counts, draws, generator = np.zeros((5, 5)), 1500, np.random.default_rng(4)
    for _ in range(draws):
        counts += relations.rewired(g, 0.5, generator=generator).toarray()
    for i, j in itertools.combinations(range(5), 2):
        chance = 1 / 2 if g[i, j] else 1 / 8
        assert abs(counts[i, j] - draws * chance) < 4 * np.sqrt(draws * chance * (1 - chance)), (i, j)


@pytest.mark.parametrize(
    ("g", "fraction", "message"),
    [
        (np.ones((4, 4)) - np.eye(4), 0.5, "3 of 6 edges to move, but only 0 pairs of 4 nodes have none"),
        (random_graph(), 1.5, "a fraction 1.5 of the edges: expected a number from 0 to 1"),
        (random_graph(), np.nan, "a fraction nan"),
        (np.array([[0, 1.0], [0, 0]]), 0.5, r"G\[0, 1\] = 1 but G\[1, 0\] = 0: expected a symmetric"),
        (np.array([[0, -1.0], [-1, 0]]), 0.5, r"G\[0, 1\] = -1 is negative"),
    ],
)
def test_rewiring_refuses(g, fraction, message):
    with pytest.raises(UserError, match=message):
        relations.rewired(g, fraction, generator=np.random.default_rng(0))


def test_as_many_edges_as_free_pairs_can_move():
    g = views_graph(2, 2)  # 2 edges on 4 nodes leave 4 pairs
    complement = 1 - np.eye(4) - g.toarray()
    found = relations.rewired(complement[:3, :3], 1 / 2, generator=np.random.default_rng(0))
    assert edges(found) != edges(sparse.csr_array(complement[:3, :3]))
    assert found.nnz == 4


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_alignment_is_homophily_beside_its_mean_over_permutations(kind):
    g, labels = random_graph(n=6, density=0.7), np.array([0, 0, 1, 1, 1, 5])
    equal = labels[:, None] == labels
    observed, expected = relations.alignment(kind(g), labels)
    assert observed == pytest.approx((g * equal).sum() / g.sum(), rel=1e-14)
    permuted = [relations.alignment(g, list(p)).observed for p in itertools.permutations(labels)]
    assert expected == pytest.approx(np.mean(permuted), rel=1e-12)


def test_alignment_leaves_out_what_is_unlabelled():
    g, labels = random_graph(n=9, density=0.8), np.array([0, 1, -1, 1, 0, -1, 0, 2, -1])
    known = np.flatnonzero(labels >= 0)
    part = relations.alignment(g[np.ix_(known, known)], labels[known])
    assert relations.alignment(g, labels) == pytest.approx(part, rel=1e-14)


def test_alignment_refuses():
    with pytest.raises(UserError, match="5 labels for a graph of 12 nodes: expected one for each node"):
        relations.alignment(random_graph(), np.zeros(5, dtype=int))
    with pytest.raises(UserError, match="no edge joins two labelled samples"):
        relations.alignment(random_graph(), np.full(12, -1))
    with pytest.raises(UserError, match=r"G\[0, 1\] = 1 but G\[1, 0\] = 0"):
        relations.alignment([[0, 1], [0, 0]], [0, 0])
