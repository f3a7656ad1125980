"""The figures of Garrido et al. 2023, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.plotting import line, new_figure, ticks


def figure1(tables: dict[str, pd.DataFrame]) -> Figure:
    """Accuracy against embedding dimension: a panel a method, a line a projector."""
    frame = tables["figure1"]
    methods = list(dict.fromkeys(frame["label"]))
    figure, panels = new_figure(2, 3, height=2.3, sharex=True, sharey=True)
    for axes, method in zip(panels, methods, strict=False):
        chosen = frame[frame["label"] == method]
        for index, (projector, group) in enumerate(chosen.groupby("projector", sort=False)):
            line(axes, group, "embedding_dim", "accuracy", index, f"projector {projector}")
        ticks(axes, sorted(frame["embedding_dim"].unique()))
        axes.set_title(method, fontsize=9)
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
