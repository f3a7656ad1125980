"""The searched bounds: known answers, and bounds made wrong that families or a search must break."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import ProbeBound, augmentation_graph, probe_bound
from spectral_ssl.theorems import run
from spectral_ssl.theorems.families import TASKS
from spectral_ssl.theorems.haochen2021 import conductance, head, near, probe
from spectral_ssl.theorems.haochen2021.logits import (
    commonest,
    kernel_of,
    minimiser,
    random_logits,
    task_of,
)


def test_the_logits_of_a_positive_kernel_give_it_back() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=5)
    np.testing.assert_allclose(kernel_of(np.log(p)), p, atol=1e-12)


def test_the_dense_minimiser_is_the_closed_form() -> None:
    w = augmentation_graph(np.random.default_rng(0).dirichlet(np.ones(6), size=9)).w
    (F, gamma), closed = minimiser(w, 3), cf.spectral(w, 3)
    np.testing.assert_allclose(gamma[:3], closed.eigenvalues, atol=1e-12)
    np.testing.assert_allclose(F @ F.T, closed.embedding @ closed.embedding.T, atol=1e-10)


def test_the_commonest_nodes_are_kept_and_rows_made_distributions() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.6, 0.0, 0.4], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(commonest(p, 2), [[0.375, 0.625], [0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(commonest(p[:2], 1), [[1.0], [1.0]])
    np.testing.assert_allclose(commonest(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 1), [[1.0], [1.0]])


@pytest.mark.parametrize(
    ("left", "right", "expected"), [(1.0, 2.0, 0.5), (0.0, 0.0, 0.0), (0.1, 0.0, np.inf), (1.0, np.inf, 0.0)]
)
def test_a_share_of_a_bound_of_zero_is_nothing_or_a_violation(
    left: float, right: float, expected: float
) -> None:
    assert probe.share(left, right) == expected


def test_a_head_on_components_has_norm_one() -> None:
    p = np.kron(np.eye(3), np.full((1, 2), 0.5))
    w = augmentation_graph(p).w
    labels = np.repeat(np.arange(3), 2)
    assert head.head_norm(cf.spectral(w, 3).embedding, w, labels) == pytest.approx(1.0, abs=1e-12)
    even = augmentation_graph(np.full((1, 4), 0.25)).w
    assert head.head_norm(cf.spectral(even, 1).embedding, even, np.zeros(4, dtype=np.int64)) == pytest.approx(
        1.0, abs=1e-12
    )
    halves = np.array([0, 0, 1, 1])  # the constant vector's share of both labels: 1/4 each
    assert head.head_norm(cf.spectral(even, 1).embedding, even, halves) == pytest.approx(0.5, abs=1e-12)


def test_the_next_eigenvector_in_place_of_the_last_makes_both_sides_equal() -> None:
    labels = np.repeat(np.arange(2), 6)
    sides = near._Sides(task_of(random_logits(np.random.default_rng(0), labels, 8), labels), 2)
    F = sides.vectors[:, [0, 2]] * np.sqrt(sides.values[[0, 2]])
    left, right = sides.captured(F)
    assert left == pytest.approx(sides.values[1] ** 2 - sides.values[2] ** 2, abs=1e-12)
    assert right == pytest.approx(left, abs=1e-12)


def test_the_bound_on_real_images_is_that_of_the_pipeline() -> None:
    task = TASKS["digits"](np.random.default_rng(0))
    found = probe._theorem_3_8(task, cf.spectral(task.w, 10).embedding)
    lambda_ = 1 - cf.spectral(task.w, 11).eigenvalues[-1]
    assert found["bound"] == pytest.approx(4 * task.alpha / lambda_ + task.alpha, rel=1e-9)
    assert found["error"] <= found["bound"]


def test_a_tenth_of_the_probe_bound_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def tenth(alpha: float, gap: float) -> ProbeBound:
        right = probe_bound(alpha, gap)
        return ProbeBound(right.augmentation / 10, right.vote / 10, right.vacuous)

    monkeypatch.setattr(probe, "probe_bound", tenth)
    assert run("haochen2021/theorem-3.8", instances=2).verdict == "fails"


def test_a_larger_cheeger_constant_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductance, "HIGHER_ORDER_CONSTANT", 30.0)
    assert run("haochen2021/cheeger", instances=3).verdict == "fails"


def test_a_head_twice_as_large_is_found_by_families_and_search(monkeypatch: pytest.MonkeyPatch) -> None:
    right = head.head_norm
    monkeypatch.setattr(head, "head_norm", lambda *arguments: 2 * right(*arguments))
    result = run("haochen2021/theorem-5.1", instances=3)
    assert result.verdict == "fails"
    assert float(result.detail["tightness found by search"]) > 1


def test_a_near_minimiser_bound_without_its_gap_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    right = near._Sides.captured

    def doubled(sides: near._Sides, F: np.ndarray) -> tuple[float, float]:
        lost, excess = right(sides, F)
        return 2 * lost, excess

    monkeypatch.setattr(near._Sides, "captured", doubled)
    assert run("haochen2021/theorem-4.2", instances=9).verdict == "fails"


def test_the_misprints_have_their_numbers() -> None:
    detail = run("haochen2021/lemma-3.2", instances=3).detail
    assert float(detail["misprint: no square"]) > 1e-4
    assert float(detail["misprint: sphere for ball"]) > 0.01
    assert (
        float(run("haochen2021/singleton-conductance", instances=1).detail["smallest counterexample's rho_N"])
        == 0.5
    )
