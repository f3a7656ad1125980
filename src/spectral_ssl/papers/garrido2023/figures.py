"""The figures of Garrido et al. 2023, from its tables: Figures 1 and 2 and tuning; supplement_figures.py has others."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spectral_ssl.papers.garrido2023.supplement_figures import (
    dots,
    supplement_c,
    supplement_d,
    supplement_e,
    supplement_f,
    supplement_g,
)
from spectral_ssl.plotting import legend, line, lines, new_figure, reference, ticks

__all__ = [
    "figure1",
    "figure2",
    "supplement_c",
    "supplement_d",
    "supplement_e",
    "supplement_f",
    "supplement_g",
    "tuning",
]

Tables = dict[str, pd.DataFrame]
MEASURED = {"validation_accuracy": "validation images", "accuracy": "test images"}
CHOSEN = "0.85"  # a shade of grey


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
        printed = chosen.dropna(subset=["printed"])
        if len(printed):
            reference(axes, printed["embedding_dim"], printed["printed"])
        ticks(axes, sorted(frame["embedding_dim"].unique()))
        axes.set_title(method)
    for axes in panels[len(methods) :]:
        axes.axis("off")
        handles, labels = _named(panels[: len(methods)])
        axes.legend(handles, labels, loc="center")
    for axes in panels[::3]:
        axes.set_ylabel("accuracy (%)")
    for axes in panels[max(len(methods) - 3, 0) : len(methods)]:
        axes.set_xlabel("embedding dimension d")
        axes.tick_params(labelbottom=True)
    return figure


def _named(panels: list[Axes]) -> tuple[list[Any], list[str]]:
    """What any panel shows, each name once: not every panel has a printed value."""
    named: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    return list(named.values()), list(named)


def figure2(tables: Tables) -> Figure:
    """Accuracy against embedding dimension, a line a normalisation."""
    frame = tables["figure2"]
    figure, (axes,) = new_figure()
    lines(axes, frame, "embedding_dim", "accuracy")
    axes.set(xlabel="embedding dimension d", ylabel="accuracy (%)")
    legend(axes, below=True)
    return figure


def tuning(tables: Tables) -> Figure:
    """Validation and test accuracy, a panel a method, a row a candidate; a band where it is chosen."""
    frame = tables["tuning"]
    frame = frame[frame["candidate"] >= 0]
    groups = list(frame.groupby("label", sort=False))
    figure, panels = new_figure((len(groups) + 1) // 2, 2, height=1.8, sharex=True)
    for axes, (label, group) in zip(panels, groups, strict=False):
        _candidates(axes, group)
        axes.set_title(str(label))
    for axes in panels[len(groups) :]:
        axes.axis("off")
    for axes in panels[-2:]:
        axes.set_xlabel("accuracy (%)")
    panels[0].add_patch(Rectangle((0, 0), 0, 0, facecolor=CHOSEN, label="chosen on validation images"))
    legend(panels[0], below=True)
    return figure


def _candidates(axes: Axes, group: pd.DataFrame) -> None:
    for place, chosen in enumerate(group["chosen"]):
        if chosen:
            axes.axhspan(place - 0.5, place + 0.5, facecolor=CHOSEN, zorder=0)
    names = {column: words for column, words in MEASURED.items() if f"{column}_mean" in group}
    for index, (column, words) in enumerate(names.items()):
        aside = (index - (len(names) - 1) / 2) * 0.25
        dots(axes, group, column, index, words, aside=aside)
    axes.set_yticks(range(len(group)), list(group["hyperparameters"]), fontsize=8)
    axes.set_ylim(len(group) - 0.5, -0.5)
