"""The tables of Garrido et al. 2023, from measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.papers import method_label
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

STEADY = 0.1  # a norm is given where its coefficient of variation is below this
BLIND = 1e-4  # a loss is blind to a change that moves it by less than this, relative


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
            | {f"d = {row['embedding_dim']}": text(row, "accuracy") for row in group.to_dict("records")}
            for (label, projector), group in tidy.groupby(["label", "projector"], sort=False)
        ]
    )
    return Table(tidy, shown)


def table1(inputs: Inputs) -> Table:
    """The normalisation marks of each method, measured on trained embeddings; a row a method."""
    frame = inputs.experiment("table1")
    rows = []
    for method, group in frame.groupby("method", sort=False):
        finished = group[group["status"] == "finished"]
        if finished.empty:
            continue
        measured = [_marks(inputs, run) for run in finished["run"]]
        row: dict[str, Any] = {"method": method, "label": method_label(str(method)), "n": len(measured)}
        for name in ("dimension_centring", "embedding_norm", "dimension_norm"):
            found = sorted({marks[name] for marks in measured})
            row[name] = found[0] if len(found) == 1 else "varies"
        for name in (
            "shift_sensitivity",
            "embedding_norm_mean",
            "embedding_norm_cv",
            "dimension_norm_mean",
            "dimension_norm_cv",
        ):
            row[name] = float(np.mean([marks[name] for marks in measured]))
        rows.append(row)
    tidy = pd.DataFrame(rows)
    names = {
        "dimension_centring": "dimension centring",
        "embedding_norm": "embedding norm",
        "dimension_norm": "dimension norm",
    }
    shown = tidy[["label", *names]].rename(columns=names | {"label": "method"})
    return Table(tidy, shown)


def _marks(inputs: Inputs, run_id: str) -> dict[str, Any]:
    """Marks of one run's embeddings Z (N, M) of test images, as its loss sees them.

    Centring: the loss does not move when one vector is added to every embedding. Norms: where the loss is blind
    to the scale of each embedding (or dimension) it normalises them itself, and the norm is that of the normalised
    ones; otherwise it is that of the centred embeddings as they are.
    """
    run = inputs.context.manifest.runs[run_id]
    z = torch.from_numpy(np.load(inputs.context.layout.runs / run_id / "features.npz")["embeddings"]).double()
    generator = torch.Generator().manual_seed(0)
    half = len(z) // 2
    z1, z2 = z[:half], z[half : 2 * half]
    loss, hyperparameters = get_loss(run.loss), dict(run.hyperparameters)

    def moved(a: torch.Tensor, b: torch.Tensor) -> float:
        before = loss(z1, z2, **hyperparameters).total
        after = loss(a, b, **hyperparameters).total
        return float((after - before).abs() / before.abs())

    shift = torch.randn(z.shape[1], generator=generator, dtype=z.dtype) * z.std()
    scale = 1 + torch.rand(half, 1, generator=generator, dtype=z.dtype)
    stretch = 1 + torch.rand(1, z.shape[1], generator=generator, dtype=z.dtype)
    shift_sensitivity = moved(z1 + shift, z2 + shift)
    seen = z - z.mean(0) if shift_sensitivity < BLIND else z
    if moved(z1 * stretch, z2 * stretch) < BLIND:
        seen = seen / seen.norm(dim=0) * (len(z) / z.shape[1]) ** 0.5
    if moved(z1 * scale, z2 * scale) < BLIND:
        seen = seen / seen.norm(dim=1, keepdim=True)
    return {
        "dimension_centring": "yes" if shift_sensitivity < BLIND else "no",
        "shift_sensitivity": shift_sensitivity,
        **_norm("embedding", seen.norm(dim=1), {"1": 1.0}),
        **_norm(
            "dimension",
            seen.norm(dim=0),
            {"sqrt(N)": len(z) ** 0.5, "sqrt(N/M)": (len(z) / z.shape[1]) ** 0.5},
        ),
    }


def _norm(name: str, norms: torch.Tensor, known: dict[str, float]) -> dict[str, Any]:
    mean, variation = float(norms.mean()), float(norms.std() / norms.mean())
    mark = "none"
    if variation < STEADY:
        mark = next((text for text, value in known.items() if abs(mean / value - 1) < STEADY), f"{mean:.3g}")
    return {f"{name}_norm": mark, f"{name}_norm_mean": mean, f"{name}_norm_cv": variation}
