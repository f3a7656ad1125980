"""The mixture of manifolds: its generator, its finite graph, and the sparsest intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spectral_ssl.data.partitions import conductance, partition_conductances
from spectral_ssl.theorems.haochen2021 import manifold
from spectral_ssl.theorems.haochen2021.manifold import curve, interval_conductance, sample
from spectral_ssl.theorems.instances import augmentation_weights


def test_the_generator_is_bi_lipschitz_with_the_stated_constant() -> None:
    rng = np.random.default_rng(0)
    latent = np.sort(rng.uniform(-6, 6, 300))
    points = curve(latent, 7, rng)
    chords = np.linalg.norm(points[:, None] - points[None], axis=2)
    apart = np.abs(latent[:, None] - latent)
    pairs = apart > 0
    ratios = chords[pairs] / apart[pairs]
    assert ratios.min() >= 1 / manifold.BEND - 1e-9
    assert ratios.max() <= manifold.BEND + 1e-9
    assert ratios.max() > 0.999 * manifold.BEND  # neighbours: the speed along the curve


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_intervals_agree_with_trying_them_all(parts: int) -> None:
    w = augmentation_weights(np.random.default_rng(parts), 12, 8)
    n = len(w)
    tried = [
        max(conductance(w, range(first, last)) for first, last in itertools.pairwise((0, *cuts, n)))
        for cuts in itertools.combinations(range(1, n), parts - 1)
    ]
    assert interval_conductance(w, parts) == pytest.approx(min(tried), abs=1e-12)
    assert interval_conductance(w, parts) >= partition_conductances(w)[parts - 1] - 1e-12


def test_the_sampled_graph_is_one_of_probabilities_and_connected_within_components() -> None:
    one = sample(np.random.default_rng(0), 12, 6.0)
    np.testing.assert_allclose(one.p.sum(axis=1), 1, atol=1e-12)
    assert one.w.sum() == pytest.approx(1, abs=1e-12)
    masses = [one.prior[one.labels == label].sum() for label in range(3)]
    np.testing.assert_allclose(masses, 1 / 3, atol=2e-3)  # thirds, but for the tails that cross
    cross = manifold.COMPONENTS
    assert interval_conductance(one.w, cross) < 0.02 < interval_conductance(one.w, cross + 1)
    assert one.error(np.zeros(len(one.w), dtype=np.int64)) == pytest.approx(1 - masses[0], abs=1e-12)


def test_label_noise_is_its_leading_term_where_noise_is_small() -> None:
    d, gap = 96, 4.0
    alpha = np.mean(
        [(one := sample(np.random.default_rng(seed), d, gap)).error(one.node_labels) for seed in range(3)]
    )
    scale = manifold.NOISE / (manifold.BEND * d)
    assert alpha == pytest.approx(4 / (3 * np.pi) * scale * np.exp(-(gap**2) / 8), rel=0.1)


def test_noise_that_does_not_shrink_with_the_dimension_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sample
    monkeypatch.setattr(manifold, "sample", lambda rng, d, gap: right(rng, 12, gap))
    assert manifold.theorem_3_11.measure(np.random.default_rng(0), 1).measured > 0.5
