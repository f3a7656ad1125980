"""Statements at matrices and graphs that `hypothesis` draws: small whole numbers, so that zeros, ties, repeated rows
and deficient ranks come up, which Gaussian instances never have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph, label_error, probe_bound
from spectral_ssl.data.graph import laplacian, normalised_adjacency
from spectral_ssl.data.partitions import conductance, partition_conductances
from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive
from spectral_ssl.theorems.garrido2023.bounds import unit
from spectral_ssl.theorems.garrido2023.criteria import contrastive, fourth_powers, non_contrastive
from spectral_ssl.theorems.garrido2023.disguises import rate_sides, sample_sides
from spectral_ssl.theorems.garrido2023.norms import corollary_sides, lemma_sides
from spectral_ssl.theorems.garrido2023.welch import welch_sides

Array = NDArray[np.float64]

few = settings(deadline=None, max_examples=60, derandomize=True, database=None)

whole = st.integers(-4, 4).map(float)
scales = st.integers(-3, 3).map(lambda power: 10.0**power)
sizes = st.integers(1, 7)


def matrices(
    rows: st.SearchStrategy[int] = sizes, columns: st.SearchStrategy[int] = sizes
) -> st.SearchStrategy[Array]:
    return st.tuples(rows, columns).flatmap(lambda size: arrays(np.float64, size, elements=whole))


@st.composite
def embeddings(draw: st.DrawFn) -> torch.Tensor:
    """K (M, N), M, N >= 2, no row or column zero, at some scale."""
    matrix = draw(matrices(st.integers(2, 7), st.integers(2, 7)))
    assume(np.abs(matrix).sum(axis=0).min() > 0 and np.abs(matrix).sum(axis=1).min() > 0)
    return torch.from_numpy(matrix * draw(scales))


@st.composite
def graphs(draw: st.DrawFn, diagonal: bool = False) -> Array:
    """Symmetric weights of 2 to 7 nodes, no isolated one; zero diagonal, or a positive one."""
    n = draw(st.integers(2, 7))
    upper = np.triu(draw(arrays(np.float64, (n, n), elements=st.integers(0, 3).map(float))), 1)
    graph = upper + upper.T
    if diagonal:
        return graph + np.diag(draw(arrays(np.float64, n, elements=st.integers(1, 5).map(float))))
    assume(graph.sum(axis=1).min() > 0)
    return graph


@st.composite
def kernels(draw: st.DrawFn) -> tuple[Array, NDArray[np.int64]]:
    """p(x | image) of 2 to 6 images on 2 to 6 points, every one reached, and the images' classes."""
    images, points = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    counts = draw(arrays(np.float64, (images, points), elements=st.integers(0, 3).map(float)))
    assume(counts.sum(axis=1).min() > 0 and counts.sum(axis=0).min() > 0)
    labels = draw(arrays(np.int64, images, elements=st.integers(0, 2)))
    return counts / counts.sum(axis=1, keepdims=True), labels


@given(matrices(), scales)
@few
def test_theorem_3_3_at_any_matrix(matrix: Array, scale: float) -> None:
    matrix = scale * matrix
    left = non_contrastive(matrix) + fourth_powers(matrix, 1)
    right = contrastive(matrix) + fourth_powers(matrix, 0)
    assert left == pytest.approx(right, rel=1e-12, abs=0)
    assert contrastive(matrix, "smaller") == pytest.approx(contrastive(matrix), abs=1e-12 * right)


@given(matrices(), scales)
@few
def test_equation_8_at_any_matrix(matrix: Array, scale: float) -> None:
    matrix = scale * matrix
    pairs = [
        (matrix[:, i] @ matrix[:, j]) ** 2
        for i in range(matrix.shape[1])
        for j in range(matrix.shape[1])
        if i != j
    ]
    size = float((matrix**2).sum()) ** 2
    assert contrastive(matrix) == pytest.approx(sum(pairs), abs=1e-12 * size)
    assert non_contrastive(matrix.T) == pytest.approx(contrastive(matrix), abs=1e-12 * size)


@given(matrices())
@few
def test_the_gradients_differ_as_theorem_3_3_says(matrix: Array) -> None:
    point = torch.from_numpy(matrix).requires_grad_()
    (gradient,) = torch.autograd.grad(dimension_contrastive(point.T) - sample_contrastive(point.T), point)
    columns, rows = (matrix**2).sum(axis=0), (matrix**2).sum(axis=1)[:, None]
    np.testing.assert_allclose(gradient.numpy(), 4 * (matrix * columns - rows * matrix), atol=1e-9)


@pytest.mark.parametrize("sides", [lemma_sides, corollary_sides, welch_sides])
@given(matrix=embeddings())
@few
def test_the_norms_bounds_are_kept(sides: Callable, matrix: torch.Tensor) -> None:
    for name, value in sides(matrix).items():
        assert float(value) <= 1, name


@given(embeddings(), st.sampled_from(["sq", "abs"]), st.floats(0.1, 2.0), st.floats(0.01, 5.0))
@few
def test_proposition_3_2s_bounds_are_kept(
    matrix: torch.Tensor, variant: str, temperature: float, c: float
) -> None:
    for name, value in (sample_sides(matrix, variant, temperature) | rate_sides(matrix, c)).items():
        assert float(value) <= 1, name


