import itertools

import numpy as np
import pytest
from scipy import sparse

from spectral_ssl.data import graph
from spectral_ssl.data.augmentation_graph import augmentation_graph, label_error, probe_bound, spectrum
from spectral_ssl.data.partitions import conductance
from spectral_ssl.errors import UserError

KINDS = [np.asarray, sparse.csr_array, sparse.coo_matrix]


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def toy_kernel(rotation=1 / 3):
    """Lightning and cloud: two images, each shown upright or, with probability `rotation`, rotated."""
    return np.kron(np.eye(2), [[1 - rotation, rotation]])


@pytest.mark.parametrize("kind", KINDS)
def test_toy_graph_has_the_printed_values(kind):
    w, kept = augmentation_graph(kind(toy_kernel()))
    assert sparse.issparse(w) == (kind is not np.asarray)
    block = np.array([[2 / 9, 1 / 9], [1 / 9, 1 / 18]])
    np.testing.assert_allclose(dense(w), np.kron(np.eye(2), block), rtol=0, atol=1e-16)
    np.testing.assert_array_equal(kept, np.arange(4))
    np.testing.assert_allclose(graph.degrees(w), [1 / 3, 1 / 6, 1 / 3, 1 / 6], rtol=1e-15)
    normalised = np.array([[2 / 3, np.sqrt(2) / 3], [np.sqrt(2) / 3, 1 / 3]])
    np.testing.assert_allclose(
        dense(graph.normalised_adjacency(w)), np.kron(np.eye(2), normalised), atol=3e-16
    )
    assert conductance(w, [0]) == pytest.approx(1 / 3, rel=1e-14)
    assert conductance(w, [1]) == pytest.approx(2 / 3, rel=1e-14)
    assert conductance(w, [0, 1]) == 0
    assert graph.connected_components(w)[0] == 2


def test_toy_graph_depends_on_the_rotation():
    w, _ = augmentation_graph(toy_kernel(rotation=1 / 2))
    assert abs(w[0, 0] - 2 / 9) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_graph_is_the_sum_over_images(kind):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(6), size=4)
    p[:, 2] = 0
    p /= p.sum(axis=1, keepdims=True)
    prior = np.array([0.1, 0.0, 0.4, 0.5])
    expected = sum(prior[i] * np.outer(p[i], p[i]) for i in range(4))
    w, kept = augmentation_graph(kind(p), prior)
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
        augmentation_graph(np.array(p), prior)


