"""What the loss leaves open and the function class decides: table and figure of the inductive bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spectral_ssl.layout import INDUCTIVE_BIAS
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise
from spectral_ssl.papers.networks import ABSENT, NAMES, empty, read
from spectral_ssl.plotting import COLOURS, MARKERS, new_figure

PROBES = {
    "few5": "five labels a class (%)",
    "knn": "nearest neighbours (%)",
    "clusters": "k-means (Rand index, %)",
}
OPTIMISERS = {"adamw": "AdamW", "sgd": "SGD", "lars": "LARS"}
KEYS = ["network", "optimiser"]
FLOOR = 1e-7  # float32's rounding, of which a smaller excess is made
FILLINGS = ("full", "none", "left")
LIMITS = (-20.0, 105.0)  # intervals of few seeds go beyond what a share can be
CHANCE = {"few5": 10.0, "knn": 10.0, "clusters": 0.0}  # of ten classes, as many of each


def inductive_bias(inputs: Inputs) -> Table:
    """Excess loss and probes of spectral embeddings of one disconnected graph, a row a network and optimiser.

    Probes in percent with 95 % intervals over seeds; `log10_excess`: of the loss above its least value over all
    embeddings, as a share of what that gains; `overlap`: the share of one seed's subspace that another's holds.
    """
    ends = read(inputs, INDUCTIVE_BIAS, "ends.csv")
    if ends is None:
        names = [*KEYS, *(f"{name}_mean" for name in ("log10_excess", *PROBES))]
        return Table(pd.DataFrame(columns=names), ABSENT)
    samples = ends.assign(
        experiment="inductive_bias",
        run=ends["network"] + ", " + ends["optimiser"] + ", seed " + ends["seed"].astype(str),
        dataset="digits",
        source="networks on a disconnected graph",
    )
    for name in (*PROBES, "overlap"):  # there even if every run diverged
        ends[name] = 100 * ends[name] if name in ends else np.nan
    ends["log10_excess"] = np.log10(ends["excess"].clip(lower=FLOOR))
    tidy = summarise(ends, KEYS, ["log10_excess", *PROBES, "overlap"])
    return Table(tidy, pd.DataFrame([_shown(row) for row in tidy.to_dict("records")]), samples)


def _shown(row: dict[Any, Any]) -> dict[str, str]:
    def text(column: str) -> str:
        half = (row[f"{column}_high"] - row[f"{column}_low"]) / 2
        return f"{row[f'{column}_mean']:.0f}" + (f" ± {half:.0f}" if half == half else "")

    named = {"network": NAMES[row["network"]], "optimiser": OPTIMISERS[row["optimiser"]]}
    if row["n"] == 0:
        return named | {"excess loss": "diverged"}
    excess = 10 ** row["log10_excess_mean"]
    return {
        **named,
        "excess loss": f"{excess:.1g}" if excess > FLOOR else f"< {FLOOR:.0e}",
        **{words: text(name) for name, words in PROBES.items()},
        "seeds agree (%)": text("overlap"),
        "seeds": f"{row['n']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else ""),
    }


def inductive_bias_figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """Probes against excess loss, a panel a probe; colour and marker say the network, filling the optimiser."""
    frame = tables["inductive_bias"]
    if frame.empty:
        return empty()
    figure, axes = new_figure(1, len(PROBES), height=2.9, sharex=True)
    networks = [name for name in NAMES if name in set(frame["network"])]
    optimisers = [name for name in OPTIMISERS if name in set(frame["optimiser"])]
    for panel, (probe, words) in zip(axes, PROBES.items(), strict=True):
        for row in frame.to_dict("records"):
            mean, low, high = (row[f"{probe}_{part}"] for part in ("mean", "low", "high"))
            panel.errorbar(
                10 ** row["log10_excess_mean"],
                mean,
                yerr=[[np.nan_to_num(mean - low)], [np.nan_to_num(high - mean)]],
                **_mark(networks.index(row["network"]), optimisers.index(row["optimiser"])),
                capsize=2,
                linewidth=1,
            )
        panel.axhline(CHANCE[probe], color="black", linestyle=":", linewidth=1)
        bottom, top = panel.get_ylim()
        panel.set(xscale="log", ylim=(max(bottom, LIMITS[0]), min(top, LIMITS[1])))
        panel.set(xlabel="excess loss (share)", ylabel=words)
    handles = [
        Line2D([], [], lw=0, label=NAMES[name], **_mark(index, 0)) for index, name in enumerate(networks)
    ]
    handles += [
        Line2D([], [], lw=0, label=OPTIMISERS[name], **(_mark(0, index) | {"color": "grey"}))
        for index, name in enumerate(optimisers)
    ]
    handles.append(Line2D([], [], color="black", linestyle=":", lw=1, label="chance"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _mark(network: int, optimiser: int) -> dict[str, Any]:
    return {
        "color": COLOURS[network],
        "marker": MARKERS[network],
        "fillstyle": FILLINGS[optimiser],
        "markerfacecoloralt": "white",
        "markersize": 6,
    }
