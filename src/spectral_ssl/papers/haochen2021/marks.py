"""Marks of this paper's figures: means at named places, and printed values beside measured ones."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from spectral_ssl.plotting import APART as BESIDE
from spectral_ssl.plotting import COLOURS, MARKERS, reference

APART = 0.16  # of the distance between two places, for points of several series at one


def points(
    axes: Axes,
    frame: pd.DataFrame,
    place: str,
    *,
    by: str = "label",
    column: str = "accuracy",
    first: int = 0,
    width: int = 20,
) -> None:
    """Means with their intervals over the names in column `place`, in the frame's order.

    The values of column `by` are series side by side, each with a name for a legend, a colour and a marker, from the
    style number `first` on. Names are wrapped at so many characters.
    """
    places = list(dict.fromkeys(frame[place]))
    series = list(frame.groupby(by, sort=False))
    for index, (name, group) in enumerate(series):
        aside = APART * (index - (len(series) - 1) / 2)
        mean = group[f"{column}_mean"]
        axes.errorbar(
            [places.index(value) + aside for value in group[place]],
            mean,
            yerr=[(mean - group[f"{column}_low"]).fillna(0), (group[f"{column}_high"] - mean).fillna(0)],
            color=COLOURS[first + index],
            marker=MARKERS[first + index],
            linestyle="none",
            markersize=5,
            capsize=3,
            linewidth=1.3,
            label=str(name),
        )
    axes.set_xticks(range(len(places)), [textwrap.fill(str(name), width) for name in places])
    axes.set_xlim(-0.6, len(places) - 0.4)


def printed_marks(
    axes: Axes, x: Iterable[float], values: pd.Series[float], *, index: int = 0, among: int = 1
) -> None:
    """Rings at printed values, none at NaN; of several series (`among`) each beside x as `plotting.line` is, with the
    series' mark inside.
    """
    places, known = np.asarray(list(x)), values.to_numpy(float)
    there = np.isfinite(known)
    if not there.any():
        return
    before = len(axes.lines)
    reference(axes, places[there], known[there])
    if among > 1:
        style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index], "markersize": 3}
        axes.plot(places[there], known[there], linestyle="none", fillstyle="none", **style)
    aside = ScaledTranslation((index - (among - 1) / 2) * BESIDE / 72, 0, axes.figure.dpi_scale_trans)
    for mark in axes.lines[before:]:
        mark.set_transform(axes.transData + aside)
