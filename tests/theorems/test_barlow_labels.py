"""What the discriminant check rests on: correlations with class indicators, and what a zero diagonal does."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022 import correlation
from spectral_ssl.theorems.balestriero2022.cases import class_graph, discriminant_axes, gaussian_classes

SIZES = [[9, 9, 9], [5, 14, 8]]


def canonical_correlations(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of centred X with the classes' centred indicators, by orthonormal bases."""
    onehot = np.eye(labels.max() + 1)[labels]
    return np.linalg.svd(cf.span(X - X.mean(0)).T @ cf.span(onehot - onehot.mean(0)), compute_uv=False)


def of_the_graph(X: np.ndarray, labels: np.ndarray, *, own: bool) -> np.ndarray:
    onehot = np.eye(labels.max() + 1)[labels]
    G = (onehot / onehot.sum(0)) @ onehot.T
    if not own:
        np.fill_diagonal(G, 0.0)
        return cf.barlow_twins(G, 2, X=X).eigenvalues
    return cf.barlow_twins(np.kron([[0, 1], [1, 0]], G), 2, X=np.vstack([X, X])).eigenvalues


@pytest.mark.parametrize("sizes", SIZES)
def test_pairs_with_oneself_give_the_squared_correlations_with_the_indicators(sizes: list[int]) -> None:
    X, labels = gaussian_classes(np.random.default_rng(1), sizes, 4, 1.0)
    np.testing.assert_allclose(
        of_the_graph(X, labels, own=True), canonical_correlations(X, labels) ** 2, atol=1e-12
    )


@pytest.mark.parametrize(("sizes", "exact"), [(SIZES[0], True), (SIZES[1], False)])
def test_a_zero_diagonal_is_one_shift_of_all_correlations_only_if_balanced(
    sizes: list[int], exact: bool
) -> None:
    X, labels = gaussian_classes(np.random.default_rng(1), sizes, 4, 1.0)
    share = len(sizes) / len(X)
    shifted = (canonical_correlations(X, labels) ** 2 - share) / (1 - share)
    assert np.allclose(of_the_graph(X, labels, own=False), shifted, atol=1e-12) == exact


def test_other_axes_than_the_discriminant_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def principal(X: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
        return np.linalg.svd(X - X.mean(0))[2][:k].T

    monkeypatch.setattr(correlation, "discriminant_axes", principal)
    assert correlation.barlow_lda.measure(np.random.default_rng(0), 1).measured > 0.1


def test_the_axes_are_scikit_learns() -> None:
    X, labels = gaussian_classes(np.random.default_rng(2), SIZES[1], 5, 1.0)
    scores = LinearDiscriminantAnalysis(solver="svd").fit(X, labels).transform(X)
    axes = discriminant_axes(X, labels, 2)
    assert cf.largest_angle((X - X.mean(0)) @ axes, scores) < 1e-6


def test_five_points_whose_discriminant_direction_a_zero_diagonal_turns() -> None:
    X, labels = correlation.SMALLEST
    within = np.array([[8 / 3, -1.0], [-1.0, 6.0]])  # by hand: S_w, and w = S_w^-1 (difference of the means)
    fisher = np.linalg.solve(within, X[labels == 0].mean(0) - X[labels == 1].mean(0))
    np.testing.assert_allclose(fisher / fisher[1], [6, 1])
    np.testing.assert_allclose(
        cf.largest_angle(discriminant_axes(X, labels, 1), fisher[:, None]), 0, atol=1e-12
    )

    G = class_graph(labels, by_size=True)
    zero = cf.barlow_twins(G, 1, X=X)
    np.testing.assert_allclose(cf.largest_angle(zero.weights, np.array([[0.0], [1.0]])), 0, atol=1e-12)
    np.testing.assert_allclose(zero.eigenvalues, -0.5)
    own = correlation._weights(X, 1, class_graph(labels, by_size=True, own=True))
    np.testing.assert_allclose(cf.largest_angle(own, fisher[:, None]), 0, atol=1e-12)
