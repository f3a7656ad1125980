"""The figures of Balestriero & LeCun 2022, from its tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_ssl.papers.balestriero2022.map_figure import correspondence_map as map
from spectral_ssl.papers.balestriero2022.optima_figures import costs, settle, staircase, synthetic
from spectral_ssl.papers.networks import networks_figure as networks
from spectral_ssl.plotting import COLOURS, DASHES, curve, legend, line, new_figure, ticks

__all__ = [
    "alignment",
    "costs",
    "map",
    "networks",
    "rank",
    "relations",
    "settle",
    "spectrum",
    "staircase",
    "synthetic",
]

PANELS = 4  # across
CROWDED = 4  # levels of a hyperparameter whose names have no room side by side
SIDES = {"embedding": "embedding Z", "representation": "representation"}
AXES = {"invariance weight": "invariance weight", "temperature": "temperature", "lambda": "$\\lambda$"}

Tables = dict[str, pd.DataFrame]


def rank(tables: Tables) -> Figure:
    """Effective rank of embedding and representation, a panel a method, against its hyperparameter."""
    frame = tables["rank"]
    varied = frame[frame["hyperparameter"].isin(list(AXES))]
    groups = list(varied.groupby("label", sort=False))
    figure, axes = new_figure(1, max(len(groups), 1), height=3.0, sharey=True)
    for panel, (label, group) in zip(axes, groups, strict=False):
        for index, (side, name) in enumerate(SIDES.items()):
            line(panel, group, "level", f"{side}_effective_rank_centred", index, name, among=len(SIDES))
        bound = group["bound"].iloc[0]
        panel.axhline(bound, color="black", linestyle=DASHES[3], label="min(K, rank(G))")
        panel.margins(x=0.12)
        levels = sorted(group["level"].unique())
        ticks(panel, levels)
        panel.tick_params(axis="x", labelsize=7, labelrotation=60 if len(levels) > CROWDED else 0)
        panel.set(title=str(label), xlabel=AXES[group["hyperparameter"].iloc[0]], ylim=(0, None))
    axes[0].set_ylabel("effective rank")
    figure.align_xlabels(axes)
    legend(axes[0], below=True)
    return figure


def spectrum(tables: Tables) -> Figure:
    """Eigenvalues of the closed-form solutions, a line a solution."""
    frame = tables["closed_form"].dropna(subset=["index"])
    figure, (axes,) = new_figure()
    for index, (name, group) in enumerate(frame.groupby("solution", sort=False)):
        curve(axes, group, index, str(name))
    axes.set(xlabel="index k", ylabel="eigenvalue")
    legend(axes)
    return figure


def alignment(tables: Tables) -> Figure:
    """Accuracy against the labels a class, a panel a relation and a line a method; an empty panel where the tier trains
    on no such graph.
    """
    frame = tables["alignment"]
    panels = list(frame.groupby("pairs", sort=False))
    figure, axes = new_figure(1, max(len(panels), 1), height=3.2, sharey=True)
    for panel, (pairs, part) in zip(axes, panels, strict=False):
        _by_labels(panel, part)
        panel.set_title(f"pairs share {pairs}", fontsize=8)
    for panel in axes:
        panel.set_xlabel("labels a class")
    axes[0].set_ylabel("accuracy (%)")
    legend(axes[0], below=True)
    return figure


def _by_labels(panel: Axes, part: pd.DataFrame) -> None:
    labels = list(dict.fromkeys(part["labels"].astype(str)))
    places = part.assign(place=[labels.index(str(label)) for label in part["labels"]])
    groups = list(places.groupby("setting", sort=False))
    for index, (setting, group) in enumerate(groups):
        line(panel, group, "place", "accuracy", index, str(setting), among=len(groups))
    panel.axhline(part["chance"].iloc[0], color="black", linestyle=DASHES[3], linewidth=1, label="chance")
    panel.margins(x=0.12)
    panel.set_xticks(range(len(labels)), labels)


def relations(tables: Tables) -> Figure:
    """Non-zero entries of each relation graph."""
    frame = tables["relations"]
    groups = list(frame.groupby("graph", sort=False))
    rows = -(-len(groups) // PANELS)
    figure, axes = new_figure(rows, PANELS, height=2.0)
    options: dict[str, Any] = {"color": COLOURS[0], "marker": "s", "linewidths": 0}
    for panel, (title, group) in zip(axes, groups, strict=False):
        size = int(group["size"].iloc[0])
        panel.scatter(group["column"], group["row"], s=1.5, **options)
        panel.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
        panel.set(xlabel="sample j", ylabel="sample i")
        panel.set_title(str(title), fontsize=8)
        panel.grid(visible=False)
    for panel in axes[len(groups) :]:
        panel.axis("off")
    return figure
