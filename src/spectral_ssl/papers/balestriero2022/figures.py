"""The figures of Balestriero & LeCun 2022, from its tables."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.plotting import COLOURS, DASHES, MARKERS, line, new_figure, ticks

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
    axes.legend()
    return figure


def spectrum(tables: Tables) -> Figure:
    """Eigenvalues of the closed-form solutions, a line a solution."""
    frame = tables["closed_form"].dropna(subset=["index"])
    figure, (axes,) = new_figure()
    for index, (name, group) in enumerate(frame.groupby("solution", sort=False)):
        axes.plot(
            group["index"],
            group["eigenvalue"],
            color=COLOURS[index],
            marker=MARKERS[index],
            linestyle=DASHES[index],
            markersize=4,
            label=str(name),
        )
    axes.set(xlabel="k", ylabel="eigenvalue")
    axes.legend()
    return figure
