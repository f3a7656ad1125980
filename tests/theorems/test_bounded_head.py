"""Least squares in a ball: free inside it, on its surface with one multiplier, and never beaten by others."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_ssl.theorems.haochen2021 import labels
from spectral_ssl.theorems.haochen2021.labels import bounded_head


def instance() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((30, 4)) * [3.0, 1.0, 0.3, 0.1], rng.standard_normal((30, 2))


def test_a_wide_ball_leaves_least_squares_alone() -> None:
    f, targets = instance()
    free = np.linalg.lstsq(f, targets, rcond=None)[0]
    np.testing.assert_allclose(bounded_head(f, targets, 1.01 * (free**2).sum()), free, atol=1e-12)


@pytest.mark.parametrize("radius", [1e-3, 0.05, 1.0])
def test_a_narrow_ball_is_met_at_its_surface_with_one_multiplier(radius: float) -> None:
    f, targets = instance()
    B = bounded_head(f, targets, radius)
    assert (B**2).sum() == pytest.approx(radius, rel=1e-9)
    descent = f.T @ (targets - f @ B)  # outwards along B, or the ball's surface has a better point
    ridge = (descent * B).sum() / (B**2).sum()
    assert ridge > 0
    np.testing.assert_allclose(descent, ridge * B, atol=1e-8 * np.abs(descent).max() + 1e-10)
    rng = np.random.default_rng(1)
    for _ in range(200):
        other = B + 0.3 * np.sqrt(radius) * rng.standard_normal(B.shape)
        other *= np.sqrt(radius / (other**2).sum())
        assert np.linalg.norm(targets - f @ other) > np.linalg.norm(targets - f @ B)


def test_features_that_lack_rank_have_the_head_of_least_norm() -> None:
    f, targets = instance()
    f[:, 3] = f[:, 2]
    B = bounded_head(f, targets, 100.0)
    np.testing.assert_allclose(B, np.linalg.pinv(f) @ targets, atol=1e-12)
    f[:, 2:] = 0
    assert np.isfinite(bounded_head(f, targets, 0.01)).all()


def test_a_ball_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        labels, "bounded_head", lambda f, targets, radius: bounded_head(f, targets, radius / 20)
    )
    outcome = labels.theorem_5_1_labels.measure(np.random.default_rng(0), 10)
    assert not labels.theorem_5_1_labels.passes(outcome.measured)
