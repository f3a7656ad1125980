"""What the papers' figures are drawn with: lines side by side, legends outside, shades for numbers, points."""

from __future__ import annotations

import io

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from spectral_ssl.papers.networks import band, powers
from spectral_ssl.plotting import APART, COLOURS, heatmap, legend, line, new_figure, scatter, ticks

FRAME = pd.DataFrame({"d": [10, 100], "a_mean": [50.0, 60.0], "a_low": [45.0, 55.0], "a_high": [55.0, 65.0]})


def lines(count: int) -> Axes:
    figure, (axes,) = new_figure()
    for index in range(count):
        line(axes, FRAME, "d", "a", index, f"method {index}", among=count)
    ticks(axes, [10, 100])
    legend(axes)
    figure.savefig(io.BytesIO(), format="png", dpi=72)  # lays the figure out, a pixel a point
    return axes


def places(axes: Axes) -> np.ndarray:
    """Where each line's first mean is drawn, in points from the left."""
    drawn = [container.lines[0] for container in axes.containers]
    return np.array([mark.get_transform().transform(mark.get_xydata()[0])[0] for mark in drawn])


def test_a_band_is_cut_at_what_is_possible() -> None:
    columns = {"step": [1, 10], "log10_angle_mean": [0.0, -3.0], "log10_angle_low": [-1.0, -9.0]}
    frame = pd.DataFrame(columns).assign(log10_angle_high=[1.0, 3.0])
    _, (axes,) = new_figure()
    band(axes, frame, "log10_angle", 0, "MLP", most=np.pi / 2)
    (area,) = axes.collections
    assert area.get_paths()[0].vertices[:, 1].max() == pytest.approx(np.pi / 2)
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([1, 1e-3])


def test_ticks_of_a_log_axis_are_all_powers() -> None:
    figure, (axes,) = new_figure()
    axes.plot([1, 2], [0.2, 50])
    axes.set(yscale="log", ylim=(0.05, 200))
    powers(axes.yaxis)
    figure.canvas.draw()
    texts = [label.get_text() for label in axes.get_yticklabels()]
    assert {"$10^{-1}$", "$10^{0}$", "$10^{2}$"} <= set(texts)
    assert all(text.startswith("$10^{") for text in texts)


def test_lines_stand_side_by_side_around_their_level() -> None:
    axes = lines(3)
    middle = axes.transData.transform([10, 50])[0]
    scale = axes.figure.dpi / 72
    np.testing.assert_allclose(places(axes), middle + scale * np.array([-APART, 0, APART]))
    for container in axes.containers:  # data, and with them the axes' limits, stay what they are
        assert container.lines[0].get_xdata().tolist() == [10, 100]
        bars, mean = container.lines[2][0], container.lines[0]
        assert bars.get_transform() == mean.get_transform()
    low, high = axes.get_ylim()
    assert 40 < low < 45
    assert 65 < high < 70
    assert axes.get_xlim()[0] > 5


def test_one_line_stands_on_its_level() -> None:
    axes = lines(1)
    assert places(axes)[0] == pytest.approx(axes.transData.transform([10, 50])[0])


@pytest.mark.parametrize("below", [False, True])
def test_a_legend_covers_no_panel(below: bool) -> None:
    figure, panels = new_figure(1, 2)
    for axes in panels:
        axes.plot([0, 1], [0, 1], label="a method of a long name")
        axes.plot([0, 1], [1, 0], label="another")
    legend(panels[0], below=below)
    figure.suptitle("A title")
    figure.savefig(io.BytesIO(), format="png")
    (box,) = (found.get_window_extent() for found in figure.legends)
    assert not any(box.overlaps(axes.get_tightbbox()) for axes in panels)
    whole = figure.bbox
    assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
    assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "a method of a long name",
        "another",
    ]


def test_no_legend_where_nothing_is_named() -> None:
    figure, (axes,) = new_figure()
    legend(axes)
    assert figure.legends == []


def test_a_heatmap_is_darker_for_more_and_its_numbers_are_legible() -> None:
    matrix = pd.DataFrame([[0.0, 0.25], [0.5, 1.0]], index=["a", "b"], columns=["c", "d"])
    _, (axes,) = new_figure()
    heatmap(axes, matrix, digits=3)
    (image,) = axes.images
    shades = image.cmap(image.norm(matrix.to_numpy())).mean(axis=-1)
    assert shades[0, 0] > shades[0, 1] > shades[1, 0] > shades[1, 1]
    assert [text.get_text() for text in axes.texts] == ["0", "0.25", "0.5", "1"]
    for text in axes.texts:
        column, row = text.get_position()
        value = matrix.iloc[int(row), int(column)]
        back, ink = image.cmap(image.norm(value))[0], matplotlib.colors.to_rgb(text.get_color())[0]
        assert abs(back - ink) > 0.4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["c", "d"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_heatmap_of_zeros_is_white_and_without_digits_has_no_numbers() -> None:
    _, (axes,) = new_figure()
    heatmap(axes, pd.DataFrame(np.zeros((2, 2))))
    (image,) = axes.images
    assert (image.cmap(image.norm(np.zeros((2, 2)))) == 1).all()
    assert len(axes.texts) == 0


def test_points_beyond_the_colours_are_hollow() -> None:
    frame = pd.DataFrame({"label": [f"m{n}" for n in range(len(COLOURS) + 2)]})
    frame = frame.assign(x=range(len(frame)), y=range(len(frame)))
    _, (axes,) = new_figure()
    scatter(axes, frame, "x", "y")
    filled = [len(points.get_facecolors()) > 0 for points in axes.collections]
    assert filled == [True] * len(COLOURS) + [False] * 2
    first, again = axes.collections[0], axes.collections[len(COLOURS)]
    np.testing.assert_array_equal(first.get_edgecolors(), again.get_edgecolors())
