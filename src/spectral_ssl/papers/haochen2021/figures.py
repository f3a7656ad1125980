"""The figures of HaoChen et al. 2021, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.plotting import line, new_figure, ticks

Tables = dict[str, pd.DataFrame]


def table1(tables: Tables) -> Figure:
    """Accuracy against training length, a line a method."""
    frame = tables["table1"]
    figure, (axes,) = new_figure()
    for index, (label, group) in enumerate(frame.groupby("label", sort=False)):
        line(axes, group, "epochs", "accuracy", index, str(label))
    ticks(axes, sorted(frame["epochs"].unique()))
    axes.set(xlabel="training length (epochs)", ylabel="accuracy (%)")
    axes.legend()
    return figure


def table3(tables: Tables) -> Figure:
    """Accuracy against mu."""
    frame = tables["table3"]
    figure, (axes,) = new_figure()
    line(axes, frame, "mu", "accuracy", 0, "Spectral contrastive")
    ticks(axes, sorted(frame["mu"].unique()))
    axes.set(xlabel="mu, squared radius of the feature ball", ylabel="accuracy (%)")
    return figure
