"""The map of correspondences in the layout of Figure 1, with what was measured on its arrows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from textwrap import fill
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from spectral_ssl.papers.balestriero2022.correspondences import ANGLE, PURE
from spectral_ssl.plotting import COLOURS, WIDTH, new_figure

Tables = dict[str, pd.DataFrame]

# Inches from the left and, downwards, from the top.
LEFT, RIGHT = (0.12, 1.17), (5.12, 6.63)  # boxes of methods
LABELS = 2.12  # where an arrow turns level and its label begins
SLOT = 0.46  # an arrow's height
HEADER = 0.3  # above a group
BOX = 0.32
ROUND = 0.05
WRAP = 26  # characters in a box


class Style(NamedTuple):
    """How a verdict looks: told apart by dash and mark as by colour."""

    words: str
    colour: str
    dash: str
    mark: str
    hollow: bool = False


STYLES = {
    "holds": Style("holds", COLOURS[0], "-", "o"),
    "differs": Style("differs as printed, holds corrected", COLOURS[1], "--", "X"),
    "fails": Style("fails", COLOURS[6], ":", "s"),
    "inconclusive": Style("not decided", COLOURS[6], "-.", "o", hollow=True),
}


def correspondence_map(tables: Tables) -> Figure:
    """Losses on the left, spectral methods on the right, an arrow a correspondence."""
    frame = tables["correspondences"]
    # LDA is recovered by a local and by a global method: it stands once, with the first.
    frame = frame.assign(scope=frame.groupby("target")["scope"].transform("first"))
    heights = _heights(frame)
    bottom = max(heights) + SLOT / 2 + 0.12
    figure, (axes,) = new_figure(height=bottom + 0.75)
    axes.set(xlim=(0, WIDTH), ylim=(bottom, 0), xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.axis("off")
    frame = frame.assign(height=heights)
    for column, edges in (("family", LEFT), ("scope", RIGHT)):
        for name, group in frame.groupby(column, sort=False):
            _group(axes, edges, str(name), group["height"])
    starts = _boxes(axes, frame, "label", LEFT)
    _boxes(axes, frame, "target", RIGHT)
    for row in frame.to_dict("records"):
        _arrow(axes, row, starts[row["label"]])
    _verdicts(figure, [verdict for verdict in STYLES if (frame["verdict"] == verdict).any()])
    return figure


def _heights(frame: pd.DataFrame) -> list[float]:
    """The middle of each arrow's slot, with room for a header where a group begins on either side."""
    heights, top = [], 0.05
    for place, row in enumerate(frame.to_dict("records")):
        before = frame.iloc[place - 1] if place else {"family": "", "scope": ""}
        if row["family"] != before["family"] or row["scope"] != before["scope"]:
            top += HEADER
        heights.append(top + SLOT / 2)
        top += SLOT
    return heights


def _group(axes: Axes, edges: tuple[float, float], name: str, heights: pd.Series[float]) -> None:
    """A shade behind the boxes of a group, and its name."""
    top, bottom = heights.min() - SLOT / 2 - HEADER + 0.06, heights.max() + SLOT / 2
    _box(axes, (edges[0] - 0.08, edges[1] + 0.08), (top, bottom), facecolor="0.93", edgecolor="none")
    axes.text(sum(edges) / 2, top + 0.13, name, ha="center", va="center", fontsize=8, style="italic")


def _boxes(axes: Axes, frame: pd.DataFrame, column: str, edges: tuple[float, float]) -> dict[str, float]:
    """A box a method, as high as its arrows ask; their middles by name."""
    middles = {}
    for name, group in frame.groupby(column, sort=False):
        top, bottom = group["height"].min() - BOX / 2, group["height"].max() + BOX / 2
        middles[str(name)] = (top + bottom) / 2
        _box(axes, edges, (top, bottom), facecolor="white", edgecolor="black")
        middle = sum(edges) / 2
        words = fill(str(name), WRAP)
        axes.text(middle, middles[str(name)], words, ha="center", va="center", fontsize=7.5)
    return middles


def _box(axes: Axes, x: tuple[float, float], y: tuple[float, float], **colours: Any) -> None:
    corner, size = (x[0] + ROUND, y[0] + ROUND), (x[1] - x[0] - 2 * ROUND, y[1] - y[0] - 2 * ROUND)
    shape = f"round,pad={ROUND},rounding_size={ROUND}"
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, linewidth=0.8, **colours))


def _arrow(axes: Axes, row: Mapping[Any, Any], start: float) -> None:
    """From a loss to a spectral method: the condition above the arrow, the number and its unit below."""
    style, height = STYLES[row["verdict"]], row["height"]
    bend = (LEFT[1] + LABELS) / 2
    corners = [(LEFT[1], start), (bend, start), (bend, height), (LABELS, height), (RIGHT[0] - 0.02, height)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    axes.add_patch(
        FancyArrowPatch(
            path=Path(corners, codes),
            arrowstyle="-|>",
            mutation_scale=9,
            color=style.colour,
            linestyle=style.dash,
            linewidth=1.3,
        )
    )
    axes.add_line(_mark(style, LABELS, height))
    for text, offset, place in ((row["when"], -0.04, "bottom"), (_number(row), 0.04, "top")):
        axes.text(LABELS + 0.12, height + offset, text, ha="left", va=place, fontsize=7)


def _mark(style: Style, x: float, y: float) -> Line2D:
    face = "white" if style.hollow else style.colour
    mark: dict[str, Any] = {"marker": style.mark, "markersize": 6, "markerfacecolor": face}
    line: dict[str, Any] = {"color": style.colour, "linestyle": style.dash, "linewidth": 1.3}
    return Line2D([x], [y], zorder=3, **mark, **line)


def _number(row: Mapping[Any, Any]) -> str:
    quantity = "largest angle" if row["quantity"] == ANGLE else row["quantity"]
    unit = "" if row["unit"] == PURE else f" {row['unit']}"
    printed = row["printed_form"]
    wrong = f" (as printed $\\geq$ {_power(printed)})" if printed == printed else ""
    return f"{quantity} {_power(row['value'])}{unit}{wrong}"


def _power(value: float) -> str:
    """Two digits and a power of ten."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"${digits} \\times 10^{{{int(exponent)}}}$"


def _verdicts(figure: Figure, verdicts: list[str]) -> None:
    handles = [_mark(STYLES[verdict], 0, 0) for verdict in verdicts]
    words = [STYLES[verdict].words for verdict in verdicts]
    # Any: matplotlib's types do not know this place.
    place: Any = "outside lower center"
    figure.legend(handles, words, fontsize=8, loc=place, ncols=len(words))
