"""The instances of Balestriero & LeCun's statements, and what decides that an optimum is not determined."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_ssl.theorems import run, statements
from spectral_ssl.theorems.balestriero2022 import cases
from spectral_ssl.theorems.balestriero2022.eigenmaps import connected_instances
from spectral_ssl.theorems.balestriero2022.vicreg import survivors
from spectral_ssl.theorems.families import RELATIONS


def test_all_families_come_in_turn_and_a_few_are_unlike_each_other() -> None:
    assert set(cases.ORDER) == set(RELATIONS)
    drawn = list(cases.graphs(np.random.default_rng(0), 12))
    assert [name for name, _ in drawn] == [*cases.ORDER, "weighted", "complete"]
    left = cases.graphs(np.random.default_rng(0), 9, without=("complete",))
    assert "complete" not in [name for name, _ in left]


def test_linear_instances_have_fewer_features_than_samples_and_real_ones_are_pixels() -> None:
    for name, G, X in cases.linear(np.random.default_rng(1), 20):
        assert X.shape[1] < len(G) == len(X)
        if name in cases.REAL:
            assert X.shape[1] == {"digits": 4, "factors": 12}[name]


def test_pooling_takes_the_means_of_quarters() -> None:
    image = np.kron(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((4, 4)))
    np.testing.assert_array_equal(cases.pooled(image[None, None]), [[1, 2, 3, 4]])


def test_a_cut_between_equal_eigenvalues_is_tied() -> None:
    values = np.array([3.0, 2.0, 2.0, -1.0])
    assert [cases.tied(values, k) for k in (1, 2, 3, 4)] == [False, True, False, False]
    # A Gram factor takes no negative eigenvalue, so that K above the positive ones is determined too ...
    assert not cases.tied(np.array([3.0, 2.0, -1.0, -1.0]), 3, 0.0)
    # ... unless one of them is next to zero, where the objective is of fourth order.
    assert cases.tied(np.array([3.0, 0.01, -1.0, -1.0]), 3, 0.0)
    # VICReg's dimensions vanish at a threshold: negated Laplacian eigenvalues, the smallest first.
    assert not cases.tied(-np.array([1.0, 2.0, 3.0, 3.0]), 3, -2.5)
    assert cases.tied(-np.array([1.0, 2.0, 3.0, 3.0]), 3, -5.0)


def test_survivors_keeps_at_least_one_dimension_and_none_near_its_threshold() -> None:
    rng, values = np.random.default_rng(2), np.array([0.0, 1.0, 1.0, 3.0])
    kept = set()
    for _ in range(200):
        threshold = 1 / survivors(rng, values, 4, 1.0)
        assert np.abs(values / threshold - 1).min() > 0.02
        kept.add(int((values < threshold).sum()))
    assert kept == {1, 3, 4}


def test_connected_instances_are_connected_with_a_clear_cut() -> None:
    for name, G, k, values in connected_instances(np.random.default_rng(3), 16, (8, 12), (1, 4)):
        assert name not in ("complete", "disconnected")
        assert values[0] > 1e-9
        assert 1 <= k < 4
        assert len(values) == len(G) - 1
        if name != "near-degenerate":
            assert values[k] - values[k - 1] > 0.02 * values[-1]


def test_classes_are_sorted_and_as_large_as_asked() -> None:
    for index in range(6):
        _, X, labels = cases.labelled(np.random.default_rng(index), index, 3, balanced=index > 2)
        assert len(X) == len(labels)
        assert (np.diff(labels) >= 0).all()
        assert (len(set(np.bincount(labels))) == 1) == (index > 2)


FEW = [
    name for name in statements() if name.startswith("balestriero2022") and not name.endswith("complexity")
]


@pytest.mark.parametrize("identifier", FEW)
def test_a_single_instance_of_another_seed_gives_the_known_verdict(identifier: str) -> None:
    result = run(identifier, instances=1, seed=7)
    assert result.ok, result
    assert result.control_verdict == "fails", result


@pytest.mark.parametrize("name", ["lpp", "barlow-lda"])
def test_a_seed_gives_the_same_numbers_again(name: str) -> None:
    first, again = (run(f"balestriero2022/{name}", instances=3, seed=5) for _ in range(2))
    assert first.detail == again.detail
    assert first.detail != run(f"balestriero2022/{name}", instances=3, seed=6).detail
