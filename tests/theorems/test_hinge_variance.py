"""The hinge's closed form: an explicit minimiser, and an optimiser of another problem."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems import run
from spectral_ssl.theorems.balestriero2022 import hinge
from spectral_ssl.theorems.instances import relation_graph

N, BETA = 9, 0.7


def turned(angle: float, G: np.ndarray, gamma: float) -> tuple[np.ndarray, float]:
    """Two eigenvectors with the optimal variances, turned by `angle`, and the least loss by the formula."""
    result, rate = cf.vicreg(G, 2, invariance=0.0), 2 * gamma * (N - 1) / N
    values = result.eigenvalues
    variances = 1 + rate / (2 * BETA) * (values.mean() - values)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    least = rate * values.sum() - rate**2 / (4 * BETA) * ((values - values.mean()) ** 2).sum()
    return result.embedding * np.sqrt(variances) @ rotation, float(least)


def test_half_a_right_angle_attains_the_formula_and_others_do_not() -> None:
    G = relation_graph(np.random.default_rng(3), N)
    gamma = 0.9 * N / (4 * (N - 1) * cf.vicreg(G, 2).eigenvalues[-1])
    Z, least = turned(np.pi / 4, G, gamma)
    np.testing.assert_allclose(np.diag(np.cov(Z, rowvar=False)), 1, atol=1e-12)
    assert hinge.objective(Z, G, BETA, gamma) == pytest.approx(least, abs=1e-12)
    for angle in (0.0, 0.3, np.pi / 2):
        assert hinge.objective(turned(angle, G, gamma)[0], G, BETA, gamma) > least + 1e-5
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        for _ in range(50):
            near = Z + size * rng.standard_normal(Z.shape)
            assert hinge.objective(near, G, BETA, gamma) > least


def test_above_the_bound_on_gamma_the_collapsed_embedding_is_better() -> None:
    G = relation_graph(np.random.default_rng(3), N)
    gamma = 3 * N / (4 * (N - 1) * cf.vicreg(G, 2).eigenvalues.mean())
    Z, _ = turned(np.pi / 4, G, gamma / 3)
    assert hinge.objective(Z, G, BETA, gamma) > hinge.objective(1e-9 * Z, G, BETA, gamma)


def test_the_smooth_objective_has_the_gradient_of_finite_differences() -> None:
    rng = np.random.default_rng(4)
    smooth, Z = hinge._smooth(relation_graph(rng, 6), BETA, 0.2), rng.standard_normal((6, 3))
    value, gradient = smooth(Z)
    np.testing.assert_allclose(smooth(3 * Z + 1)[0], value)
    for index in np.ndindex(Z.shape):
        bump = np.zeros_like(Z)
        bump[index] = 1e-6
        slope = (smooth(Z + bump)[0] - smooth(Z - bump)[0]) / 2e-6
        assert np.isclose(gradient[index], slope, rtol=1e-5, atol=1e-8)


def test_a_smaller_variance_saves_less_energy_than_its_hinge_costs() -> None:
    """The proof's step on the diagonal: (1 - sqrt(s))_+ + e A_kk s is least at s = 1 while e A_kk <= 1/2."""
    s = np.linspace(1e-6, 3, 3001)

    def least(slope: float) -> float:
        return float(s[np.argmin(np.maximum(0, 1 - np.sqrt(s)) + slope * s)])

    assert least(0.5) == pytest.approx(1, abs=2e-3)
    assert least(0.05) == pytest.approx(1, abs=2e-3)
    assert least(1.0) == pytest.approx(1 / 4, abs=2e-3)  # above it at 1 / (2 e A_kk)^2


def test_without_energy_only_uncorrelated_wide_dimensions_are_free() -> None:
    rng = np.random.default_rng(5)
    wide, other = hinge._without_energy(relation_graph(rng, 8), 3, rng)
    assert wide < 1e-12
    assert other > 1e-3
    assert hinge._null_direction(rng) < 1e-9


@pytest.mark.parametrize("wrong", ["double covariance weight", "half the energy", "a lower loss"])
def test_another_problem_is_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth: Callable = hinge._smooth
    if wrong == "double covariance weight":
        monkeypatch.setattr(hinge, "_smooth", lambda G, beta, gamma: smooth(G, 2 * beta, gamma))
    elif wrong == "half the energy":
        monkeypatch.setattr(hinge, "_smooth", lambda G, beta, gamma: smooth(G, beta, gamma / 2))
    else:
        monkeypatch.setattr(hinge, "_least_with_hinge", lambda *_: 0.0)
    assert run("balestriero2022/laplacian-eigenmaps-hinge", instances=1).verdict == "fails"
