"""Figures of optima: staircases, the synthetic setting, what two abstracts disagree on, and what losses cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_ssl.papers.networks import powers
from spectral_ssl.plotting import COLOURS, DASHES, MARKERS, legend, line, new_figure, ticks

REGIMES = {"trained": "trained encoders", "linear": "linear networks, closed form"}
LABELS = {"1": "1 label a class", "5": "5 labels a class", "all": "all labels"}

Tables = dict[str, pd.DataFrame]


def staircase(tables: Tables) -> Figure:
    """VICReg's singular values and rank against gamma, the other losses' against k; descent over closed forms."""
    frame = tables["staircase"]
    figure, axes = new_figure(2, 2, height=2.4)
    stairs = frame[frame["method"] == "VICReg"]
    for source, part in stairs.groupby("source", sort=False):
        for index, (_, group) in enumerate(part.groupby("index")):
            name = "" if source == "descent" else f"k = {index + 1}"
            _mark(axes[0], group["gamma"], group["value"], index, source == "descent", name)
        steps = part.drop_duplicates("gamma").sort_values("gamma")
        if source == "descent":
            _mark(axes[1], steps["gamma"], steps["rank"], 1, True, "found")
        else:
            axes[1].step(steps["gamma"], steps["rank"], where="post", color=COLOURS[0], label="predicted")
    for panel in axes[:2]:
        panel.set(xscale="log", xlabel="invariance weight $\\gamma$")
    axes[0].set(ylabel="$\\sqrt{c_k}$", title="VICReg: singular values of $HZ/\\sqrt{n'}$")
    axes[1].set(ylabel="rank of HZ", title="VICReg: rank", ylim=(-0.3, None))
    titles = {
        "SimCLR": "SimCLR (Gram form): singular values of Z",
        "Barlow Twins": "Barlow Twins, whitened: correlations",
    }
    for panel, (name, title) in zip(axes[2:], titles.items(), strict=True):
        values = frame[frame["method"].str.startswith(name)]
        for source, group in values.groupby("source", sort=False):
            found = source == "descent"
            _mark(panel, group["index"], group["value"], int(found), found, str(source))
        panel.set(xlabel="index k", title=title, ylim=(0, 1.1 * values["value"].max()))
    axes[2].set_ylabel("$\\sqrt{\\lambda_k}$")
    axes[3].set_ylabel("$\\rho_k$")
    for panel in axes[1:]:
        panel.legend(fontsize=8, loc="lower left")
    legend(axes[0], below=True)
    return figure


def synthetic(tables: Tables) -> Figure:
    """Eigenvalues, what each dimension holds, losses against K and descent's gap, a line a loss."""
    frame = tables["synthetic"]
    figure, axes = new_figure(2, 2, height=2.4)
    for index, (name, group) in enumerate(frame.groupby("method", sort=False)):
        parts = {what: part.sort_values("index") for what, part in group.groupby("what")}
        eigenvalues = parts["eigenvalue"]
        _mark(axes[0], eigenvalues["index"], eigenvalues["closed"], index, False, str(name))
        for panel, what in ((axes[1], "spectrum"), (axes[2], "loss")):
            for source in ("closed", "descent"):
                found = parts[what].dropna(subset=[source])
                _mark(panel, found["index"], found[source], index, source == "descent")
        _mark(axes[3], parts["gap"]["index"], parts["gap"]["descent"], index, False, marked=True)
    labels = (
        ("eigenvalues of L, of G, of the pairs", "index k", "eigenvalue"),
        ("singular values of Z (Barlow Twins: $\\rho_k$)", "index k", "singular value"),
        ("least loss", "dimensions K", "loss, relative"),
        ("descent", "steps of L-BFGS", "loss gap, relative"),
    )
    for panel, (title, x, y) in zip(axes, labels, strict=True):
        panel.set(title=title, xlabel=x, ylabel=y)
    axes[0].set_yscale("log")
    axes[2].set_ylim(0, 1)
    axes[3].set(yscale="log", xscale="log")
    axes[3].xaxis.set_major_formatter("{x:g}")
    powers(axes[3].yaxis)
    axes[0].plot(
        [], [], linestyle="none", marker="o", color="0.3", markerfacecolor="none", label="found by L-BFGS"
    )
    legend(axes[0], below=True)
    return figure


