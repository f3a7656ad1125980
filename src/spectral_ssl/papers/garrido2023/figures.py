"""The figures of Garrido et al. 2023, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.plotting import COLOURS, DASHES, legend, line, lines, new_figure, scatter, ticks

Tables = dict[str, pd.DataFrame]


def figure1(tables: Tables) -> Figure:
    """Accuracy against embedding dimension: a panel a method, a line a projector."""
    frame = tables["figure1"]
    methods = list(dict.fromkeys(frame["label"]))
    figure, panels = new_figure(2, 3, height=2.3, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=False):
        chosen = frame[frame["label"] == method]
        groups = list(chosen.groupby("projector", sort=False))
        for index, (projector, group) in enumerate(groups):
            name = f"projector {projector}"
            line(axes, group, "embedding_dim", "accuracy", index, name, among=len(groups))
        ticks(axes, sorted(frame["embedding_dim"].unique()))
        axes.set_title(method)
    for axes in panels[len(methods) :]:
        axes.axis("off")
        handles, labels = panels[0].get_legend_handles_labels()
        axes.legend(handles, labels, loc="center")
    for axes in panels[::3]:
        axes.set_ylabel("accuracy (%)")
    for axes in panels[max(len(methods) - 3, 0) : len(methods)]:
        axes.set_xlabel("embedding dimension d")
        axes.tick_params(labelbottom=True)
    return figure


def figure2(tables: Tables) -> Figure:
    """Accuracy against embedding dimension, a line a normalisation."""
    frame = tables["figure2"]
    figure, (axes,) = new_figure()
    lines(axes, frame, "embedding_dim", "accuracy")
    axes.set(xlabel="embedding dimension d", ylabel="accuracy (%)")
    legend(axes)
    return figure


def supplement_c(tables: Tables) -> Figure:
    """Offline against online accuracy, a point a run."""
    frame = tables["supplement"].assign(
        online=lambda rows: 100 * rows["online"], offline=lambda rows: 100 * rows["offline"]
    )
    figure, (axes,) = new_figure()
    scatter(axes, frame, "online", "offline")
    axes.set(xlabel="online accuracy (%)", ylabel="offline accuracy (%)")
    legend(axes)
    return figure


def supplement_d(tables: Tables) -> Figure:
    """Density of the off-diagonal cosines, a panel a method."""
    frame = tables["supplement_d"]
    groups = list(frame.groupby("label", sort=False))
    figure, axes = new_figure(1, max(len(groups), 1), sharex=True, sharey=True)
    for panel, (label, group) in zip(axes, groups, strict=False):  # one empty panel if there is no group
        edges = [*group["low"], group["high"].iloc[-1]]
        panel.stairs(group["density"], edges, color=COLOURS[0], linewidth=1.3, label="measured")
        panel.stairs(
            group["sphere"], edges, color=COLOURS[1], linestyle=DASHES[1], label="normal, variance 1/M"
        )
        panel.set(title=str(label), xlabel="cosine of two embeddings")
    axes[0].set_ylabel("density")
    legend(axes[0], below=True)
    return figure


def supplement_f(tables: Tables) -> Figure:
    """Accuracy against the head's parameters, a point a run."""
    figure, (axes,) = new_figure()
    scatter(axes, tables["supplement"], "head_parameters", "accuracy")
    axes.set(xlabel="parameters of the head", ylabel="accuracy (%)", xscale="log")
    legend(axes)
    return figure
