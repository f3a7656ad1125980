"""The figures of Balestriero & LeCun 2022, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.papers.balestriero2022.optima_figures import costs, settle, staircase, synthetic
from spectral_ssl.papers.networks import networks_figure as networks
from spectral_ssl.plotting import COLOURS, DASHES, curve, legend, line, new_figure, ticks

__all__ = [
    "alignment",
    "costs",
    "networks",
    "rank",
    "relations",
    "settle",
    "spectrum",
    "staircase",
    "synthetic",
]

PANELS = 4  # across

Tables = dict[str, pd.DataFrame]


def rank(tables: Tables) -> Figure:
    """Effective rank of Z against VICReg's invariance weight, the other methods as bands."""
    frame = tables["rank"]
    figure, (axes,) = new_figure()
    varied = frame[frame["experiment"] == "rank"]
    line(axes, varied, "invariance", "embedding_effective_rank_centred", 0, "VICReg")
    others = frame[frame["experiment"] == "rank_baselines"]
    for index, row in enumerate(others.to_dict("records"), start=1):
        axes.axhline(
            row["embedding_effective_rank_centred_mean"],
            color=COLOURS[index],
            linestyle=DASHES[index],
            label=row["label"],
        )
        axes.axhspan(
            row["embedding_effective_rank_centred_low"],
            row["embedding_effective_rank_centred_high"],
            color=COLOURS[index],
            alpha=0.12,
        )
    ticks(axes, sorted(varied["invariance"].unique()))
    axes.set(xlabel="VICReg's invariance weight", ylabel="effective rank of Z", ylim=(0, None))
    legend(axes)
    return figure


def spectrum(tables: Tables) -> Figure:
    """Eigenvalues of the closed-form solutions, a line a solution."""
    frame = tables["closed_form"].dropna(subset=["index"])
    figure, (axes,) = new_figure()
    for index, (name, group) in enumerate(frame.groupby("solution", sort=False)):
        curve(axes, group, index, str(name))
    axes.set(xlabel="k", ylabel="eigenvalue")
    legend(axes)
    return figure


def alignment(tables: Tables) -> Figure:
    """Accuracy by relation graph, a line a method; an empty frame where the tier trains on no such graph."""
    frame = tables["alignment"]
    figure, (axes,) = new_figure(height=3.0)
    shared = list(dict.fromkeys(frame["pairs"]))
    places = frame.assign(place=[shared.index(name) for name in frame["pairs"]])
    groups = list(places.groupby("setting", sort=False))
    for index, (setting, group) in enumerate(groups):
        line(axes, group, "place", "accuracy", index, str(setting), among=len(groups))
    axes.set_xticks(range(len(shared)), shared)
    legend(axes)
    axes.set(xlabel="pairs share", ylabel="accuracy (%)")
    return figure


def relations(tables: Tables) -> Figure:
    """Non-zero entries of each relation graph."""
    frame = tables["relations"]
    groups = list(frame.groupby("graph", sort=False))
    rows = -(-len(groups) // PANELS)
    figure, axes = new_figure(rows, PANELS, height=2.0)
    for panel, (title, group) in zip(axes, groups, strict=False):
        size = int(group["size"].iloc[0])
        panel.scatter(group["column"], group["row"], s=1.5, color=COLOURS[0], marker="s", linewidths=0)
        panel.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
        panel.set_title(str(title), fontsize=8)
        panel.grid(visible=False)
    for panel in axes[len(groups) :]:
        panel.axis("off")
    return figure
