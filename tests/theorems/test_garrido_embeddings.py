"""The families of embeddings: what they promise, and the searches over them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from spectral_ssl.theorems.garrido2023 import trained
from spectral_ssl.theorems.garrido2023.bounds import Bounds, ratio, unit
from spectral_ssl.theorems.garrido2023.embeddings import MATRICES, SHAPES, Embedding, embeddings
from spectral_ssl.theorems.garrido2023.norms import corollary_sides, lemma_sides
from spectral_ssl.theorems.instances import balance


@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 5), (5, 2), (7, 7), (5, 12), (12, 4)])
@pytest.mark.parametrize("family", MATRICES)
def test_every_family_has_every_shape_and_no_empty_row(family: str, m: int, n: int) -> None:
    matrix = MATRICES[family](np.random.default_rng(0), m, n)
    assert matrix.shape == (m, n)
    assert np.linalg.norm(matrix, axis=0).min() > 0
    assert np.linalg.norm(matrix, axis=1).min() > 0


@pytest.mark.parametrize(("m", "n"), [(2, 5), (3, 4), (5, 12)])
def test_tight_frames_are_tight(m: int, n: int) -> None:
    frame = MATRICES["tight frame"](np.random.default_rng(0), m, n)
    np.testing.assert_allclose(frame @ frame.T, n / m * np.eye(m), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(frame, axis=0), 1, atol=1e-12)
    assert np.linalg.matrix_rank(MATRICES["low rank"](np.random.default_rng(0), m + 1, n)) <= m


@pytest.mark.parametrize("left_out", [(), ("sparse",), ("sparse", "digits")])
def test_each_family_goes_through_each_shape(left_out: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    count = len(SHAPES) * (len(MATRICES) - len(left_out))
    seen = {(one.family, one.shape) for one in embeddings(rng, count, least=3, leave_out=left_out)}
    assert seen == {(name, kind) for name in MATRICES if name not in left_out for kind in SHAPES}
    for one in embeddings(rng, 6, least=3):
        m, n = one.matrix.shape
        assert min(m, n) >= 3
        assert one.shape == SHAPES[int(np.sign(n - m)) + 1]


def test_balancing_by_hand() -> None:
    np.testing.assert_allclose(balance(np.array([[3.0], [3.0]])), np.sqrt(0.5) * np.ones((2, 1)))
    matrix = balance(np.random.default_rng(0).standard_normal((3, 5)))
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), np.sqrt(5 / 3), atol=1e-12)


def test_ratios_by_hand() -> None:
    # Two samples in two dimensions, at 60 degrees: rows' squares 5/4 and 3/4, sum of fourth powers 34/16.
    matrix = torch.tensor([[1.0, 0.5], [0.0, 3**0.5 / 2]], dtype=torch.float64)
    for sides in (lemma_sides, corollary_sides):
        found = sides(matrix)
        assert float(found["columns, lower"]) == pytest.approx(2 / (34 / 16), abs=1e-8)
        assert float(found["columns, upper"]) == pytest.approx(34 / 64, abs=1e-8)
    one, none = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    assert float(ratio(one, one, 1.0)) < 1
    assert float(ratio(one * (1 + 1e-9), one, 1.0)) > 1
    assert float(ratio(none, none, 1.0)) < 0
    assert float(ratio(one, none, 1.0)) > 1


def wrong_sides(matrix: torch.Tensor) -> Mapping[str, torch.Tensor]:
    """The lemma's upper end, lowered by a tenth: no Gaussian matrix breaks it."""
    n, columns = matrix.shape[1], unit(matrix, 0)
    value = columns.square().sum(dim=1).square().sum()
    return {"right": value / n**2, "wrong": value / (0.9 * n**2)}


def test_a_bound_that_random_instances_keep_is_broken_by_the_search() -> None:
    rng, bounds = np.random.default_rng(0), Bounds()
    for _ in range(20):
        matrix = rng.standard_normal((6, 9))
        bounds.see(Embedding("gaussian", "N > M", matrix), wrong_sides(torch.from_numpy(matrix)))
    assert bounds.violations == 0
    bounds.climb(wrong_sides, rng)
    assert bounds.violations == 1
    assert bounds.searched.by_family["right"] <= 1 < bounds.detail()["found by search: wrong"]
    assert bounds.detail()["tightness"] < 0.9


def test_a_ratio_that_is_not_a_number_counts_as_broken() -> None:
    bounds = Bounds()
    bounds.see(Embedding("gaussian", "N > M", np.eye(2)), {"side": torch.tensor(float("nan"))})
    assert bounds.violations == 1
    bounds.climb(lambda matrix: {"side": matrix.sum() * float("nan")}, np.random.default_rng(0))
    assert bounds.violations == 2


def test_trained_vectors_by_hand() -> None:
    # Three points on a circle: similarities -1/2. Four on a line: all squares 1, where the plane has 1/3.
    z = trained.vectors(np.random.default_rng(0), 3, 2)
    np.testing.assert_allclose(z @ z.T, 1.5 * np.eye(3) - 0.5, atol=1e-5)
    assert max(trained.moment_errors(z, z)) < 1e-5
    line = trained.vectors(np.random.default_rng(0), 4, 2, kept=1)
    assert trained.moment_errors(line, line)[1] == pytest.approx(2)


def test_the_network_learns_what_the_vectors_do() -> None:
    embed = trained.network(np.random.default_rng(1), 5, 4)
    before, after = embed(False), embed(True)
    assert max(trained.moment_errors(*after)) < 1e-3 < 0.1 < max(trained.moment_errors(*before))
    np.testing.assert_allclose(after[0] @ after[0].T, 1.25 * np.eye(5) - 0.25, atol=1e-2)
