"""Tables and figures of networks trained on finite graphs, shared by the papers whose losses are trained."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spectral_ssl.papers import paper_networks
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise
from spectral_ssl.plotting import COLOURS, DASHES, legend, new_figure

LOSSES = {
    "vicreg": "VICReg",
    "simclr": "SimCLR (Gram)",
    "barlow_twins": "Barlow Twins (whitened)",
    "spectral": "Spectral contrastive",
}
NAMES = {"free": "free embedding", "linear": "linear", "mlp": "MLP", "conv": "convolutional"}
FLOOR = 1e-16  # of float64's rounding: a gap below it, negative ones among them, is none
ABSENT = pd.DataFrame([{"networks": "not trained at this tier"}])
SPANS = {"gap": "gap (share of the gain)", "angle": "largest angle (rad)"}


def read(inputs: Inputs, name: str, file: str) -> pd.DataFrame | None:
    """curves.csv or ends.csv of networks on a finite graph; None where the stage `networks` has not written it."""
    path = inputs.context.layout.networks(name) / file
    return pd.read_csv(path) if path.is_file() else None


def networks(inputs: Inputs) -> Table:
    """Gap and angle to the closed form by loss and network; a row a step, means of log10 over seeds.

    A network is compared with the optimum of its own function class, the MLP with the free one. Shown: where each
    ends, the worst seed's, and how far its optimum is from the free one (`cost of the class`).
    """
    losses = [name for name in paper_networks(inputs.paper) if name in LOSSES]
    found = [(read(inputs, name, "curves.csv"), read(inputs, name, "ends.csv")) for name in losses]
    curves, ends = ([frame for frame in part if frame is not None] for part in zip(*found, strict=True))
    if not curves:
        columns = ["loss", "network", "step", *(f"log10_{name}_mean" for name in SPANS)]
        return Table(pd.DataFrame(columns=columns), ABSENT)
    rows = pd.concat(curves, ignore_index=True).assign(status="finished")
    logs = {f"log10_{name}": np.log10(rows[name].clip(lower=FLOOR)) for name in SPANS}
    tidy = summarise(rows.assign(**logs), ["loss", "network", "step"], [*logs, "rank"])
    return Table(tidy, _shown(pd.concat(ends, ignore_index=True)))


def _shown(ends: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (loss, network), group in ends.groupby(["loss", "network"], sort=False):
        done = group[group["status"] == "finished"]
        first = group.iloc[0]
        rows.append(
            {
                "loss": LOSSES[str(loss)],
                "network": NAMES[str(network)],
                "nodes, K": f"{first['nodes']}, {first['dimension']}",
                "steps": f"{done['step'].max():g}" if len(done) else "",
                "gap": _worst(done["gap"]),
                "angle (rad)": _worst(done["angle"]),
                "rank": ", ".join(f"{rank:g}" for rank in sorted(done["rank"].unique())),
                "cost of the class": f"{done['excess'].min():.2g}"
                if network == "linear" and len(done)
                else "",
                "seeds": f"{len(done)}"
                + (f" ({len(group) - len(done)} diverged)" if len(done) < len(group) else ""),
            }
        )
    return pd.DataFrame(rows)


def _worst(values: pd.Series[float]) -> str:
    """The largest over seeds; below rounding it is none."""
    if values.empty:
        return "diverged"
    return f"{values.max():.1g}" if values.max() > FLOOR else f"< {FLOOR:.0e}"


def networks_figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """Gap and angle against steps, a panel a loss, a line a network with its interval over seeds."""
    frame = tables["networks"]
    losses = list(dict.fromkeys(frame["loss"]))
    if not losses:
        return empty()
    single = len(losses) == 1  # then both panels side by side
    shape = (1, 2) if single else (2, len(losses))
    figure, axes = new_figure(
        *shape, height=2.6 if single else 2.3, sharex=True, sharey=False if single else "row"
    )
    steps = frame[frame["step"] > 0]
    for row, (span, words) in enumerate(SPANS.items()):
        # By the means: an interval of few seeds may stretch over a dozen decades.
        means = 10 ** steps[f"log10_{span}_mean"]
        most = math.pi / 2 if span == "angle" else 10 * float(means.max())
        for column, loss in enumerate(losses):
            panel = axes[row * len(losses) + column]
            part = steps[steps["loss"] == loss]
            for index, network in enumerate(NAMES):
                one = part[part["network"] == network]
                band(panel, one, f"log10_{span}", index, NAMES[network], most=most)
            panel.set(xscale="log", yscale="log", ylim=(means.min() / 30, most * 2))
            powers(panel.yaxis)
            panel.xaxis.set_major_formatter("{x:g}")
            panel.set_title(LOSSES[loss] if row == 0 and not single else "")
            panel.set_xlabel("step" if row or single else "")
            panel.set_ylabel(words if column == 0 else "")
    legend(axes[0], below=True)
    return figure


def powers(axis: Axis) -> None:
    """Every tick of a log axis as a power of ten, 1 among them."""
    axis.set_major_formatter(lambda value, _: f"$10^{{{math.log10(value):.0f}}}$")
    axis.set_minor_locator(NullLocator())


def band(
    axes: Axes, frame: pd.DataFrame, column: str, index: int, label: str, *, most: float = math.inf
) -> None:
    """10 to the means of a logarithm against steps, and the band of their interval, cut at the most that is possible;
    nothing of an empty frame.
    """
    if frame.empty:
        return
    mean, low, high = (10 ** frame[f"{column}_{part}"].to_numpy(float) for part in ("mean", "low", "high"))
    axes.plot(frame["step"], mean, color=COLOURS[index], linestyle=DASHES[index], lw=1.4, label=label)
    axes.fill_between(frame["step"], low, high.clip(max=most), color=COLOURS[index], alpha=0.15, linewidth=0)


def empty() -> Figure:
    """A figure that says that there is nothing to draw."""
    figure, (axes,) = new_figure(height=1.2)
    axes.axis("off")
    axes.text(0.5, 0.5, str(ABSENT["networks"][0]), ha="center", va="center", transform=axes.transAxes)
    return figure
