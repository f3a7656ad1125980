"""Supplement E of Garrido et al. 2023: where trained embeddings lie between the bounds of its Lemma 3.4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectral_ssl.data.arrays import read_arrays
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

SIDES = {"samples": "samples of length 1 (most: M)", "dimensions": "dimensions of length 1 (most: N)"}
GROUPS = ["method", "label", "side", "epoch"]
HISTORY = ("sample_contrastive", "dimension_contrastive", "sample_contrastive_high")


def supplement_e(inputs: Inputs) -> Table:
    """Lemma 3.4's quantities over their lower bounds, by method, of test images' embeddings Z (N, M), K = Z^T.

    side `samples`: samples scaled to length 1, sum_j |K_j.|^4 over N^2 / M, between 1 and M; `dimensions`: dimensions
    scaled to length 1, sum_i |K_.i|^4 over M^2 / N, between 1 and N. `upper` is that end. Rows without an epoch are of
    trained embeddings; those with one of the fewer images that history.csv looks at, samples alone.
    """
    cells = inputs.experiment("table1")
    rows = [row for cell in cells.to_dict("records") for row in _run(inputs, cell)]
    frame = pd.DataFrame(rows, columns=[*GROUPS, "seed", "status", "over_lower", "upper"])
    frame["epoch"] = frame["epoch"].astype("Int64")
    tidy = summarise(frame, GROUPS, ["over_lower"])
    upper = frame.groupby(GROUPS, sort=False, dropna=False)["upper"].max()
    tidy["upper"] = upper.to_numpy()
    shown = []
    for label, group in tidy[tidy["epoch"].isna()].groupby("label", sort=False):
        by_side = group.set_index("side").to_dict("index")
        shown.append({"method": label} | {words: _text(by_side[side]) for side, words in SIDES.items()})
    return Table(tidy, pd.DataFrame(shown))


def _text(row: dict[Any, Any]) -> str:
    return text(row, "over_lower", 3) + (f" of {row['upper']:g}" if row["n"] else "")


def _run(inputs: Inputs, cell: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    """A run's rows: its trained embeddings, then its history."""
    common: dict[str, Any] = {name: cell[name] for name in ("method", "label", "seed", "status")}
    folder = inputs.context.layout.runs / cell["run"]
    if cell["status"] != "finished":
        yield from (common | {"side": side} for side in SIDES)
        return
    z = embeddings_of(folder).astype(np.float64)
    for side, k in (("samples", z.T), ("dimensions", z)):
        value, upper = over_lower(k)
        yield common | {"side": side, "over_lower": value, "upper": upper}
    history = folder / "history.csv"
    if history.is_file():
        found = from_history(pd.read_csv(history), z.shape[1])
        for epoch, value in zip(found["epoch"], found["over_lower"], strict=True):
            yield common | {"side": "samples", "upper": z.shape[1], "epoch": epoch, "over_lower": value}


def embeddings_of(run: Path) -> np.ndarray:
    """The embeddings of test images (N, M) that a run's folder keeps; UserError for a damaged or missing file."""
    return read_arrays(run / "features.npz", ["embeddings"], kinds="f", ndim=2)["embeddings"]


def over_lower(k: np.ndarray) -> tuple[float, int]:
    """sum_j |K_j.|^4 of K (M, N) with its columns scaled to length 1, over N^2 / M, its least by Lemma 3.4, and M, the
    most that this can be; columns of zeros are left out.
    """
    squares = k**2
    lengths = squares.sum(axis=0)
    unit = squares[:, lengths > 0] / lengths[lengths > 0]
    m, n = unit.shape
    return float(m * (unit.sum(axis=1) ** 2).sum() / max(n, 1) ** 2), m


def from_history(history: pd.DataFrame, m: int) -> pd.DataFrame:
    """The same for samples, by epoch, from the criteria in history.csv; no rows where it has none.

    By Theorem 3.3 at unit columns the sum is L_c - L_nc + N; the upper bound on L_c, L_nc + N^2 - N, tells N.
    """
    if not set(HISTORY) <= set(history):
        return pd.DataFrame(columns=["epoch", "over_lower"])
    l_c, l_nc = history["sample_contrastive"], history["dimension_contrastive"]
    pairs = history["sample_contrastive_high"] - l_nc
    n = ((1 + np.sqrt(1 + 4 * pairs)) / 2).round()
    return pd.DataFrame({"epoch": history["epoch"], "over_lower": m * (l_c - l_nc + n) / n**2})
