"""One style for every figure, and files that are the same bytes whenever the data are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from spectral_ssl.provenance import replacing

# Okabe & Ito's colours, told apart by the colour-blind, each with a marker and a dash so that greyscale does too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
WIDTH = 6.75  # inches, a text width
APART = 4.0  # points between the intervals of neighbouring lines

# The whole process takes it: legends and colour bars are made after `new_figure` returns.
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.min_exponent": 3,  # 0.01 to 100 are shorter than powers
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "spectral_ssl",
    "pdf.fonttype": 42,
}
METADATA = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}


def new_figure(
    rows: int = 1, columns: int = 1, height: float = 2.6, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of text width in the house style and its axes, row by row."""
    plt.rcParams.update(STYLE)  # type: ignore[arg-type]
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, **options)
    return figure, list(axes.flat)


def save(figure: Figure, stem: Path) -> None:
    """Write PDF, SVG and PNG without dates, so that equal data give equal bytes."""
    figure.draw_without_rendering()  # panels of a fixed aspect have their places at the second layout
    for ending, metadata in METADATA.items():
        with replacing(stem.with_suffix(f".{ending}")) as file:
            figure.savefig(file, format=ending, dpi=160, metadata=metadata)
    plt.close(figure)


def line(
    axes: Axes, frame: pd.DataFrame, x: str, column: str, index: int, label: str, *, among: int = 1
) -> None:
    """Means against x with their intervals; the index picks colour, marker and dash together.

    Each of several lines (`among`) is drawn a little beside x, so that no interval hides another.
    """
    mean = frame[f"{column}_mean"]
    below = (mean - frame[f"{column}_low"]).fillna(0)
    above = (frame[f"{column}_high"] - mean).fillna(0)
    style = index % len(COLOURS)
    aside = ScaledTranslation((index - (among - 1) / 2) * APART / 72, 0, axes.figure.dpi_scale_trans)
    drawn = axes.errorbar(
        frame[x],
        mean,
        yerr=[below, above],
        color=COLOURS[style],
        marker=MARKERS[style],
        linestyle=DASHES[style],
        markersize=4,
        capsize=2,
        linewidth=1.3,
        label=label,
    )
    for (
        artist
    ) in drawn.get_children():  # only now: an errorbar in a moved frame would not set the axes' limits
        artist.set_transform(axes.transData + aside)


def lines(axes: Axes, frame: pd.DataFrame, x: str, column: str) -> None:
    """A line a `label`, in the frame's order, with a tick at every level of x."""
    groups = list(frame.groupby("label", sort=False))
    for index, (label, group) in enumerate(groups):
        line(axes, group, x, column, index, str(label), among=len(groups))
    ticks(axes, sorted(frame[x].unique()))


def curve(axes: Axes, frame: pd.DataFrame, index: int, label: str, *, every: int = 1) -> None:
    """Eigenvalues against their index, a marker at every so many, other lines' markers beside."""
    axes.plot(
        frame["index"],
        frame["eigenvalue"],
        color=COLOURS[index],
        marker=MARKERS[index],
        linestyle=DASHES[index],
        markersize=4,
        markevery=((3 * index) % every, every),
        label=label,
    )


def reference(axes: Axes, x: Any, y: Any, label: str = "printed") -> None:
    """Printed values at x: black rings with nothing inside, wider than the marks of what is measured."""
    axes.plot(
        *(np.asarray(x, dtype=float), np.asarray(y, dtype=float)),
        linestyle="none",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor="black",
        zorder=3,
        label=label,
    )


def legend(axes: Axes, *, below: bool = False) -> None:
    """The names of what the axes show, each once, beside the panels or below them, never over them; none if nothing
    has one. Below, they take as many rows as the figure's width asks for.
    """
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(reversed(labels), reversed(handles), strict=True))
    labels = [label for label in dict.fromkeys(labels) if label]
    handles = [named[label] for label in labels]
    # Any: matplotlib's types do not know these places.
    place: Any = "outside lower center" if below else "outside right center"
    for columns in range(len(labels) if below else min(len(labels), 1), 0, -1):
        made = axes.figure.legend(handles, labels, fontsize=8, loc=place, ncols=columns)
        if columns == 1 or made.get_window_extent().width <= 0.98 * axes.figure.bbox.width:
            return
        made.remove()


def titled(figure: Figure, title: str, below: str) -> None:
    """What a figure shows and, on a line of its own, of what; lines longer than the figure are broken."""
    plain = f"{title}\n{below}".replace("$", r"\$")  # or two of them would begin and end a formula
    figure.suptitle(plain, fontsize=9, wrap=True)


def scatter(axes: Axes, frame: pd.DataFrame, x: str, y: str) -> None:
    """A point a row; colour and marker say the method (`label`)."""
    for index, (label, group) in enumerate(frame.groupby("label", sort=False)):
        axes.scatter(
            group[x],
            group[y],
            s=12,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            facecolors="none" if index >= len(COLOURS) else None,
            label=str(label),
        )


def ticks(axes: Axes, values: Sequence[float], *, log: bool = True) -> None:
    """Ticks at exactly the measured levels, on a log axis unless told otherwise."""
    if log:
        axes.set_xscale("log")
    axes.set_xticks(list(values), [f"{value:g}" for value in values])
    axes.minorticks_off()


def heatmap(axes: Axes, matrix: pd.DataFrame, digits: int | None = None) -> None:
    """A matrix as shades, dark for large, its entries written in if `digits` says how exactly."""
    values = matrix.to_numpy()
    axes.imshow(values, cmap="Greys", vmin=0, vmax=max(float(values.max()), 1e-300))
    axes.set_xticks(range(matrix.shape[1]), [str(name) for name in matrix.columns], rotation=30, ha="right")
    axes.set_yticks(range(matrix.shape[0]), [str(name) for name in matrix.index])
    axes.grid(visible=False)
    if digits is None:
        return
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > values.max() / 2 else "black"
        axes.text(column, row, f"{value:.{digits}g}", ha="center", va="center", color=colour, fontsize=8)
