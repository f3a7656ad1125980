"""The figures of Garrido et al. 2023's supplement, C to G, from its tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_ssl.papers.measure import summarise
from spectral_ssl.plotting import COLOURS, DASHES, MARKERS, legend, line, new_figure, scatter

Tables = dict[str, pd.DataFrame]
ENDS = {"samples": "samples of length 1", "dimensions": "dimensions of length 1"}
DOMINANCE = {
    "embedding_gram_dominance": "Gram matrix, embedding",
    "embedding_covariance_dominance": "covariance, embedding",
    "representation_gram_dominance": "Gram matrix, representation",
    "representation_covariance_dominance": "covariance, representation",
}


def dots(
    axes: Axes,
    frame: pd.DataFrame,
    column: str,
    index: int,
    label: str,
    *,
    aside: float = 0.0,
    first: int = 0,
) -> None:
    """A mean a row from row `first` on, across, with its interval; nothing where every seed diverged."""
    mean = frame[f"{column}_mean"]
    ends = (mean - frame[f"{column}_low"]).fillna(0), (frame[f"{column}_high"] - mean).fillna(0)
    axes.errorbar(
        mean,
        [first + place + aside for place in range(len(frame))],
        xerr=ends,
        color=COLOURS[index],
        marker=MARKERS[index],
        linestyle="none",
        markersize=4,
        capsize=2,
        label=label,
    )


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """A named row a method, the first above."""
    axes.set_yticks(range(len(names)), list(names), fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)


def supplement_c(tables: Tables) -> Figure:
    """Offline against online accuracy, a point a run of Figure 1, and the line where both are equal."""
    frame = tables["supplement"]
    frame = frame[frame["experiment"] == "figure1"].assign(
        online=lambda rows: 100 * rows["online"], offline=lambda rows: 100 * rows["offline"]
    )
    figure, (axes,) = new_figure(height=3.2)
    scatter(axes, frame, "online", "offline")
    if len(frame):
        least = float(frame[["online", "offline"]].min().min())
        axes.axline((least, least), slope=1, color="0.4", linewidth=0.8, label="equal")
    found = tables["supplement_c"].iloc[0]
    if pd.notna(found["correlation"]):
        ends = f"{found['low']:.2f} to {found['high']:.2f}"
        axes.set_title(f"correlation {found['correlation']:.2f}, 95 % interval {ends}")
    axes.set(xlabel="online accuracy (%)", ylabel="offline accuracy, linear, all labels (%)")
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


def supplement_e(tables: Tables) -> Figure:
    """Lemma 3.4's quantities between their bounds at the end of training, and the samples' one by epoch."""
    frame = tables["supplement_e"]
    labels = list(dict.fromkeys(frame["label"]))
    figure, (*ends, course, beside) = new_figure(2, 2, height=2.2)
    last = frame[frame["epoch"].isna()]
    for panel, (side, words) in zip(ends, ENDS.items(), strict=True):
        part = last[last["side"] == side]
        for row, label in enumerate(labels):
            _between(panel, part[part["label"] == label], row)
        _rows(panel, labels if side == "samples" else [""] * len(labels))
        panel.set(xscale="log", xlabel="over the lower bound")
        panel.set_title(words)
    for index, label in enumerate(labels):
        part = frame[(frame["label"] == label) & frame["epoch"].notna()]
        every = max(1, len(part) // 5)
        course.plot(
            part["epoch"],
            part["over_lower_mean"],
            color=COLOURS[index],
            linestyle=DASHES[index],
            linewidth=1.3,
            marker=MARKERS[index],
            markersize=4,
            markevery=(index % every, every),
            label=label,
        )
    course.axhline(1, color="0.6", linewidth=1.5, zorder=0)
    course.set(xlabel="epoch", ylabel="over the lower bound")
    course.set_title("samples of length 1, in training")
    beside.axis("off")
    if course.lines[:-1]:
        beside.legend(*course.get_legend_handles_labels(), loc="center", fontsize=8)
    return figure


def _between(axes: Axes, row: pd.DataFrame, index: int) -> None:
    """A method's row: a grey line from bound to bound, and the measured mean with its interval cut at the bounds."""
    upper = row["upper"].max()
    if pd.isna(upper):
        return
    axes.hlines(index, 1, upper, color="0.8", linewidth=3, zorder=0)
    axes.plot([1, upper], [index, index], color="0.4", marker="|", linestyle="none", markersize=8)
    low, high = (row[f"over_lower_{end}"].clip(1, upper) for end in ("low", "high"))
    dots(axes, row.assign(over_lower_low=low, over_lower_high=high), "over_lower", index, "", first=index)


def supplement_f(tables: Tables) -> Figure:
    """Accuracy against the head's parameters: means over seeds, SimCLR's variants in a panel of their own."""
    runs = tables["supplement"].assign(status="finished")
    columns = ["label", "head_parameters"]
    frame = summarise(runs, columns, ["accuracy"]) if len(runs) else pd.DataFrame(columns=columns)
    frame = frame.sort_values("head_parameters", kind="stable")
    labels = list(dict.fromkeys(runs["label"]))
    families = [
        [one for one in labels if one.startswith("SimCLR") == contrastive] for contrastive in (False, True)
    ]
    figure, panels = new_figure(2, 1, height=2.5, sharex=True, sharey=True)
    for panel, family in zip(panels, families, strict=True):
        for place, label in enumerate(family):
            group = frame[frame["label"] == label]
            line(panel, group, "head_parameters", "accuracy", place, label, among=len(family))
        panel.set_ylabel("accuracy (%)")
        if family:
            panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8)
    sizes = frame["head_parameters"]
    scale = "log" if sizes.max() > 2 * sizes.min() else "linear"
    panels[-1].set(xlabel="parameters of the head", xscale=scale)
    return figure


def supplement_g(tables: Tables) -> Figure:
    """Diagonal dominance by method: a panel a matrix and space, a line at 1."""
    frame = tables["supplement"]
    frame = frame[frame["default"]].assign(status="finished")
    figure, panels = new_figure(2, 2, height=2.2, sharex=True, sharey=True)
    rows = summarise(frame, ["label"], list(DOMINANCE)) if len(frame) else pd.DataFrame(columns=["label"])
    for panel, (column, title) in zip(panels, DOMINANCE.items(), strict=True):
        if len(rows):
            dots(panel, rows, column, 0, "")
        panel.axvline(1, color="0.4", linestyle="--", linewidth=1)
        panel.set(xscale="log", title=title)
    for panel in panels[::2]:
        _rows(panel, list(rows["label"]) or [""])
    for panel in panels[2:]:
        panel.set_xlabel("diagonal over the others' sum")
    return figure
