"""Figures: the same bytes for the same data, and readable without colour."""

from __future__ import annotations

import io
import warnings
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from spectral_ssl.plotting import (
    COLOURS,
    DASHES,
    MARKERS,
    METADATA,
    legend,
    line,
    new_figure,
    reference,
    save,
    ticks,
    titled,
)

# Machado, Oliveira & Fernandes 2009, severity 1: what a viewer sees of a linear RGB colour.
SIMULATED = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
APART = 15.0  # CIELAB distance; 2.3 is just noticeable
LIGHTER = 10.0  # CIELAB lightness


def lab(colour: str, seen: np.ndarray = SIMULATED["none"]) -> np.ndarray:
    """A colour as it is seen, in CIELAB with sRGB's white."""
    rgb = np.array(to_rgb(colour))
    linear = seen @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = XYZ @ linear.clip(0, 1) / XYZ.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours: tuple[str, ...], seen: np.ndarray) -> float:
    points = [lab(colour, seen) for colour in colours]
    return min(float(np.linalg.norm(one - other)) for one, other in combinations(points, 2))


def table(means: list[float], half: float = 1.0) -> pd.DataFrame:
    frame = pd.DataFrame({"epochs": [10, 20, 40], "accuracy_mean": means})
    return frame.assign(
        accuracy_low=frame["accuracy_mean"] - half, accuracy_high=frame["accuracy_mean"] + half
    )


def drawn(means: list[float]) -> Figure:
    figure, (axes,) = new_figure()
    line(axes, table(means), "epochs", "accuracy", 0, "a")
    line(axes, table([value + 3 for value in means]), "epochs", "accuracy", 1, "b")
    ticks(axes, [10, 20, 40])
    axes.legend()
    return figure


