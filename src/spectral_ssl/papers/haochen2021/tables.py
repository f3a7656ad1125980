"""The tables of HaoChen et al. 2021, from measurements."""

from __future__ import annotations

import pandas as pd

from spectral_ssl.papers import method_label, read
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

EXTRA = ["accuracy", "online", "lbfgs", "knn"]


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


def table3(inputs: Inputs) -> Table:
    """Accuracy of the spectral loss by mu."""
    frame = inputs.experiment("table3")
    columns = [column for column in EXTRA if column in frame]
    tidy = summarise(frame, ["mu"], columns)
    shown = pd.DataFrame([{f"mu = {row['mu']:g}": text(row, "accuracy") for row in tidy.to_dict("records")}])
    return Table(tidy, shown)
