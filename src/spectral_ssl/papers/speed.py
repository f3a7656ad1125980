"""Ledger rows of the training engine's speed: its aims, and what `benchmarks/engine.py` measured on a GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from spectral_ssl.layout import COMMITTED, ENGINE_SPEED
from spectral_ssl.papers import read
from spectral_ssl.papers.evidence import COLUMNS, NOT_RUN

NAME, TITLE = "engine", "The training engine"
AIMED_AT = re.compile(r"\bH[12]00\b")  # the GPUs that the aims are for; others are shown and not judged


def committed() -> Path | None:
    """What benchmarks/engine.py last measured on a GPU and is committed; None if it never did."""
    found = [ENGINE_SPEED, *sorted(COMMITTED.glob("*/benchmarks/engine_cuda.csv"))]
    return next((path for path in found if path.is_file()), None)


def speed(measured: Path | None = None) -> pd.DataFrame:
    """A row an aim, in the ledger's columns: the best variant's views a second and time, the first one's shares."""
    path = measured or committed()
    table = pd.read_csv(path) if path and path.is_file() else None
    rows = [_row(entry, aim, table) for entry, aim in read("speed.yaml").items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype(str)


def _row(entry: str, aim: dict[str, Any], table: pd.DataFrame | None) -> dict[str, Any]:
    bound = "at_least" if "at_least" in aim else "at_most"
    row = dict.fromkeys(COLUMNS, "") | {
        "paper": NAME,
        "entry": f"{NAME}/{entry}",
        "kind": "speed",
        "location": "benchmarks/engine.py",
        "printed": aim["printed"],
        "tier": NAME,
        "dataset": "synthetic, 32 px",
        "rule": f"{bound.replace('_', ' ')} {aim[bound]:g} on one H100 or H200",
        "protocol": "no CUDA device measured",
        "verdict": NOT_RUN,
    }
    if table is None:
        return row
    columns = aim["column"] if isinstance(aim["column"], list) else [aim["column"]]
    values = table[columns].dropna().sum(axis=1)
    value = values.max() if bound == "at_least" else values.min()
    line = table.loc[values[values == value].index[0]]
    row |= {
        "measured": f"{value:g}",
        "protocol": f"{line['device']}, torch {line['torch']}, {line['variant']}",
    }
    if AIMED_AT.search(line["device"]):
        reached = value >= aim[bound] if bound == "at_least" else value <= aim[bound]
        row["verdict"] = "holds" if reached else "differs"
    return row
