"""The empirical loss as a function of f: against the sum over pairs, its gradient, and a loss that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_ssl.theorems.haochen2021 import excess
from spectral_ssl.theorems.haochen2021.excess import empirical_loss


def instance() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(5), size=4), np.array([2.0, 0.0, 1.0, 3.0]), rng.standard_normal((5, 2))


def test_the_loss_is_the_sum_over_pairs_of_draws() -> None:
    p, counts, f = instance()
    draws = np.repeat(np.arange(4), counts.astype(int))
    products = (f @ f.T) ** 2
    pairs = [p[i] @ products @ p[j] for a, i in enumerate(draws) for b, j in enumerate(draws) if a != b]
    attraction = np.mean([np.sum((p[i] @ f) ** 2) for i in draws])
    assert empirical_loss(p, counts)(f)[0] == pytest.approx(-2 * attraction + np.mean(pairs), abs=1e-12)
    own = np.mean([p[i] @ products @ p[i] for i in draws])
    wrong = empirical_loss(p, counts, negatives="positives")(f)[0]
    assert wrong == pytest.approx(-2 * attraction + own, abs=1e-12)
    assert abs(wrong - empirical_loss(p, counts)(f)[0]) > 0.01


@pytest.mark.parametrize("negatives", ["distinct", "positives"])
def test_the_gradient_is_that_of_finite_differences(negatives: str) -> None:
    p, counts, f = instance()
    objective, step = empirical_loss(p, counts, negatives=negatives), 1e-6
    gradient = objective(f)[1]
    for index in np.ndindex(f.shape):
        bump = np.zeros_like(f)
        bump[index] = step
        slope = (objective(f + bump)[0] - objective(f - bump)[0]) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_a_biased_repulsion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(p: np.ndarray, counts: np.ndarray, *, negatives: str = "distinct") -> object:
        right, wrong = empirical_loss(p, counts), empirical_loss(p, counts, negatives="positives")
        return lambda f: tuple((one + other) / 2 for one, other in zip(right(f), wrong(f), strict=True))

    monkeypatch.setattr(excess, "empirical_loss", halved)
    outcome = excess.theorem_4_1_excess.measure(np.random.default_rng(0), 1)
    assert not excess.theorem_4_1_excess.passes(outcome.measured)