def test_equal_data_give_equal_bytes_in_every_format(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(drawn([50.0, 60.0, 65.0]), tmp_path / name / "figure")
    save(drawn([50.0, 60.0, 66.0]), tmp_path / "other" / "figure")
    for ending in ("pdf", "svg", "png"):
        bytes_of = {
            name: (tmp_path / name / f"figure.{ending}").read_bytes() for name in ("one", "two", "other")
        }
        assert bytes_of["one"] == bytes_of["two"]
        assert bytes_of["one"] != bytes_of["other"]
    assert set(METADATA) == {"pdf", "svg", "png"}


def test_no_file_holds_a_date(tmp_path: Path) -> None:
    save(drawn([50.0, 60.0, 65.0]), tmp_path / "figure")
    assert b"CreationDate" not in (tmp_path / "figure.pdf").read_bytes()
    assert "dc:date" not in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_lines_differ_by_marker_and_dash_and_not_by_colour_alone() -> None:
    assert len(set(COLOURS)) == len(set(MARKERS)) == len(set(DASHES)) == len(COLOURS)


def test_colours_in_lab_have_known_values() -> None:
    np.testing.assert_allclose(lab("#ff0000"), [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(lab("#ffffff"), [100, 0, 0], atol=0.01)
    for seen in SIMULATED.values():  # greys stay what they are
        np.testing.assert_allclose(lab("#777777", seen), lab("#777777"), atol=0.01)


@pytest.mark.parametrize("name", SIMULATED)
def test_any_two_colours_are_told_apart_by_the_colour_blind(name: str) -> None:
    assert closest(COLOURS, SIMULATED[name]) > APART


def test_red_and_green_of_one_lightness_are_not() -> None:
    mixed = ("#c04000", "#707000")
    assert closest(mixed, SIMULATED["none"]) > 2 * APART
    assert closest(mixed, SIMULATED["deuteranopia"]) < APART


def test_colours_alike_in_grey_differ_in_marker_and_dash() -> None:
    alike = [
        (one, other)
        for one, other in combinations(range(len(COLOURS)), 2)
        if abs(lab(COLOURS[one])[0] - lab(COLOURS[other])[0]) < LIGHTER
    ]
    assert alike  # seven colours do not fit between black and white at this distance from white paper
    for one, other in alike:
        assert MARKERS[one] != MARKERS[other]
        assert DASHES[one] != DASHES[other]
    assert all(lab(colour)[0] < 100 - 2.5 * LIGHTER for colour in COLOURS)


def test_printed_values_are_rings_around_what_is_measured() -> None:
    figure, (axes,) = new_figure()
    line(axes, table([50.0, 60.0, 65.0]), "epochs", "accuracy", 0, "measured")
    reference(axes, [10, 40], pd.Series([51.0, 64.0]))
    legend(axes)
    (ring,) = [drawn for drawn in axes.lines if drawn.get_label() == "printed"]
    measured = axes.containers[0].lines[0]
    np.testing.assert_array_equal(ring.get_xydata(), [[10, 51], [40, 64]])
    assert ring.get_linestyle() == "None"
    assert ring.get_markerfacecolor() == "none"
    assert measured.get_markerfacecolor() != "none"
    assert ring.get_markersize() > measured.get_markersize()
    assert np.linalg.norm(lab(ring.get_markeredgecolor()) - lab(measured.get_color())) > APART
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["printed", "measured"]
    figure.clear()


def test_a_name_twice_is_once_in_the_legend() -> None:
    figure, (axes,) = new_figure()
    for value in (1.0, 2.0):
        reference(axes, [1.0], [value], label="as printed")
    legend(axes, below=True)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["as printed"]
    figure.clear()


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_legend_below_is_no_wider_than_the_figure(count: int) -> None:
    figure, (axes,) = new_figure(height=3.5)
    for index in range(count):
        axes.plot([0, 1], [0, index], label=f"a method of a long name, number {index}")
    legend(axes, below=True)
    figure.savefig(io.BytesIO(), format="png")
    (made,) = figure.legends
    box = made.get_window_extent()
    assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1
    assert len(made.get_texts()) == count
    tops = sorted({round(text.get_window_extent().y0) for text in made.get_texts()})
    assert len(tops) == {1: 1, 3: 2, 9: 5}[count]
    figure.clear()


def test_a_long_title_is_broken_and_stands_above_the_panels() -> None:
    figure, axes = new_figure(1, 2)
    titled(figure, "A title of many words, " * 8, "laptop tier: " + "of data described at length, " * 6)
    for panel in axes:
        panel.set_title("a panel")
    figure.savefig(io.BytesIO(), format="png")
    (title,) = figure.texts
    box = title.get_window_extent()
    assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
    assert all(panel.get_tightbbox().y1 < box.y0 for panel in axes)
    assert box.height > 4 * 9 * figure.dpi / 72  # at least two lines each
    figure.clear()


def test_every_format_has_one_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, axes = new_figure(2, 4, height=2.0)
    for panel in axes:
        panel.set(aspect="equal", xlim=(0, 100), ylim=(0, 100), title="a square panel")
    titled(figure, "A title of many words, " * 8, "of data")
    places = []
    write = Figure.savefig

    def recorded(drawn: Figure, *arguments: Any, **options: Any) -> None:
        write(drawn, *arguments, **options)
        places.append([panel.get_position().bounds for panel in axes])

    monkeypatch.setattr(Figure, "savefig", recorded)
    save(figure, tmp_path / "figure")
    assert len(places) == len(METADATA)
    for one, other in pairwise(places):
        np.testing.assert_allclose(one, other, atol=3e-3)


def test_a_line_has_its_means_and_its_intervals() -> None:
    figure, (axes,) = new_figure()
    line(axes, table([50.0, 60.0, 65.0], half=2.5), "epochs", "accuracy", 0, "a")
    container = axes.containers[0]
    assert list(container.lines[0].get_ydata()) == [50.0, 60.0, 65.0]
    bars = [path.vertices[:, 1].tolist() for path in container.lines[2][0].get_paths()]
    assert bars == [[47.5, 52.5], [57.5, 62.5], [62.5, 67.5]]
    figure.clear()


def test_a_mean_without_an_interval_is_drawn_without_a_bar() -> None:
    frame = table([50.0, 60.0, 65.0]).assign(accuracy_low=float("nan"), accuracy_high=float("nan"))
    figure, (axes,) = new_figure()
    line(axes, frame, "epochs", "accuracy", 0, "a")
    bars = [path.vertices[:, 1].tolist() for path in axes.containers[0].lines[2][0].get_paths()]
    assert bars == [[50.0, 50.0], [60.0, 60.0], [65.0, 65.0]]
    figure.clear()


def test_a_line_of_which_every_seed_diverged_draws_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(drawn([float("nan")] * 3), tmp_path / "figure")
    assert (tmp_path / "figure.pdf").stat().st_size > 0


@pytest.mark.parametrize("log", [True, False])
def test_ticks_are_the_measured_levels(log: bool) -> None:
    figure, (axes,) = new_figure()
    axes.plot([10, 40], [1, 2])
    ticks(axes, [10, 20, 40], log=log)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20", "40"]
    assert list(axes.get_xticks(minor=True)) == []
    figure.clear()
