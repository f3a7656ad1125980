"""The optimisers, the search for violations and the fitted exponents, on problems whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems import rates
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.families import weighted
from spectral_ssl.theorems.optimise import OPTIMISERS, minimise
from spectral_ssl.theorems.search import climb, search

Array = np.ndarray


def gram_objective(G: Array) -> object:
    def at(Z: Array) -> tuple[float, Array]:
        residual = G - Z @ Z.T
        return float((residual**2).sum()), -4 * residual @ Z

    return at


def test_every_optimiser_finds_the_minimum_from_its_own_starts() -> None:
    rng = np.random.default_rng(0)
    G = weighted(rng, 9)
    best = minimise(gram_objective(G), (9, 2), rng, restarts=4)  # type: ignore[arg-type]
    assert {name: len(losses) for name, losses in best.losses.items()} == dict(
        zip(OPTIMISERS, (4, 2, 2), strict=True)
    )
    for losses in best.losses.values():
        assert min(losses) == pytest.approx(cf.simclr(G, 2).loss, rel=1e-9)
    assert best.spread >= 0


def test_evidence_tells_a_wrong_closed_form_from_a_right_one() -> None:
    rng = np.random.default_rng(1)
    G = weighted(rng, 9)
    best, scale = minimise(gram_objective(G), (9, 2), rng), float((G**2).sum())  # type: ignore[arg-type]
    right, wrong = Optimum(), Optimum()
    right.see("weighted", cf.simclr(G, 2), best, scale, centre=False)
    wrong.see("weighted", cf.simclr(G, 1), best, scale, centre=False)
    assert right.value < 1e-6
    assert right.detail()["reached by quasi-Newton"] == 1.0
    assert set(right.detail()) >= {"loss gap", "principal angle", "family weighted"}
    assert wrong.gap.value > 1e-3
    assert wrong.angle.value == pytest.approx(np.pi / 2)
    tied = Optimum()
    tied.see("weighted", cf.simclr(G, 1), best, scale, centre=False, tied=True)
    assert tied.angle.value == 0
    assert tied.value > 1e-3


def test_the_worst_hides_nothing() -> None:
    worst = Worst()
    assert worst.value == -np.inf
    worst.see("a", 1.0, 0.5)
    worst.see("b", 0.2)
    worst.see("a", 0.3)
    assert (worst.value, worst.detail()) == (1.0, {"family a": 1.0, "family b": 0.2})
    worst.see("b", float("nan"))
    assert worst.value == np.inf


def test_a_search_finds_a_known_maximum_and_crosses_a_false_bound() -> None:
    def ratio(x: Array) -> float:  # at most 1, by Cauchy and Schwarz, at equal entries
        return float(x.sum() ** 2 / (x.size * (x**2).sum()))

    starts = [np.array([1.0, -1.0, 0.5, 2.0])]
    assert 0.99 < search(ratio, starts, np.random.default_rng(0)).ratio <= 1 + 1e-12

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return x.sum() ** 2 / (x.numel() * (x**2).sum())

    found = climb(smooth, starts)
    assert found.ratio == pytest.approx(1.0, abs=1e-6)
    assert np.ptp(found.point) < 1e-2 * abs(found.point).max()
    false = climb(lambda x: 1.2 * smooth(x), starts)
    assert false.ratio > 1.1


def test_a_search_drifts_over_plateaus_and_survives_undefined_values() -> None:
    def steps(x: Array) -> float:
        return float(np.floor(x[0])) if x[0] > 0 else np.nan

    assert search(steps, [np.array([0.5])], np.random.default_rng(0), evaluations=400).ratio >= 3


def test_an_exact_power_has_its_exponent_and_no_width() -> None:
    sizes = (10, 20, 40, 80)
    rate = rates.fit(sizes, 3 * np.array(sizes, float) ** -0.5)
    assert rate.exponent == pytest.approx(-0.5)
    assert rate.high - rate.low < 1e-9
    noisy = rates.fit(sizes, np.array([1.0, 0.9, 0.4, 0.35]))
    assert noisy.low < noisy.exponent < noisy.high
    assert noisy.farthest(noisy.low) == noisy.high
    assert set(noisy.detail("in n")) == {"in n", "in n: low", "in n: high"}


def test_a_bootstrap_interval_covers_the_exponent_and_shrinks_with_repeats() -> None:
    rng = np.random.default_rng(0)
    sizes = (10, 40, 160)
    few, many = (
        rates.fit_samples(sizes, [rng.exponential(1 / n, repeats) for n in sizes], rng)
        for repeats in (20, 2000)
    )
    assert many.low < -1 < many.high
    assert many.high - many.low < 0.3 * (few.high - few.low)
    assert np.isnan(rates.fit_samples(sizes, [-np.ones(5)] * 3, rng).exponent)