@given(graphs(), st.data())
@few
def test_the_dirichlet_identity(graph: Array, data: st.DataObject) -> None:
    Z = data.draw(arrays(np.float64, (len(graph), data.draw(sizes)), elements=whole))
    pairs = graph * ((Z[:, None] - Z[None]) ** 2).sum(axis=2)
    assert pairs.sum() == pytest.approx(2 * np.trace(Z.T @ laplacian(graph) @ Z), abs=1e-9)


@given(matrices(), st.data())
@few
def test_the_best_read_out_misses_what_lies_outside_the_span(Z: Array, data: st.DataObject) -> None:
    Y = data.draw(arrays(np.float64, (len(Z), 2), elements=whole))
    residual = float(((Z @ np.linalg.lstsq(Z, Y, rcond=1e-10)[0] - Y) ** 2).sum())
    inside = cf.span(Z, 1e-10).T @ Y if Z.any() else np.zeros(1)
    assert residual == pytest.approx(float((Y**2).sum() - (inside**2).sum()), abs=1e-9)


@pytest.mark.parametrize("loss", ["vicreg", "simclr", "spectral"])
@given(data=st.data())
@few
def test_no_embedding_is_below_the_optimum(loss: str, data: st.DataObject) -> None:
    graph = data.draw(graphs(diagonal=loss == "spectral"))
    k = data.draw(st.integers(1, len(graph)))
    best = cf.solve(loss, graph, k)
    assert cf.objective(loss, best.embedding, graph) == pytest.approx(best.loss, abs=1e-9)
    Z = data.draw(arrays(np.float64, (len(graph), k), elements=whole)) * data.draw(scales)
    assert cf.objective(loss, Z, graph) >= best.loss - 1e-9
    near = best.embedding + 0.1 * np.sign(Z)
    assert cf.objective(loss, near, graph) >= best.loss - 1e-9


@given(graphs(diagonal=True), st.data())
@few
def test_lemma_3_2_at_any_embedding(w: Array, data: st.DataObject) -> None:
    w, f = w / w.sum(), data.draw(arrays(np.float64, (len(w), data.draw(sizes)), elements=whole))
    degree = w.sum(axis=1)
    products = f @ f.T
    loss = float((-2 * w * products + np.outer(degree, degree) * products**2).sum())
    constant = float((w**2 / np.outer(degree, degree)).sum())
    found = cf.spectral_objective(np.sqrt(degree)[:, None] * f, w)
    assert found == pytest.approx(loss + constant, rel=1e-10, abs=1e-10)
    assert cf.spectral_contrastive_loss(f, w) == pytest.approx(loss, rel=1e-10, abs=1e-10)


@given(kernels(), st.data())
@few
def test_theorem_3_8s_bounds_are_kept(task: tuple[Array, NDArray[np.int64]], data: st.DataObject) -> None:
    p, labels = task
    w, alpha, nodes = augmentation_graph(p).w, *label_error(p, None, labels)
    k = data.draw(st.integers(1, p.shape[1] - 1))
    lambda_next = 1 - np.linalg.eigvalsh(normalised_adjacency(w))[::-1][k]
    F, root = cf.spectral(w, k).embedding, np.sqrt(w.sum(axis=1))[:, None]
    head = np.linalg.lstsq(F, root * np.eye(3)[nodes], rcond=1e-7)[0]
    predicted = (F @ head).argmax(axis=1)
    error = float((p * (predicted != labels[:, None])).sum(axis=1).mean())
    vote = float(((p @ np.eye(3)[predicted]).argmax(axis=1) != labels).mean())
    bound = probe_bound(alpha, float(lambda_next))
    assert error <= bound.augmentation + 1e-9
    assert vote <= bound.vote + 1e-9


@given(kernels())
@few
def test_cheegers_inequalities_and_singletons(task: tuple[Array, NDArray[np.int64]]) -> None:
    w = augmentation_graph(task[0]).w
    rho = partition_conductances(w)
    values = np.maximum(1 - np.linalg.eigvalsh(normalised_adjacency(w))[::-1], 0)
    assert (values / 2 <= rho + 1e-9).all()
    assert rho[1] <= np.sqrt(2 * values[1]) + 1e-6
    assert (np.diff(rho) >= -1e-12).all()
    for node, share in enumerate(np.diag(w) / w.sum(axis=1)):
        assert conductance(w, [node]) == pytest.approx(1 - share, abs=1e-12)


def squares_for_fourth_powers(matrix: torch.Tensor) -> bool:
    return non_contrastive(matrix.numpy()) == pytest.approx(contrastive(matrix.numpy()), rel=1e-9)


def bounds_mirrored(matrix: torch.Tensor) -> bool:
    columns = unit(matrix, 0).numpy()
    return fourth_powers(columns, 1) <= len(columns) ** 2 + 1e-9


def columns_of_a_frame(matrix: torch.Tensor) -> bool:
    columns = unit(matrix, 0).numpy()
    return contrastive(columns) <= columns.shape[1] ** 2 / len(columns) - columns.shape[1] + 1e-9


@pytest.mark.parametrize("claim", [squares_for_fourth_powers, bounds_mirrored, columns_of_a_frame])
def test_a_wrong_claim_is_found(claim: Callable[[torch.Tensor], bool]) -> None:
    @given(embeddings())
    @settings(few, phases=[Phase.generate])
    def at_any(matrix: torch.Tensor) -> None:
        assert claim(matrix)

    with pytest.raises(AssertionError):
        at_any()
