"""Garrido et al.'s statements: misprints by hand, and changed losses that the checks must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.terms import Terms
from spectral_ssl.theorems import run
from spectral_ssl.theorems.check import find
from spectral_ssl.theorems.garrido2023 import (
    criteria,
    disguises,
    exponential,
    losses,
    normalisation,
    norms,
    sphere,
    trained,
    welch,
)
from spectral_ssl.theorems.garrido2023.bounds import Bounds

PAPER = "garrido2023"


def fails(statement: str, **options: int) -> bool:
    return run(f"{PAPER}/{statement}", **options).verdict == "fails"


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("statement", ["double-normalisation", "table-1", "welch"])
def test_few_instances_are_enough_to_tell(statement: str, instances: int) -> None:
    result = run(f"{PAPER}/{statement}", instances=instances, seed=3)
    assert result.ok, result


def test_the_counterexample_to_the_printed_form() -> None:
    detail = run(f"{PAPER}/double-normalisation", instances=1).detail
    assert detail["counterexample M = 2, N = 1: L_nc - L_c"] == pytest.approx(0.5)
    assert detail["counterexample M = 2, N = 1: N - M"] == -1
    assert float(detail["misprint: N - M"]) > 1e-3


def test_misprints_by_hand() -> None:
    # Two views, unit columns at 60 degrees: off-diagonals 1/4 each; the diagonals' squares, 1 each, are printed.
    z = np.array([[1.0, 0.5], [0.0, np.sqrt(0.75)]])
    twins = disguises.term("barlow_twins", "redundancy", z, z, lambda_=1.0, center=False)
    assert twins == pytest.approx(0.5)
    found = disguises.misprints(np.random.default_rng(0))
    assert min(found.values()) > 1e-4
    # (N - 1)^2 = 64 times too small: |1 - 64| / 65.
    assert found["Cov^2 as L_nc, no (N - 1)^2"] == pytest.approx(63 / 65)
    shown = run(f"{PAPER}/equations-11-13", instances=4).detail
    assert float(shown["misprint: DCL's negatives of the other view"]) > 1e-4


def test_the_bound_between_dcl_and_l_c_by_hand() -> None:
    # Equiangular samples: all similarities are -1/2, R - N log(N - 1) = N s^2 / tau, which is the lower end.
    angles = 2 * np.pi * np.arange(3) / 3
    simplex = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)]))
    assert float(disguises.excess("dcl_sq", simplex.T, 0.5)) == pytest.approx(3 * 0.25 / 0.5)
    found = disguises.sample_sides(simplex, "sq", 0.5)
    assert float(found["DCL-sq, lower"]) == pytest.approx(1, abs=1e-6)
    # Two samples at 60 degrees, c = 1: A has 9/4 and 7/4 and, off it, sqrt(3)/4; the gap is log(63/60) / 2.
    matrix = torch.tensor([[1.0, 0.5], [0.0, 3**0.5 / 2]], dtype=torch.float64)
    assert float(disguises.rate_gap(matrix, 1.0)) == pytest.approx(0.5 * np.log(63 / 60))


def test_wrong_fourth_powers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criteria, "fourth_powers", lambda matrix, axis: float((matrix**4).sum()))
    assert fails("theorem-3.3", instances=6)
    monkeypatch.setattr(norms, "powers", lambda matrix, axis: matrix.pow(4).sum())
    assert fails("lemma-3.4", instances=6)


def test_a_wrong_criterion_breaks_the_welch_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    right = criteria.sample_contrastive
    monkeypatch.setattr(criteria, "sample_contrastive", lambda z, **options: right(z, **options) * 0.99)
    assert fails("welch", instances=3)


def test_unbalanced_rows_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criteria, "balance", criteria.unit_columns)
    assert fails("double-normalisation", instances=4)
    assert fails("gradient-equivalence", instances=4)


def with_factor(name: str, factor: float) -> Callable[[str], Any]:
    """`get_loss`, one term of every loss multiplied."""

    def get(loss: str) -> Any:
        def compute(*args: Any, **options: Any) -> Terms:
            terms = get_loss(loss)(*args, **options)
            return Terms({key: factor * value if key == name else value for key, value in terms.items()})

        return compute

    return get


@pytest.mark.parametrize(
    ("module", "term", "statement"),
    [
        (losses, "covariance", "equation-10"),
        (losses, "variance", "equation-10"),
        (disguises, "repulsion", "proposition-3.2"),
        (disguises, "redundancy", "proposition-3.2"),
        (disguises, "covariance", "proposition-3.2"),
        (disguises, "covariance", "equations-11-13"),
        (disguises, "invariance", "equations-11-13"),
    ],
)
def test_a_wrong_loss_is_found(
    module: Any, term: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bounds, "climb", lambda *_, **__: {})
    monkeypatch.setattr(module, "get_loss", with_factor(term, 1.01))
    assert fails(statement, instances=3)


def test_a_wrong_coding_rate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounds, "climb", lambda *_, **__: {})
    right = disguises.coding_rate
    monkeypatch.setattr(disguises, "coding_rate", lambda z, distortion: right(z, distortion / 2))
    assert fails("proposition-3.2", instances=3)


def test_negatives_of_the_other_view_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = exponential.term

    def crossed(*args: Any, **options: Any) -> float:
        if options.get("negatives") == "same_view":
            z, rng = args[2], np.random.default_rng(0)
            args = (*args[:3], z + 0.1 * rng.standard_normal(z.shape))
            options["negatives"] = "cross_view"
        return right(*args, **options)

    monkeypatch.setattr(exponential, "term", crossed)
    assert fails("equations-11-13", instances=3)


def test_other_normalisations_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = normalisation.normalise_embeddings
    monkeypatch.setattr(normalisation, "normalise_embeddings", lambda z, **options: 2 * right(z, **options))
    assert fails("table-1", instances=1)
    monkeypatch.setattr(normalisation, "normalise_embeddings", lambda z, **options: z)
    assert fails("table-1", instances=1)


def test_a_loss_whose_optimum_is_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "SIZES", ((8, 4),))
    monkeypatch.setattr(trained, "NETWORK_SIZES", ())
    assert run(f"{PAPER}/proposition-3.1").ok
    right = trained.vectors
    # The spectral repulsion does not centre, so that its optimum has another mean.
    monkeypatch.setattr(
        sphere.trained, "vectors", lambda *args, **options: right(*args, **(options | {"loss": "spectral"}))
    )
    assert fails("proposition-3.1")


def test_every_statement_reports_families_and_bounds_their_tightness() -> None:
    for name in ("lemma-3.4", "corollary-3.4.1", "welch"):
        one = find(f"{PAPER}/{name}")
        detail = one.measure(np.random.default_rng(0), 20).detail
        assert {"tightness", "tightness found by search", "family digits", "shape N < M"} <= set(detail)
        assert 0.99 < float(detail["tightness found by search"]) <= 1
    assert welch.welch.identifier == f"{PAPER}/welch"
