"""Printed values to be set beside measured ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from spectral_ssl.papers import read
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.measure import summarise

FAMILIAR = "cifar10"  # whose printed values stand beside data that the paper does not have


def grid(name: str) -> dict[str, Any]:
    """A grid of published.yaml."""
    found: dict[str, Any] = read("haochen2021/published.yaml")["grids"][name]
    return found


def printed(inputs: Inputs, name: str, method: str, run: str) -> float:
    """The value that grid `name` prints for the run's own data set, encoder and length, percent; NaN if it has none.

    The paper's value is that of the probe's best epoch, whatever metric the tier has.
    """
    spec, settings = grid(name), inputs.context.manifest.runs[run]
    row = spec.get("analogue", {}).get("rows", {}).get(method, {})
    required = {**spec["protocol"], **row.get("protocol", {})}
    del required["metric"]
    if any(getattr(settings, key, None) != value for key, value in required.items()):
        return math.nan
    found = spec["rows"]
    for key in spec["keys"]:
        found = found.get({"method": method, "dataset": settings.dataset}[key], {})
    if "across" not in spec:
        return found or math.nan
    ((factor, levels),) = spec["across"].items()
    level = getattr(settings, factor, settings.hyperparameters.get(factor))
    return found[levels.index(level)] if found and level in levels else math.nan


def beside(inputs: Inputs, name: str, frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Accuracies summarised over seeds, and in `printed` the comparable value, NaN where there is none."""
    columns = [column for column in ("accuracy", "online", "lbfgs", "knn") if column in frame]
    values = [printed(inputs, name, *pair) for pair in zip(frame["method"], frame["run"], strict=True)]
    groups = frame.assign(printed=values).groupby(list(by), sort=False, dropna=False)
    return summarise(frame, by, columns).assign(printed=groups["printed"].first().to_numpy())
