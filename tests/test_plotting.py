"""Figures: the same bytes for the same data, and readable without colour."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from spectral_ssl.plotting import COLOURS, DASHES, MARKERS, METADATA, line, new_figure, save, ticks


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
