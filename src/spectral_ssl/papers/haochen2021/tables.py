"""The tables of HaoChen et al. 2021, from measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spectral_ssl.papers import method_label, read
from spectral_ssl.papers.haochen2021.graphs import augmentation_graph, augmentation_matrix, toy_graph
from spectral_ssl.papers.haochen2021.inductive import inductive_bias
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text
from spectral_ssl.papers.networks import networks

__all__ = [
    "ablations",
    "agreement",
    "augmentation_graph",
    "augmentation_matrix",
    "inductive_bias",
    "networks",
    "table1",
    "table2",
    "table3",
    "toy_graph",
]

EXTRA = ["accuracy", "online", "lbfgs", "knn"]
ABLATIONS = {
    "batch_size": ["method", "batch_size"],
    "head": ["projector"],
    "projection": ["projection"],
    "function_class": ["encoder", "optimiser"],
}
BINS = np.linspace(-1, 1, 41)


def table1(inputs: Inputs) -> Table:
    """Accuracy by method and training length, in the paper's order of methods, printed CIFAR-10 values beside."""
    frame = inputs.experiment("table1")
    columns = [column for column in EXTRA if column in frame]
    tidy = summarise(frame, ["method", "label", "epochs"], columns)
    printed = read("haochen2021/published.yaml")["grids"]["table1"]
    shown = pd.DataFrame(
        [
            {
                "method": method_label(str(method)),
                **{f"{row['epochs']:g} epochs": text(row, "accuracy") for row in group.to_dict("records")},
                **dict(
                    zip(
                        [f"printed {n}" for n in printed["across"]["epochs"]],
                        printed["rows"][str(method)]["cifar10"],
                        strict=True,
                    )
                ),
            }
            for method, group in tidy.groupby("method", sort=False)
        ]
    )
    return Table(tidy, shown)


def table2(inputs: Inputs) -> Table:
    """Accuracy by method, all trained equally long, printed ImageNet values beside."""
    frame = inputs.experiment("table2")
    columns = [column for column in EXTRA if column in frame]
    tidy = summarise(frame, ["method", "label"], columns)
    printed = read("haochen2021/published.yaml")["grids"]["table2"]["rows"]
    rows = tidy.to_dict("records")
    shown = pd.DataFrame(
        [
            {"method": row["label"], "accuracy": text(row, "accuracy")}
            | {"printed (ImageNet)": f"{printed[row['method']]['imagenet']:g}"}
            for row in rows
        ]
    )
    return Table(tidy, shown)


def ablations(inputs: Inputs) -> Table:
    """Accuracy of each experiment that varies one thing at a time; a row a cell, `setting` in words."""
    parts = []
    for experiment, factors in ABLATIONS.items():
        frame = inputs.experiment(experiment)
        columns = [column for column in EXTRA if column in frame]
        part = summarise(frame, factors, columns)
        words = [
            ", ".join(_word(name, row[name]) for name in factors) for row in part[factors].to_dict("records")
        ]
        parts.append(part.assign(experiment=experiment, setting=words))
    tidy = pd.concat(parts, ignore_index=True)
    shown = [
        {
            "experiment": row["experiment"].replace("_", " "),
            "setting": row["setting"],
            "accuracy": text(row, "accuracy"),
        }
        for row in tidy.to_dict("records")
    ]
    return Table(tidy, pd.DataFrame(shown))


def _word(name: str, value: object) -> str:
    if name == "method":
        return method_label(str(value))
    return f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float | int) else f"{value}"


def agreement(inputs: Inputs) -> Table:
    """Histograms of cosines of positive and of random pairs, before and after training; a row a bin.

    `share` is the part of a seed's pairs in the bin, averaged over seeds.
    """
    frame = inputs.experiment("table2")
    frame = frame[frame["method"] == "spectral"]
    finished = frame.loc[frame["status"] == "finished", "run"]
    runs = [np.load(inputs.context.layout.runs / run / "features.npz")["agreement"] for run in finished]
    rows = []
    for when, time in enumerate(("before", "after")):
        for which, pair in enumerate(("one image", "two images")):
            shares = [np.histogram(run[when, which].clip(-1, 1), BINS)[0] / run.shape[-1] for run in runs]
            share = np.mean(shares, axis=0) if shares else np.full(len(BINS) - 1, np.nan)
            rows += [
                {"time": time, "pair": pair, "low": low, "high": high, "share": value}
                for low, high, value in zip(BINS[:-1], BINS[1:], share, strict=True)
            ]
    measured = summarise(frame, ["label"], ["separation_before", "separation_after"]).to_dict("records")
    shown = [
        {"method": row["label"]}
        | {f"separation {time} training": text(row, f"separation_{time}", 3) for time in ("before", "after")}
        for row in measured
    ]
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def table3(inputs: Inputs) -> Table:
    """Accuracy of the spectral loss by mu."""
    frame = inputs.experiment("table3")
    columns = [column for column in EXTRA if column in frame]
    tidy = summarise(frame, ["mu"], columns)
    shown = pd.DataFrame([{f"mu = {row['mu']:g}": text(row, "accuracy") for row in tidy.to_dict("records")}])
    return Table(tidy, shown)
