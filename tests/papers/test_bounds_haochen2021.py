"""Theorem 3.8 on graphs small enough to know, kernels of redrawn factors, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spectral_ssl.data.augmentation_graph import label_error
from spectral_ssl.errors import UserError
from spectral_ssl.papers.haochen2021 import figures, graph_figures
from spectral_ssl.papers.haochen2021.bounds import bounds
from spectral_ssl.papers.haochen2021.graphs import fraction, toy_graph
from spectral_ssl.papers.haochen2021.real_graphs import CODES, pictures, redraw
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.stages import Context

TOY = np.array([[2 / 3, 1 / 3, 0, 0], [0, 0, 2 / 3, 1 / 3]])


def test_two_components_of_one_class_each() -> None:
    found = bounds(TOY, [0, 1])
    np.testing.assert_allclose(found.gamma, [1, 1])
    assert found.alpha == 0
    assert found.bound.tolist() == [np.inf, 0]
    assert found.error[1] == found.vote[1] == 0


def test_both_images_of_one_class_leave_nothing_to_err() -> None:
    assert bounds(TOY, [3, 3]).error[1] == 0
    mixed = bounds(np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]]), [0, 1])  # one point of both images
    assert mixed.alpha == mixed.error[-1] == pytest.approx(0.25)
    assert mixed.bound[-1] == pytest.approx(5 * 0.25)  # gamma_3 = 0


def by_definition(p: np.ndarray, labels: np.ndarray, k: int) -> tuple[float, float]:
    """Error and majority vote of weighted least squares on the k leading eigenvectors, by the definitions."""
    w = p.T @ p / len(p)
    degree = w.sum(axis=1)
    values, vectors = np.linalg.eigh(w / np.sqrt(np.outer(degree, degree)))
    f = vectors[:, ::-1][:, :k] * np.sqrt(values[::-1][:k]) / np.sqrt(degree)[:, None]
    targets = np.eye(labels.max() + 1)[label_error(p, None, labels).labels]
    head = np.linalg.solve(f.T @ (degree[:, None] * f), f.T @ (degree[:, None] * targets))
    predicted = (f @ head).argmax(axis=1)
    wrong = sum(p[i, x] for i, x in product(*map(range, p.shape)) if predicted[x] != labels[i])
    votes = [np.bincount(predicted, weights=row, minlength=targets.shape[1]).argmax() for row in p]
    return wrong / len(p), float((np.array(votes) != labels).mean())


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_errors_by_another_route(kind: Callable[[np.ndarray], object]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        labels = np.arange(9) % 3
        p = rng.dirichlet(np.full(14, 0.2), size=9) + 0.01
        p /= p.sum(axis=1, keepdims=True)
        found = bounds(kind(p), labels)
        for k in range(1, len(found.gamma) + 1):
            assert (found.error[k - 1], found.vote[k - 1]) == pytest.approx(by_definition(p, labels, k))
        assert (found.error <= found.bound + 1e-12).all()


def test_what_is_no_kernel_or_no_label_is_refused() -> None:
    with pytest.raises(UserError, match=r"row 1 of p sums to 0\.5"):
        bounds(TOY * [[1], [0.5]], [0, 1])
    with pytest.raises(UserError, match="expected a class, an integer from 0, for each of 2 images"):
        bounds(TOY, [0, -1])


def test_factors_are_redrawn_one_by_one() -> None:
    kernel = redraw({"colour": 1, "position": 0.5})
    np.testing.assert_allclose(kernel.sum(axis=1), 1)
    start = np.flatnonzero((CODES == [2, 1, 0, 3]).all(axis=1))[0]
    reached = {tuple(CODES[i]): kernel[start, i] for i in np.flatnonzero(kernel[start])}
    assert reached == pytest.approx(
        {(2, c, 0, q): 0.25 * (0.625 if q == 3 else 0.125) for c in range(4) for q in range(4)}
    )
    np.testing.assert_array_equal(redraw({}), np.eye(256))


def test_the_pictures_of_all_combinations_differ() -> None:
    images = pictures(16)
    assert images.shape == (256, 16, 16, 3)
    assert len({image.tobytes() for image in images}) == 256


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (2 / 9, "2/9"), (2**0.5 / 3, "√2/3"), (0.5**0.5, "√(1/2)"), (np.pi, "3.142"), (1, "1")],
)
def test_numbers_as_fractions(value: float, text: str) -> None:
    assert fraction(value) == text


def test_the_population_graph_has_its_fractions_in_its_cells(fill: Callable[..., Context]) -> None:
    table = toy_graph(Inputs(fill(), "haochen2021"))
    before, after = figures.population_graph({"toy_graph": table.tidy}).axes
    for panel, corner in ((before, "2/9"), (after, "2/3")):
        cells = {text.get_position(): text.get_text() for text in panel.texts}
        assert len(cells) == 16
        assert cells[0, 0] == cells[2, 2] == corner
        assert cells[0, 2] == cells[3, 1] == "0"
    assert before.get_yticklabels()[1].get_text() == "lightning, rotated\n$w_x$ = 1/6"


def test_the_bound_is_drawn_where_it_is_finite_and_zeros_at_the_floor() -> None:
    columns = {
        "index": [1, 2, 3],
        "bound": [np.inf, 2.0, 0.0],
        "error": [0.5, 0.25, 0.0],
        "vote": [0.5, 0.0, 0.0],
    }
    frame = pd.DataFrame(columns).assign(images=5)
    names = [f"set: family {n}, of a name too long for one line" for n in range(4)]
    given = pd.concat([frame.assign(graph=name) for name in names])
    figure = figures.vacuous({"augmentation_graph": given})
    axes = figure.axes
    assert [panel.axison for panel in axes] == [True] * 4 + [False] * 2
    bound, error, *_ = axes[0].lines
    np.testing.assert_array_equal(bound.get_ydata(), [np.nan, 2.0, graph_figures.FLOOR])
    np.testing.assert_array_equal(error.get_ydata(), [0.5, 0.25, graph_figures.FLOOR])
    assert axes[0].get_title().count("\n") == 1
    assert [text.get_text() for text in axes[0].texts] == ["bound infinite up to k = 1"]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["0.001", "0.1", "1", "100"]
    (legend,) = figure.legends
    assert "1: above, the bound says nothing" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize(("bound", "words"), [(np.inf, ["bound infinite"]), (2.0, [])])
def test_a_panel_says_if_the_bound_is_infinite(bound: float, words: list[str]) -> None:
    columns = {"index": [1, 2], "bound": [bound] * 2, "error": [0.5, 0.4], "vote": [0.5, 0.4]}
    given = pd.DataFrame(columns).assign(images=5, graph="set: family")
    panel, *_ = figures.vacuous({"augmentation_graph": given}).axes
    assert [text.get_text() for text in panel.texts] == words
