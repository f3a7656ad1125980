"""The tables of HaoChen et al. 2021, from measurements."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spectral_ssl.data.arrays import read_arrays
from spectral_ssl.papers.haochen2021.ablations import ablations
from spectral_ssl.papers.haochen2021.graphs import augmentation_graph, augmentation_matrix, toy_graph
from spectral_ssl.papers.haochen2021.inductive import inductive_bias
from spectral_ssl.papers.haochen2021.lengths import table1
from spectral_ssl.papers.haochen2021.printed import beside, grid
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

BINS = np.linspace(-1, 1, 41)


def table2(inputs: Inputs) -> Table:
    """Accuracy by method, all trained equally long, printed ImageNet values beside."""
    tidy = beside(inputs, "table2", inputs.experiment("table2"), ["method", "label"])
    values = grid("table2")["rows"]
    shown = pd.DataFrame(
        [
            {"method": row["label"], "accuracy": text(row, "accuracy")}
            | {"printed (ImageNet)": f"{values[row['method']]['imagenet']:g}"}
            for row in tidy.to_dict("records")
        ]
    )
    return Table(tidy, shown)


def agreement(inputs: Inputs) -> Table:
    """Histograms of cosines of positive and of random pairs, before and after training; a row a bin.

    `share` is the part of a seed's pairs in the bin, averaged over seeds.
    """
    frame = inputs.experiment("table2")
    frame = frame[frame["method"] == "spectral"]
    finished = frame.loc[frame["status"] == "finished", "run"]
    files = [inputs.context.layout.runs / run / "features.npz" for run in finished]
    runs = [read_arrays(file, ["agreement"], kinds="f", ndim=3)["agreement"] for file in files]
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
    tidy = beside(inputs, "table3", inputs.experiment("table3"), ["mu"])
    shown = pd.DataFrame([{f"mu = {row['mu']:g}": text(row, "accuracy") for row in tidy.to_dict("records")}])
    return Table(tidy, shown)
