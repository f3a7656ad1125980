"""Table 1: accuracy by training length, each length a schedule of its own or a read-out of the longest one's."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_ssl.papers import method_label
from spectral_ssl.papers.haochen2021.marks import printed_marks
from spectral_ssl.papers.haochen2021.printed import FAMILIAR, beside, grid
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text
from spectral_ssl.plotting import legend, lines, new_figure

OWN = ("table1", "table1_cifar10", "table1_cifar100", "table1_tiny_imagenet")
READOUT = "table1_readout"  # on the data set of the first
SCHEDULES = {"accuracy": "schedules of their own", "readout": "read-outs of the longest"}
KEYS = ["method", "label", "epochs"]


def table1(inputs: Inputs) -> Table:
    """Accuracy by data set, method and training length, in the paper's order of methods.

    `accuracy_*` are of schedules of their own, `readout_*` of the longest schedule stopped at that length: NaN on other
    data sets than the tier's own, and at a tier of one length. `printed`: the comparable value. Shown beside each row:
    the paper's three values of its data set, or CIFAR-10's.
    """
    parts: list[pd.DataFrame] = []
    seen: set[str] = set()
    for experiment in OWN:
        frame = inputs.experiment(experiment)
        if set(frame["run"]) <= seen:  # the tier has no such data set, or it is the tier's own
            continue
        dataset = inputs.context.manifest.runs[frame["run"].iloc[0]].dataset
        part = beside(inputs, "table1", frame, KEYS).assign(dataset=dataset)
        parts.append(part.merge(_readout(inputs, set(frame["run"])), "left", KEYS) if not seen else part)
        seen |= set(frame["run"])
    tidy = pd.concat(parts, ignore_index=True)
    return Table(tidy, _shown(tidy))


def _readout(inputs: Inputs, own: set[str]) -> pd.DataFrame:
    """Accuracies of the read-outs, without rows if each is the run of a schedule of its own."""
    frame = inputs.experiment(READOUT)
    found = summarise(frame, KEYS, ["accuracy"])
    found.columns = [
        name if name in KEYS else f"readout_{str(name).removeprefix('accuracy_')}" for name in found
    ]
    return found if set(frame["run"]) - own else found.iloc[:0]


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    spec = grid("table1")
    rows = []
    for (dataset, method), group in tidy.groupby(["dataset", "method"], sort=False):
        values = spec["rows"][method]
        numbers = dict(zip(spec["across"]["epochs"], values.get(dataset, values[FAMILIAR]), strict=True))
        for kind, words in SCHEDULES.items():
            columns = [f"{kind}_n", f"{kind}_diverged"] if kind == "readout" else ["n", "diverged"]
            if not group[columns].fillna(0).to_numpy().any():  # none asked for, or none run yet
                continue
            rows.append(
                {"data set": dataset, "method": method_label(str(method)), "lengths": words}
                | {f"{row['epochs']:g} epochs": _text(row, kind) for row in group.to_dict("records")}
                | {f"printed {epochs}": f"{value:.2f}" for epochs, value in numbers.items()}
            )
    return pd.DataFrame(rows)


def _text(row: dict[Any, Any], kind: str) -> str:
    if kind == "accuracy":
        return text(row, kind)
    return text(row | {"n": row["readout_n"], "diverged": row["readout_diverged"]}, kind)


def table1_figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """Accuracy against training length, a line a method: a panel a kind of schedule, a row of them a data set."""
    frame = tables["table1"]
    kinds = [kind for kind in SCHEDULES if frame[f"{kind}_mean"].notna().any()] or ["accuracy"]
    groups = list(frame.groupby("dataset", sort=False))
    figure, axes = new_figure(len(groups), len(kinds), height=2.8, sharey="row")
    for row, (dataset, group) in enumerate(groups):
        for column, kind in enumerate(kinds):
            panel = axes[row * len(kinds) + column]
            if column and group[f"{kind}_mean"].isna().all():
                panel.axis("off")
                continue
            _panel(panel, group, kind)
            panel.set_title(f"{dataset}: {SCHEDULES[kind]}")
            panel.set_ylabel("" if column else "accuracy (%)")
    legend(axes[0], below=True)
    return figure


def _panel(axes: Axes, frame: pd.DataFrame, kind: str) -> None:
    lines(axes, frame, "epochs", kind)
    axes.set_xlabel("training length (epochs)")
    groups = list(frame.groupby("label", sort=False))
    for index, (_, group) in enumerate(groups):
        printed_marks(axes, group["epochs"], group["printed"], index=index, among=len(groups))