def settle(tables: Tables) -> Figure:
    """Accuracy by relation, a row a regime and a column a number of labels, a line a setting."""
    frame = tables["settle"]
    figure, axes = new_figure(2, 3, height=2.5, sharex=True, sharey=True)
    shared = list(dict.fromkeys(frame["pairs"]))
    settings = list(dict.fromkeys(frame["setting"][frame["what"] == "accuracy"]))
    names = {setting: _weighted(frame, setting) for setting in settings}
    panels = [(regime, labels) for regime in REGIMES for labels in LABELS]
    for place, (panel, (regime, labels)) in enumerate(zip(axes, panels, strict=True)):
        part = frame[(frame["what"] == "accuracy") & (frame["regime"] == regime)]
        part = part[part["labels"].astype(str) == labels]
        for setting, group in part.groupby("setting", sort=False):
            group = group.assign(place=[shared.index(pairs) for pairs in group["pairs"]])
            index = settings.index(str(setting))
            line(panel, group, "place", "accuracy", index, names[str(setting)], among=len(settings))
        if len(part):
            panel.axhline(
                part["chance"].iloc[0], color="black", linestyle=DASHES[3], linewidth=1, label="chance"
            )
        panel.set_xticks(range(len(shared)), [name.replace(", ", ",\n") for name in shared], fontsize=7)
        panel.margins(x=0.15)
        if place < len(LABELS):
            panel.set_title(LABELS[labels])
        else:
            panel.set_xlabel("pairs share", fontsize=8)
        if place % len(LABELS) == 0:
            panel.set_ylabel(f"{REGIMES[regime]}\naccuracy (%)", fontsize=8)
    legend(axes[-1], below=True)
    return figure


def _weighted(frame: pd.DataFrame, setting: str) -> str:
    """A setting's name, VICReg's with its invariance weight in each regime: d is the mean degree of G."""
    rows = frame[(frame["what"] == "accuracy") & (frame["setting"] == setting)].dropna(subset=["weight"])
    weights = rows.drop_duplicates("regime").set_index("regime")["weight"]
    if weights.empty:
        return setting
    trained = f"trained {weights['trained']:g}" if "trained" in weights else "not trained"
    linear = f", linear {weights['linear']:g}/d" if "linear" in weights else ""
    return f"{setting}: {trained}{linear}"


def costs(tables: Tables) -> Figure:
    """Counted operations against N and against K, log-log, with the fitted exponents."""
    frame = tables["costs"]
    figure, axes = new_figure(1, 2, height=3.4)
    for panel, (varied, part) in zip(axes, frame.groupby("varied", sort=False), strict=True):
        for index, (loss, group) in enumerate(part.groupby("loss", sort=False)):
            first = group.iloc[0]
            fitted = [f"{first[name]:.2f}" for name in ("exponent", "exponent_low", "exponent_high")]
            label = f"{loss}: {fitted[0]} [{fitted[1]}, {fitted[2]}]"
            _mark(panel, group["size"], group["operations"], index, False, label, marked=True)
        panel.set(yscale="log", ylabel="operations")
        ticks(panel, sorted(part["size"].unique()))
        panel.set_xlabel({"N": "samples N (K = 64)", "K": "dimensions K (N = 128)"}[str(varied)])
        panel.legend(
            fontsize=7,
            title="exponent [95 % interval]",
            title_fontsize=7,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.25),
        )
    return figure


def _mark(
    axes: Axes,
    x: pd.Series[float],
    y: pd.Series[float],
    index: int,
    descent: bool,
    label: str = "",
    *,
    marked: bool = False,
) -> None:
    """Values in closed form as a line, if `marked` with marks, or those that descent found as hollow marks."""
    style = index % len(COLOURS)
    axes.plot(
        *(np.asarray(x), np.asarray(y)),
        color=COLOURS[style],
        linestyle="none" if descent else DASHES[style],
        marker=MARKERS[style] if descent or marked else None,
        markersize=5 if descent else 4,
        markerfacecolor="none" if descent else None,
        linewidth=1.3,
        label=label,
    )
