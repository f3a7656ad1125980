"""Learning from samples: excess losses against direct sums, bounds that hold, and samples drawn wrongly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems import run
from spectral_ssl.theorems.haochen2021 import excess, labels, network, sampling
from spectral_ssl.theorems.haochen2021.excess import FunctionClass, empirical_loss
from spectral_ssl.theorems.haochen2021.labels import Labelled


def kernel(images: int = 12, nodes: int = 6) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(nodes, 0.5), size=images)


def test_the_excess_of_a_head_is_the_difference_of_expected_squares() -> None:
    p, classes = kernel(), np.arange(12) % 3
    one = Labelled(p, classes, 3)
    B = one.best + 0.1 * np.random.default_rng(1).standard_normal(one.best.shape)

    def loss(head: np.ndarray) -> float:
        targets = np.eye(3)[classes]
        squares = ((targets[:, None] - (one.f @ head)[None]) ** 2).sum(axis=2)
        return float((p * squares).sum() / len(p))

    assert loss(B) - loss(one.best) == pytest.approx(one.gamma @ ((B - one.best) ** 2).sum(axis=1), abs=1e-12)
    assert (one.best**2).sum() <= 1 / one.gamma[-1]


def test_the_excess_tends_to_its_limit_and_stays_below_its_bound() -> None:
    one = Labelled(kernel(), np.arange(12) % 3, 3)
    found = one.excess(20_000, 400, np.random.default_rng(2))
    assert found.mean() * 20_000 == pytest.approx(one.limit, rel=0.15)
    assert found.mean() < one.bound / np.sqrt(20_000)


def test_mixing_in_the_mean_kernel_scales_the_eigenvalues_alone() -> None:
    p = kernel()
    mixed = 0.5 * p + 0.5 * p.mean(axis=0)
    before, after = (cf.spectral(augmentation_graph(one).w, 4) for one in (p, mixed))
    np.testing.assert_allclose(after.eigenvalues[1:], before.eigenvalues[1:] / 4, atol=1e-12)
    assert cf.largest_angle(before.embedding, after.embedding) < 1e-6


def test_a_bound_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Low(Labelled):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self.bound /= 1e4

    monkeypatch.setattr(labels, "Labelled", Low)
    assert run("haochen2021/theorem-5.1-labels", instances=1).verdict == "fails"


@pytest.mark.parametrize("width", [6, 3])
def test_deviations_over_the_ball_stay_below_half_the_excess_bound(width: int) -> None:
    rng, p, n = np.random.default_rng(3), kernel(), 60
    w, phi = augmentation_graph(p).w, np.linalg.qr(rng.standard_normal((6, 6)))[0][:, :width]
    one, largest = FunctionClass(p, w, phi), []
    for _ in range(200):
        objective = empirical_loss(p, np.bincount(rng.integers(12, size=n), minlength=12).astype(float))
        tried = rng.standard_normal((20, width, 3))
        tried *= one.b / np.linalg.norm(tried, axis=(1, 2), keepdims=True)
        largest.append(max(abs(objective(phi @ W)[0] - one.loss(W)) for W in tried))
    assert 0 < np.mean(largest) <= one.bound / 2 / np.sqrt(n)
    assert one.excess(n, rng, restart=True) >= -1e-9


def test_a_class_that_contains_another_has_the_lower_loss() -> None:
    p = kernel(40, excess.NODES)
    w = augmentation_graph(p).w
    wide = FunctionClass(p, w, np.eye(excess.NODES))
    narrow = FunctionClass(p, w, excess._features(np.random.default_rng(0), w))
    assert wide.least < narrow.least
    assert wide.least == pytest.approx(-(cf.spectral(w, 3).eigenvalues ** 2).sum(), abs=1e-12)


def test_losses_that_do_not_vary_are_exact_or_wrong() -> None:
    p, rng = np.full((5, 4), 0.25), np.random.default_rng(0)
    f = rng.standard_normal((4, 2))
    w = augmentation_graph(p).w
    assert sampling.standard_errors(p, f, w, 10, rng, "distinct") == 0
    other = augmentation_graph(np.eye(4)).w
    assert sampling.standard_errors(p, f, other, 10, rng, "distinct") == np.inf


def test_a_biased_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sampling._losses
    monkeypatch.setattr(sampling, "_losses", lambda *arguments: 1.05 * right(*arguments))
    assert run("haochen2021/theorem-4.1", instances=1).verdict == "fails"


def test_pairs_are_drawn_as_often_as_their_weights() -> None:
    p = kernel()
    pairs = network._pairs(p, np.random.default_rng(0))
    counts = np.zeros((6, 6))
    np.add.at(counts, tuple(pairs.permute(1, 0, 2).reshape(2, -1).numpy()), 1)
    np.testing.assert_allclose(counts / counts.sum(), augmentation_graph(p).w, atol=0.01)


def test_pairs_of_a_view_with_itself_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = network._pairs

    def same(p: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        return right(p, rng)[:, :1].expand(-1, 2, -1)

    monkeypatch.setattr(network, "_pairs", same)
    assert run("haochen2021/network-recovers-eigenspace", instances=2).verdict == "fails"
