"""The directed neighbour graph, and the objective that NNCLR's optimum is compared on."""

from __future__ import annotations

import numpy as np

from spectral_ssl.theorems.balestriero2022.neighbours import nearest
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective


def test_neighbours_on_a_line_are_not_mutual() -> None:
    A = nearest(np.array([[0.0], [1.0], [3.0], [7.0]]), 1)
    np.testing.assert_array_equal(A, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])


def test_the_gradient_on_a_directed_graph_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    A, Z, step = nearest(rng.standard_normal((8, 2)), 2), rng.standard_normal((8, 3)), 1e-6
    value, gradient = gram_objective(A)(Z)
    assert np.isclose(value, np.linalg.norm(A - Z @ Z.T) ** 2)
    for index in np.ndindex(Z.shape):
        bump = np.zeros_like(Z)
        bump[index] = step
        slope = (gram_objective(A)(Z + bump)[0] - gram_objective(A)(Z - bump)[0]) / (2 * step)
        assert np.isclose(gradient[index], slope, rtol=1e-5, atol=1e-5)
    symmetric_only = -4 * (A - Z @ Z.T) @ Z
    assert np.abs(gradient - symmetric_only).max() > 0.1
