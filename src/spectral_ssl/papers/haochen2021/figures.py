"""The figures of HaoChen et al. 2021, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.papers.haochen2021.ablations import ablations_figure as ablations
from spectral_ssl.papers.haochen2021.graph_figures import population_graph, vacuous
from spectral_ssl.papers.haochen2021.inductive import inductive_bias_figure as inductive_bias
from spectral_ssl.papers.haochen2021.lengths import table1_figure as table1
from spectral_ssl.papers.haochen2021.marks import points, printed_marks
from spectral_ssl.papers.networks import networks_figure as networks
from spectral_ssl.plotting import (
    COLOURS,
    DASHES,
    curve,
    legend,
    line,
    new_figure,
    ticks,
)

__all__ = [
    "ablations",
    "agreement",
    "augmentation_graph",
    "inductive_bias",
    "networks",
    "population_graph",
    "table1",
    "table2",
    "table3",
    "vacuous",
]

Tables = dict[str, pd.DataFrame]


def table2(tables: Tables) -> Figure:
    """Accuracy of each method, in the paper's order."""
    frame = tables["table2"]
    figure, (axes,) = new_figure()
    points(axes, frame.assign(name=frame["label"], label="measured"), "name", width=12)
    printed_marks(axes, range(len(frame)), frame["printed"])
    axes.set(xlabel="method", ylabel="accuracy (%)")
    if frame["printed"].notna().any():
        legend(axes)
    return figure


def table3(tables: Tables) -> Figure:
    """Accuracy against mu."""
    frame = tables["table3"]
    figure, (axes,) = new_figure()
    line(axes, frame, "mu", "accuracy", 0, "Spectral contrastive")
    ticks(axes, sorted(frame["mu"].unique()))
    printed_marks(axes, frame["mu"], frame["printed"])
    axes.set(xlabel="mu, squared radius of the feature ball", ylabel="accuracy (%)")
    if frame["printed"].notna().any():
        legend(axes)
    return figure


def agreement(tables: Tables) -> Figure:
    """Histograms of agreement, a panel before and one after training."""
    frame = tables["agreement"]
    figure, axes = new_figure(1, 2, sharex=True, sharey=True)
    for panel, (time, part) in zip(axes, frame.groupby("time", sort=False), strict=True):
        for index, (pair, group) in enumerate(part.groupby("pair", sort=False)):
            edges = [*group["low"], group["high"].iloc[-1]]
            panel.stairs(
                group["share"],
                edges,
                color=COLOURS[index],
                linestyle=DASHES[index],
                fill=False,
                linewidth=1.5,
                label=f"views of {pair}",
            )
        panel.set(title=f"{time} training", xlabel="agreement (cosine)")
    axes[0].set_ylabel("share of pairs")
    legend(axes[0], below=True)
    return figure


def augmentation_graph(tables: Tables) -> Figure:
    """A part of the normalised adjacency matrix, and its eigenvalues in descending order, a line a graph."""
    frame, entries = tables["augmentation_graph"], tables["augmentation_matrix"]
    figure, (picture, axes) = new_figure(1, 2, height=3.2, width_ratios=(1, 1.1))
    shades = picture.scatter(
        *(entries["column"], entries["row"]), c=entries["weight"], cmap="Greys", vmin=0, s=2, marker="s", lw=0
    )
    points = int(entries["points"].max()) if len(entries) else 1
    picture.set(xlim=(-0.5, points - 0.5), ylim=(points - 0.5, -0.5), aspect="equal")
    picture.set(xlabel="augmented point", ylabel="augmented point")
    picture.grid(visible=False)
    figure.colorbar(shades, ax=picture, shrink=0.7, label="normalised weight")
    own = frame["graph"].iloc[0].partition(":")[0]
    for index, (name, group) in enumerate(
        frame[frame["graph"].str.startswith(own)].groupby("graph", sort=False)
    ):
        every = 10 if len(group) > 20 else 1
        curve(axes, group, index, str(name).removeprefix(f"{own}: "), every=every)
    axes.set(xlabel="$i$, in descending order", ylabel="eigenvalue $\\gamma_i$", ylim=(None, 1.03))
    legend(axes, below=True)
    return figure
