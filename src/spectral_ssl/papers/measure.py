"""From run folders to tidy measurements, and from measurements to cells with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from spectral_ssl.errors import UserError
from spectral_ssl.papers import method_label
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.shapes import MEASURED, STATUS, read_as
from spectral_ssl.stages import Context
from spectral_ssl.stats import mean_interval

OFFLINE = ("linear_last", "lbfgs")
NOT_THERE = "not run"  # the status of a run that reference results lack
RANKS = ("embedding_effective_rank_centred", "representation_effective_rank_centred")


def measurements(context: Context, paper: str) -> pd.DataFrame:
    """A row a cell of the paper's experiments: its factors, its run, the run's status and probe values.

    `accuracy` is the tier's metric in percent; the other probe columns are as probe.json has them (fractions).
    `offline` is the linear classifier's on all labels, trained to its last epoch or to convergence, as a fraction, and
    `offline_accuracy` in percent. `validation_accuracy`, in percent, is of the images that hyperparameters are chosen
    on. `separation_gain` is what training adds to the separation of views. A diverged run
    has its status and no values; so has, with the status `not run`, a run that reference results lack.
    """
    cells = context.manifest.paper_cells(paper)
    varied = list(dict.fromkeys(factor for cell in cells for factor in cell.factors))
    frame = pd.DataFrame([_row(context, cell, varied) for cell in cells])
    metric = context.tier.probes.metric
    for column in (metric, *RANKS):  # there even if every run diverged
        if column not in frame:
            frame[column] = float("nan")
    frame.insert(list(frame.columns).index("status") + 1, "accuracy", 100 * frame[metric])
    if "separation_after" in frame:
        frame["separation_gain"] = frame["separation_after"] - frame["separation_before"]
    if "validation" in frame:
        frame["validation_accuracy"] = 100 * frame["validation"]
    if offline := next((name for name in OFFLINE if name in frame), None):
        frame["offline"] = frame[offline]
        frame["offline_accuracy"] = 100 * frame[offline]
    return frame


def _row(context: Context, cell: Cell, varied: Sequence[str]) -> dict[str, Any]:
    folder = context.layout.runs / cell.run
    there = (folder / "status.json").is_file()
    if not there and not context.partial:
        raise UserError(
            f"{folder} holds no finished run: run `pretrain` for every batch of `plan --batches` first"
        )
    measured = read_as(folder / "probe.json", MEASURED) if there else {}
    return {
        "experiment": cell.experiment,
        "method": cell.method,
        "label": method_label(cell.method),
        **{name: cell.factors.get(name) for name in varied},
        "seed": cell.seed,
        "run": cell.run,
        "status": read_as(folder / "status.json", STATUS)["status"] if there else NOT_THERE,
        **measured,
    }


def summarise(frame: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Mean, spread and 95 % t interval over seeds of each column, a row a group: `<column>_mean` and so on.

    Diverged runs are left out of the mean and counted in `diverged`.
    """
    rows = []
    for keys, group in frame.groupby(list(by), sort=False, dropna=False):
        finished = group[group["status"] == "finished"]
        row: dict[str, Any] = dict(zip(by, keys, strict=True))
        row |= {"n": len(finished), "diverged": int((group["status"] == "diverged").sum())}
        for column in columns:
            row |= _interval(column, finished[column] if len(finished) else [])
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(column: str, values: Iterable[float]) -> dict[str, float]:
    values = [float(value) for value in values]
    if all(map(math.isnan, values)):  # none finished, or too few images for that probe
        return {f"{column}_{part}": float("nan") for part in ("mean", "spread", "low", "high")}
    interval = mean_interval(values)
    return {
        f"{column}_mean": interval.mean,
        f"{column}_spread": interval.spread,
        f"{column}_low": interval.low,
        f"{column}_high": interval.high,
    }


def text(row: Mapping[Any, Any], column: str, digits: int = 1) -> str:
    """`94.3 ± 0.6`: the mean and half its 95 % interval; in words where no seed finished."""
    if row["n"] == 0:
        return without(row["diverged"])
    mean, half = row[f"{column}_mean"], (row[f"{column}_high"] - row[f"{column}_low"]) / 2
    shown = f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if half == half else "")
    return shown + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def without(diverged: float) -> str:
    """What stands where no seed finished, `diverged` being how many diverged."""
    return "diverged" if diverged else NOT_THERE


def select(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows where each column has the given value; `first` and `last` are the ends of the column's levels, and
    `middle` is the one halfway of an odd number of them.

    Levels are taken in the order of the tier's file, within the rows of the experiment selected. No rows where the tier
    leaves the experiment out, or varies no such column.
    """
    chosen = frame[frame["experiment"] == where["experiment"]] if "experiment" in where else frame
    fixed = {name: value for name, value in where.items() if name != "experiment"}
    if chosen.empty or not set(fixed) <= set(chosen):
        return chosen.iloc[:0]
    levels = {name: list(dict.fromkeys(chosen[name].dropna())) for name in fixed}
    for name, value in fixed.items():
        wanted = _level(levels[name], value) if value in ("first", "middle", "last") else value
        chosen = chosen[chosen[name] == wanted]
    return chosen


def _level(levels: Sequence[Any], name: str) -> Any:
    """An end of the levels, or the one halfway: None, which no row has, where two or none are."""
    if name == "middle":
        return levels[len(levels) // 2] if len(levels) % 2 and len(levels) > 1 else None
    return levels[{"first": 0, "last": -1}[name]]
