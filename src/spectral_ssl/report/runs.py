"""The runs of a tier on the page: settings, where they come from, and their histories as few enough numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, method_label
from spectral_ssl.report.inputs import table as read_table
from spectral_ssl.report.words import anchor, beside
from spectral_ssl.shapes import PROVENANCE, STATUS, read_as
from spectral_ssl.stages import Context

BUDGET = 400_000
"""Numbers of all histories together that the page has room for, about 3 MB; longer histories are thinned."""

LEAST = 20
"""Epochs of a run that are kept however many runs there are."""

FROM = ("commit", "code", "data_sha256", "encoder_sha256", "device", "threads", "training_seconds", "python")
FILES = ("history.csv", "probe.json", "provenance.json", "encoder.safetensors")


def runs(context: Context, page: Path) -> list[dict[str, Any]]:
    """Every run folder of the tier in the order of the manifest, then those that other settings left there.

    `history` holds a list of numbers a column (None where there is none), `asked` the experiments that use the run.
    The date and the command are left out, so that equal results give an equal page.
    """
    names = _names(context)
    asked: dict[str, dict[str, None]] = {}
    for cell in context.manifest.cells:
        asked.setdefault(cell.run, {})[f"{cell.paper}/{cell.experiment}"] = None
    tables = [_history(context.layout.runs / name / "history.csv") for name in names]
    keep = _kept(tables)
    return [
        _run(context.layout.runs / name, table, keep, page) | {"asked": list(asked.get(name, {}))}
        for name, table in zip(names, tables, strict=True)
    ]


def experiments(shown: Iterable[dict[str, Any]]) -> dict[str, str]:
    """What the page lets choose runs by: `paper/experiment` -> its words."""
    found = dict.fromkeys(name for run in shown for name in run["asked"])
    return {name: f"{PAPERS[name.partition('/')[0]]}: {name.partition('/')[2]}" for name in found}


def _names(context: Context) -> list[str]:
    folder = context.layout.runs
    present = sorted(path.parent.name for path in folder.glob("*/status.json"))
    planned = [name for name in context.manifest.runs if name in set(present)]
    return [*planned, *(name for name in present if name not in context.manifest.runs)]


def _history(path: Path) -> pd.DataFrame:
    if not path.is_file() or not path.stat().st_size:
        return pd.DataFrame()
    table = read_table(path)
    if len(table) and "epoch" not in table.select_dtypes("number"):
        raise UserError(f"{path}: found no numbers in a column epoch; delete it and run its stage again")
    return table.select_dtypes("number") if len(table) else pd.DataFrame()


def _kept(tables: list[pd.DataFrame]) -> int:
    """How many epochs of each run are kept."""
    columns = sum(table.shape[1] for table in tables)
    return max(LEAST, BUDGET // max(columns, 1))


def _run(folder: Path, table: pd.DataFrame, keep: int, page: Path) -> dict[str, Any]:
    status = read_as(folder / "status.json", STATUS)
    path = folder / "provenance.json"
    made = read_as(path, PROVENANCE) if path.is_file() else {}
    settings = made.get("settings", {})
    rows = np.unique(np.linspace(0, len(table) - 1, min(keep, len(table))).round().astype(int))
    thin = table.iloc[rows]
    origin = {name: made[name] for name in FROM if name in made}
    origin |= {name: made[name] for name in ("packages", "machine") if name in made}
    return {
        "id": folder.name,
        "anchor": anchor("run", folder.name),
        "status": str(status.get("status", "")),
        "method": _method(settings, folder.name),
        "about": ", ".join(_about(settings, len(table))),
        "settings": settings,
        "origin": origin,
        "epochs": len(table),
        "thinned": len(rows) < len(table),
        "history": {str(name): [_plain(value) for value in thin[name]] for name in thin},
        "files": [[name, at] for name in FILES if (at := beside(folder / name, page))],
    }


def _about(settings: dict[str, Any], epochs: int) -> list[str]:
    found = [str(settings["dataset"])] if "dataset" in settings else []
    found.append(f"{epochs} epochs")
    return found + ([f"seed {settings['seed']}"] if "seed" in settings else [])


def _method(settings: dict[str, Any], name: str) -> str:
    """The method as people call it; for a run without settings, what its id says."""
    method = settings.get("method", name)
    key = settings.get("loss", name) if method == "joint_embedding" else method
    try:
        return method_label(key)
    except KeyError:
        return str(key)


def _plain(value: float) -> float | int | None:
    """Four digits; JSON has no infinity."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short
