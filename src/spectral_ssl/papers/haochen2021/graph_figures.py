"""Figures of augmentation graphs: the two-image example, and where Theorem 3.8 says something."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spectral_ssl.plotting import COLOURS, DASHES, MARKERS, heatmap, legend, new_figure

PANELS = 3  # across
FLOOR = 1e-3  # where an error or bound of zero is drawn, on a log axis
CEILING = 1e2  # above it a bound is not drawn
TITLE = 32  # characters a line
TICKS = (FLOOR, 0.1, 1.0, CEILING)
FEW = 12  # values of k that each have a marker

Tables = dict[str, pd.DataFrame]


def population_graph(tables: Tables) -> Figure:
    """The four points' weights before and after normalisation, as fractions, degrees beside the rows."""
    frame = tables["toy_graph"].astype({"w_text": str, "normalised_text": str, "degree_text": str})
    figure, axes = new_figure(1, 2, height=3.3)
    names = list(dict.fromkeys(frame["row"]))
    degree = frame.groupby("row")["degree_text"].first()
    titles = {"w": "before: weights $w_{xx'}$", "normalised": "after: $w_{xx'} / \\sqrt{w_x w_{x'}}$"}
    for panel, (column, title) in zip(axes, titles.items(), strict=True):
        matrix, words = (
            frame.pivot(index="row", columns="column", values=name).loc[names, names]
            for name in (column, f"{column}_text")
        )
        heatmap(panel, matrix)
        for (row, place), value in np.ndenumerate(matrix.to_numpy()):
            colour = "white" if value > matrix.to_numpy().max() / 2 else "black"
            text = str(words.iloc[row, place])
            panel.text(place, row, text, ha="center", va="center", color=colour, fontsize=10)
        panel.set(title=title)
    axes[0].set_yticks(range(len(names)), [f"{name}\n$w_x$ = {degree[name]}" for name in names])
    axes[1].set_yticks(range(len(names)), [])
    return figure


def vacuous(tables: Tables) -> Figure:
    """Bound and measured error against k, a panel a graph, with words where the bound is infinite."""
    frame = tables["augmentation_graph"]
    groups = list(frame.groupby("graph", sort=False))
    rows = -(-len(groups) // PANELS)
    figure, axes = new_figure(rows, PANELS, height=1.9, sharey=True)
    for place, (panel, (name, group)) in enumerate(zip(axes, groups, strict=False)):
        _against(panel, group)
        panel.set_title(textwrap.fill(str(name).replace(" %", "\xa0%"), TITLE), fontsize=8)
        if place % PANELS == 0:
            panel.set_ylabel("error")
        panel.set_xlabel("number of features k", fontsize=8)
    for panel in axes[len(groups) :]:
        panel.axis("off")
    axes[0].set_yticks(TICKS, [f"{tick:g}" for tick in TICKS], fontsize=8)
    legend(axes[0], below=True)
    return figure


def _against(axes: Axes, group: pd.DataFrame) -> None:
    """One graph's bound and error, values of zero at the floor; its number of images as a limit of what k means."""
    k = group["index"]
    lines = {
        "Theorem 3.8's bound": group["bound"].where(group["bound"] <= CEILING).clip(lower=FLOOR),
        "the probe's error": group["error"].clip(lower=FLOOR),
        "the majority vote's": group["vote"].clip(lower=FLOOR),
    }
    for index, (label, values) in enumerate(lines.items()):
        axes.plot(
            *(k, values),
            markerfacecolor="none" if index == 0 else None,
            color=COLOURS[index],
            linestyle=DASHES[index],
            marker=MARKERS[index],
            # Points, or shares of the axes' diagonal.
            markevery=1 if values.notna().sum() <= FEW else (0.12, 0.25),
            markersize=7 if index == 0 else 4,  # a ring around others at the floor
            linewidth=1.3,
            label=label,
        )
    axes.axhline(1, color="black", linewidth=0.9, label="1: above, the bound says nothing")
    axes.axvline(
        group["images"].iloc[0], color="0.5", linestyle=":", linewidth=1.2, label="as many features as images"
    )
    axes.set(xscale="log", yscale="log", ylim=(FLOOR / 1.5, CEILING))
    axes.yaxis.set_minor_locator(NullLocator())
    infinite = k[np.isinf(group["bound"].astype(float))]
    if len(infinite):
        until = "" if len(infinite) == len(k) else f" up to k = {infinite.max():g}"
        axes.text(0.03, 0.94, f"bound infinite{until}", transform=axes.transAxes, va="top", fontsize=7)
