"""The mixture of manifolds: its generator, its finite graph, and the sparsest intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spectral_ssl import closed_form as cf
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
    assert interval_conductance(one.w, 3) < 0.02 < interval_conductance(one.w, 4)
    assert one.error(np.zeros(len(one.w), dtype=np.int64)) == pytest.approx(1 - masses[0], abs=1e-12)


def test_label_noise_is_its_leading_term_where_noise_is_small() -> None:
    d, gap = 96, 4.0
    alpha = np.mean(
        [(one := sample(np.random.default_rng(seed), d, gap)).error(one.node_labels) for seed in range(3)]
    )
    scale = manifold.NOISE / (manifold.BEND * d)
    assert alpha == pytest.approx(4 / (3 * np.pi) * scale * np.exp(-(gap**2) / 8), rel=0.1)


def test_the_smaller_gram_matrix_gives_the_minimiser() -> None:
    one = sample(np.random.default_rng(0), 12, 5.0, components=2)
    F, gamma = one.embedding(4)
    closed = cf.spectral(one.w, 4)
    np.testing.assert_allclose(gamma, closed.eigenvalues, atol=1e-10)
    np.testing.assert_allclose(F @ F.T, closed.embedding @ closed.embedding.T, atol=1e-8)


@pytest.mark.parametrize(("change", "factor"), [({"sigma": 0.8}, 2.0), ({"bend": 2.5}, 0.5)])
def test_conductance_follows_noise_over_stretch(change: dict[str, float], factor: float) -> None:
    values = {"sigma": 0.4, "bend": 1.25}
    before, after = (
        interval_conductance(sample(np.random.default_rng(1), 48, 7.0, components=2, **kind).w, 3)
        for kind in (values, values | change)
    )
    assert after / before == pytest.approx(factor, rel=0.1)


def test_noise_is_normal_along_the_curve_and_across_it() -> None:
    latent = np.linspace(0, 6, 4000)
    natural = np.stack([latent, 0 * latent, 0 * latent], axis=1)
    drawn = manifold._noise(natural, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(drawn.mean(axis=0), [0, 0, 0], atol=0.06)
    assert abs(drawn[:, 0].mean()) < 2e-3  # evenly spread


def test_noise_that_does_not_shrink_with_the_dimension_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sample
    monkeypatch.setattr(manifold, "sample", lambda rng, d, gap, **other: right(rng, 12, gap, **other))
    assert manifold.theorem_3_11.measure(np.random.default_rng(0), 1).measured > 0.5
