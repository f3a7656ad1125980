"""The tables of Garrido et al. 2023: Figures 1 and 2 and Table 1; tuning.py and supplement.py have others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.papers import method_label, read
from spectral_ssl.papers.garrido2023.closeness import embeddings_of, supplement_e
from spectral_ssl.papers.garrido2023.supplement import supplement, supplement_c, supplement_d
from spectral_ssl.papers.garrido2023.tuning import tuning
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.manifest import projector
from spectral_ssl.papers.measure import summarise, text, without
from spectral_ssl.papers.printed import printed_cells

__all__ = [
    "figure1",
    "figure2",
    "supplement",
    "supplement_c",
    "supplement_d",
    "supplement_e",
    "table1",
    "tuning",
]

BLIND = 1e-6  # a loss is blind to a change that moves it by less than this, relative
ROUNDING = 1e-12  # a coefficient of variation below it is none
OTHER = {"embedding_norm": "dimension_norm", "dimension_norm": "embedding_norm"}


def figure1(inputs: Inputs) -> Table:
    """Accuracy by method, projector and embedding dimension; `printed` where the paper's is of the same experiment."""
    frame = inputs.experiment("figure1")
    columns = [
        column
        for column in ("accuracy", "online", "lbfgs", "embedding_effective_rank_centred")
        if column in frame
    ]
    tidy = summarise(frame, ["method", "label", "projector", "embedding_dim"], columns)
    tidy["printed"] = _printed(inputs, frame, tidy)
    shown = pd.DataFrame(
        [
            {"method": label, "projector": projector}
            | {f"d = {row['embedding_dim']:g}": text(row, "accuracy") for row in group.to_dict("records")}
            for (label, projector), group in tidy.groupby(["label", "projector"], sort=False)
        ]
    )
    return Table(tidy, shown)


def _printed(inputs: Inputs, frame: pd.DataFrame, tidy: pd.DataFrame) -> list[float]:
    """The printed accuracy of each cell, in percent; NaN for another data set, encoder, length or probe, and where none
    is printed.
    """
    cells, wanted = {}, {}
    for name, keys, value, grid in printed_cells("garrido2023"):
        if name == "figure1":
            networks = keys["embedding_dim"], projector(keys["projector"], keys["embedding_dim"])
            cells[(keys["method"], *networks)] = value
            wanted = grid["protocol"]
    if wanted.get("metric") != inputs.context.tier.probes.metric:
        return [float("nan")] * len(tidy)
    settings = {name: value for name, value in wanted.items() if name != "metric"}
    cell = ["method", "projector", "embedding_dim"]
    runs = {key: inputs.context.manifest.runs[group["run"].iloc[0]] for key, group in frame.groupby(cell)}
    found = []
    for key in tidy[cell].itertuples(index=False, name=None):
        run = runs[key]
        same = all(getattr(run, name) == value for name, value in settings.items())
        place = (key[0], run.embedding_dim, run.projector)
        found.append(cells.get(place, float("nan")) if same else float("nan"))
    return found


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

    A printed norm holds where in every seed the mean norm is within the tolerance of it, and the norms' coefficient of
    variation within the tolerance of 0; an empty cell where in every seed this norm varies more than the other,
    which is the one imposed; centring where the loss does or does not see a shift of all embeddings.
    """
    marks = read("garrido2023/published.yaml")["marks"]
    frame = inputs.experiment("table1")
    rows = []
    for column, method in enumerate(marks["columns"]):
        cells = frame[frame["method"] == method]
        measured = [_measure(inputs, run) for run in cells.loc[cells["status"] == "finished", "run"]]
        none = {"measured": without((cells["status"] == "diverged").sum())}
        for mark, printed in marks["rows"].items():
            found = _judge(mark, printed[column], measured, marks["tolerance"]) if measured else none
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
    variation = [run[f"{mark}_cv"] for run in measured]
    if printed == "none":
        other = [run[f"{OTHER[mark]}_cv"] for run in measured]
        more = all(ours > theirs for ours, theirs in zip(variation, other, strict=True))
        text = "not one norm" if more else "the more equal norm"
        return {"measured": f"{text}, {_spread(variation)}", "verdict": "holds" if more else "differs"}
    ratios = [run[mark] / run[printed] for run in measured]
    close = all(abs(ratio - 1) <= tolerance for ratio in ratios) and max(variation) <= tolerance
    text = f"mean norm {np.mean(ratios):.3g} of it, {_spread(variation)}"
    return {"measured": text, "verdict": "holds" if close else "differs"}


def _spread(variation: list[float]) -> str:
    """The mean over seeds of the norms' coefficient of variation, in words; rounding is none."""
    mean = float(np.mean(variation))
    return f"coefficient of variation {mean:.2g}" if mean > ROUNDING else "coefficient of variation 0"


def _measure(inputs: Inputs, run_id: str) -> dict[str, float]:
    """Norms of one run's embeddings Z (N, M) of test images as its loss compares them, and the printed units.

    SimCLR's variants compare normalised embeddings, VICReg's family centred ones. VICReg-ctr's norm is in units of
    sqrt(M) in the default scaling, which sets the deviation over dimensions to 1 and divides the Gram matrix by M.
    """
    run = inputs.context.manifest.runs[run_id]
    z = torch.from_numpy(embeddings_of(inputs.context.layout.runs / run_id)).double()
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
