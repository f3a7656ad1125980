"""The tables of Garrido et al. 2023, from measurements; supplement.py has those of its supplement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.papers import method_label, read
from spectral_ssl.papers.garrido2023.supplement import supplement, supplement_d
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

__all__ = ["figure1", "figure2", "supplement", "supplement_d", "table1"]

BLIND = 1e-6  # a loss is blind to a change that moves it by less than this, relative
DIVERGED = {"measured": "diverged"}
IMPOSED = 1e-6  # a norm is imposed where its coefficient of variation is below this


def figure1(inputs: Inputs) -> Table:
    """Accuracy by method, projector and embedding dimension."""
    frame = inputs.experiment("figure1")
    columns = [
        column
        for column in ("accuracy", "online", "lbfgs", "embedding_effective_rank_centred")
        if column in frame
    ]
    tidy = summarise(frame, ["method", "label", "projector", "embedding_dim"], columns)
    shown = pd.DataFrame(
        [
            {"method": label, "projector": projector}
            | {f"d = {row['embedding_dim']:g}": text(row, "accuracy") for row in group.to_dict("records")}
            for (label, projector), group in tidy.groupby(["label", "projector"], sort=False)
        ]
    )
    return Table(tidy, shown)


def figure2(inputs: Inputs) -> Table:
    """Accuracy by normalisation of SimCLR and embedding dimension."""
    frame = inputs.experiment("figure2")
    columns = [column for column in ("accuracy", "online", "lbfgs") if column in frame]
    tidy = summarise(frame, ["method", "label", "embedding_dim"], columns)
    shown = pd.DataFrame(
        [
            {"method": label}
            | {f"d = {row['embedding_dim']:g}": text(row, "accuracy") for row in group.to_dict("records")}
            for label, group in tidy.groupby("label", sort=False)
        ]
    )
    return Table(tidy, shown)


def table1(inputs: Inputs) -> Table:
    """The normalisation marks of each method, measured on trained embeddings; a row a method and mark.

    A printed norm holds where the mean norm is within the tolerance of it in every seed; an empty cell where no
    common norm is imposed; centring where the loss does or does not see a shift of all embeddings.
    """
    marks = read("garrido2023/published.yaml")["marks"]
    frame = inputs.experiment("table1")
    frame = frame[frame["status"] == "finished"]
    rows = []
    for column, method in enumerate(marks["columns"]):
        measured = [_measure(inputs, run) for run in frame[frame["method"] == method]["run"]]
        for mark, printed in marks["rows"].items():
            found = _judge(mark, printed[column], measured, marks["tolerance"]) if measured else DIVERGED
            rows.append(
                {"method": method, "label": method_label(method), "mark": mark, "printed": printed[column]}
                | {"n": len(measured)}
                | found
            )
    tidy = pd.DataFrame(rows)
    cells = tidy.assign(cell=tidy["measured"] + " (printed: " + tidy["printed"] + ")")
    shown = cells.pivot(index="label", columns="mark", values="cell").loc[list(dict.fromkeys(tidy["label"]))]
    shown.columns = [str(name).replace("_", " ") for name in shown.columns]
    return Table(tidy, shown.reset_index().rename(columns={"label": "method"}))


def _judge(mark: str, printed: str, measured: list[dict[str, float]], tolerance: float) -> dict[str, Any]:
    """What the seeds measured of one mark, in the printed unit, and whether every seed agrees."""
    if mark == "dimension_centring":
        blind = [run["shift"] < BLIND for run in measured]
        text = "yes" if all(blind) else "no" if not any(blind) else "varies"
        return {"measured": text, "verdict": "holds" if text == printed else "differs"}
    variation = float(np.mean([run[f"{mark}_cv"] for run in measured]))
    if printed == "none":
        imposed = [run[f"{mark}_cv"] < IMPOSED for run in measured]
        return {
            "measured": f"not one norm, cv {variation:.2g}",
            "verdict": "differs" if any(imposed) else "holds",
        }
    ratios = [run[mark] / run[printed] for run in measured]
    close = all(abs(ratio - 1) <= tolerance for ratio in ratios)
    text = f"{np.mean(ratios):.3g} times, cv {variation:.2g}"
    return {"measured": text, "verdict": "holds" if close else "differs"}


def _measure(inputs: Inputs, run_id: str) -> dict[str, float]:
    """Norms of one run's embeddings Z (N, M) of test images as its loss compares them, and the printed units.

    SimCLR's variants compare normalised embeddings, VICReg's family centred ones. VICReg-ctr's norm is in units of
    sqrt(M) in the default scaling, which sets the deviation over dimensions to 1 and divides the Gram matrix by M.
    """
    run = inputs.context.manifest.runs[run_id]
    z = torch.from_numpy(np.load(inputs.context.layout.runs / run_id / "features.npz")["embeddings"]).double()
    n, m = z.shape
    options = dict(run.hyperparameters)
    if run.loss == "simclr":
        applied = {name: bool(options.get(name, False)) for name in ("center", "standardise")}
        seen = normalise_embeddings(z, **applied)
    else:
        seen = z - z.mean(dim=0)
    unit = m**0.5 if run.loss == "vicreg_ctr" and options.get("scaling", "deviation") == "deviation" else 1.0
    half = n // 2
    loss = get_loss(run.loss)
    before = loss(z[:half], z[half : 2 * half], **options).total
    shift = 10 * z.std(dim=0)
    after = loss(z[:half] + shift, z[half : 2 * half] + shift, **options).total
    rows, columns = seen.norm(dim=1), seen.norm(dim=0)
    return {
        "shift": float((after - before).abs() / before.abs()),
        "embedding_norm": float(rows.mean()) / unit,
        "embedding_norm_cv": float(rows.std() / rows.mean()),
        "dimension_norm": float(columns.mean()),
        "dimension_norm_cv": float(columns.std() / columns.mean()),
        "1": 1.0,
        "sqrt(N)": n**0.5,
        "sqrt(N/M)": (n / m) ** 0.5,
    }