def on_all_points(graph_of_kept, points):
    full = np.zeros((points, points))
    full[np.ix_(graph_of_kept.kept, graph_of_kept.kept)] = dense(graph_of_kept.w)
    return full


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("draws", [2, 3])
def test_frequencies_estimate_w_without_bias(kind, draws):
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]])
    prior = np.array([0.25, 0.75])
    exact = augmentation_graph(p, prior).w
    estimate, plug_in, degrees = np.zeros((3, 3)), np.zeros((3, 3)), []
    for outcome in itertools.product(range(3), repeat=2 * draws):
        chance = np.prod([p[i // draws, x] for i, x in enumerate(outcome)])
        if chance == 0:
            continue
        counts = np.array([np.bincount(half, minlength=3) for half in np.reshape(outcome, (2, draws))])
        found = augmentation_graph(kind(counts / draws), prior, draws=draws)
        biased = on_all_points(augmentation_graph(counts / draws, prior), 3)
        estimate += chance * on_all_points(found, 3)
        plug_in += chance * biased
        degrees.append(np.abs(on_all_points(found, 3).sum(axis=1) - biased.sum(axis=1)).max())
        assert dense(found.w).min() >= 0
    np.testing.assert_allclose(estimate, exact, rtol=0, atol=1e-15)
    biased = (1 - 1 / draws) * exact + np.diag(exact.sum(axis=1)) / draws
    np.testing.assert_allclose(plug_in, biased, rtol=0, atol=1e-15)
    assert np.abs(plug_in - exact).max() > 0.05
    assert max(degrees) < 1e-15


def test_a_point_seen_once_has_no_pair_and_rounding_makes_none():
    p = np.kron(np.eye(7), np.full((1, 3), 1 / 3))  # three draws, all different
    w, kept = augmentation_graph(p, np.random.default_rng(1).dirichlet(np.ones(7)), draws=3)
    assert w.min() == 0
    np.testing.assert_allclose(w.diagonal(), 0, atol=1e-16)
    assert kept.size == 21
    assert w.sum() == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        (1, "1 draws an image make no pair: draw at least 2"),
        (2, "does not hold frequencies in 2 draws: pass the draws"),
    ],
)
def test_draws_must_be_those_of_the_kernel(draws, message):
    with pytest.raises(UserError, match=message):
        augmentation_graph(np.array([[0.25, 0.75]]), draws=draws)


@pytest.mark.parametrize("kind", KINDS)
def test_spectrum_of_the_toy_graph(kind):
    gamma, lambda_ = spectrum(kind(augmentation_graph(toy_kernel()).w), 4)
    np.testing.assert_allclose(gamma, [1, 1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(lambda_, [0, 0, 1, 1], atol=1e-15)


def test_spectrum_is_that_of_the_random_walk():
    rng = np.random.default_rng(4)
    w = augmentation_graph(rng.dirichlet(np.ones(7), size=5)).w
    walk = np.sort(np.linalg.eigvals(w / w.sum(axis=1, keepdims=True)).real)[::-1]
    np.testing.assert_allclose(spectrum(w, 3).gamma, walk[:3], atol=1e-14)


@pytest.mark.parametrize(
    ("w", "k", "message"),
    [
        (np.array([[1.0, 0.5], [0.2, 1.0]]), 1, "w is not symmetric"),
        (np.array([[1.0, -0.5], [-0.5, 1.0]]), 1, "w has a negative weight"),
        (np.eye(2), 3, r"k is 3, more than the number of points \(2\)"),
    ],
)
def test_spectrum_refuses(w, k, message):
    with pytest.raises(UserError, match=message):
        spectrum(w, k)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_label_error_is_the_least_over_all_labellings(kind, seed):
    rng = np.random.default_rng(seed)
    p, prior = rng.dirichlet(np.ones(5), size=6), rng.dirichlet(np.ones(6))
    classes = np.array([0, 2, 2, 0, 7, 7])
    errors = {
        labelling: float((prior[:, None] * p * (np.array(labelling) != classes[:, None])).sum())
        for labelling in itertools.product([0, 2, 7], repeat=5)
    }
    alpha, labels = label_error(kind(p), prior, classes)
    assert alpha == pytest.approx(min(errors.values()), rel=1e-13)
    assert errors[tuple(labels.tolist())] == pytest.approx(alpha, rel=1e-13)


def test_label_error_is_exactly_zero_where_points_tell_their_class():
    p = np.array([[0.1, 0.2, 0.7, 0, 0], [0, 0, 0, 1.0, 0], [0, 0, 0, 0.3, 0.7]])
    alpha, labels = label_error(p, [0.3, 0.7, 0.0], [1, 0, 0])
    assert alpha == 0
    np.testing.assert_array_equal(labels, [1, 1, 1, 0, -1])  # only an image of prior 0 reaches the last
    assert label_error(p[:2], None, [0, 0]).alpha == 0
    assert label_error(np.ones((4, 1)), None, [0, 1, 1, 1]) == (0.25, [1])


@pytest.mark.parametrize("labels", [[0, 1], [0, -1, 1], [0.0, 1.0, 1.0]])
def test_label_error_needs_a_class_for_each_image(labels):
    with pytest.raises(UserError, match="expected a class, an integer from 0, for each of 3 images"):
        label_error(np.eye(3), None, labels)


def test_probe_bound_has_theorem_3_8s_constants():
    assert probe_bound(0.01, 0.5) == (pytest.approx(0.09), pytest.approx(0.18), False)
    assert probe_bound(0.1, 0.4) == (pytest.approx(1.1), pytest.approx(2.2), True)
    assert probe_bound(0.0, 0.5) == (0, 0, False)


@pytest.mark.parametrize("lambda_next", [0.0, 1e-16, -1e-16])
def test_no_gap_bounds_nothing_even_without_label_error(lambda_next):
    assert probe_bound(0.0, lambda_next) == (np.inf, np.inf, True)


@pytest.mark.parametrize(
    ("alpha", "lambda_next", "message"),
    [
        (1.5, 0.5, "alpha is 1.5"),
        (np.nan, 0.5, "alpha is nan"),
        (0.1, -0.5, r"lambda_\{k\+1\} is -0.5"),
        (0.1, np.nan, "is nan"),
    ],
)
def test_probe_bound_refuses(alpha, lambda_next, message):
    with pytest.raises(UserError, match=message):
        probe_bound(alpha, lambda_next)


def test_the_probe_keeps_to_its_bound():
    rng = np.random.default_rng(5)
    classes = np.repeat([0, 1], 10)
    p = np.hstack([0.97 * rng.dirichlet(np.ones(4), 20), 0.03 * rng.dirichlet(np.ones(4), 20)])
    p[10:] = p[10:, ::-1]
    w, _ = augmentation_graph(p)
    alpha, labels = label_error(p, None, classes)
    values, vectors = np.linalg.eigh(graph.normalised_adjacency(w))
    root, top = np.sqrt(w.sum(axis=1))[:, None], vectors[:, -2:]
    scores = top @ top.T @ (root * np.eye(2)[labels])
    error = (p * (scores.argmax(axis=1) != classes[:, None])).sum() / 20
    bound = probe_bound(alpha, 1 - values[-3])
    assert 0 < error <= bound.augmentation < 0.5
    assert not bound.vacuous
