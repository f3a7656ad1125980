"""Printed cells: a paper's numbers one by one, and the cell of ours that is set against each.

A grid's `analogue` says which: `experiment` (`experiments` may name another one by data set), columns `by` the grid's
keys with `levels` in their place, or `rows`, an experiment and the cells of it for each key of the grid. Where the
tier's levels of a factor are not the paper's, the one of nearest relative rank stands for a printed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from spectral_ssl.hypotheses import Decision
from spectral_ssl.papers import read
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.families import Judged
from spectral_ssl.papers.manifest import projector
from spectral_ssl.papers.measure import select
from spectral_ssl.stats import coverage, mean_interval

VALUE_MARGIN = 1.0  # percentage points: a prediction interval wider than ± this says too little to hold
RULE = (
    "printed number against one further seed: it holds within a 95 % prediction interval of at most "
    f"± {VALUE_MARGIN:g}, it differs if p of the predictive two-sided t test is below 5 % after Holm's correction"
)


class Value(NamedTuple):
    """A printed cell and what was measured of it."""

    entry: str
    location: str
    printed: float
    family: str
    judged: Judged


class Cells(NamedTuple):
    """Finished runs of ours that may stand for a printed cell.

    places: the levels that stand for others, in words; None for cells that are of use only if they are the paper's.
    """

    rows: pd.DataFrame
    experiment: str
    places: list[str] | None


def printed_cells(paper: str) -> Iterator[tuple[str, dict[str, Any], float, dict[str, Any]]]:
    """Every printed cell of a paper's grids: (grid, its keys and levels, the printed number, the grid)."""
    for name, grid in read(f"{paper}/published.yaml").get("grids", {}).items():
        for keys, leaf in _leaves(grid["rows"], grid["keys"]):
            if isinstance(leaf, list):
                ((factor, levels),) = grid["across"].items()
                for level, value in zip(levels, leaf, strict=True):
                    yield name, {**keys, factor: level}, value, grid
            else:
                yield name, keys, leaf, grid


def _leaves(rows: Any, keys: list[str]) -> Iterator[tuple[dict[str, Any], Any]]:
    if not keys:
        yield {}, rows
        return
    for key, inner in rows.items():
        for rest, leaf in _leaves(inner, keys[1:]):
            yield {keys[0]: key, **rest}, leaf


def values(evidence: Evidence) -> Iterator[Value]:
    """Every printed cell; the cells of a grid that can be tested are a family of their own, `<grid>/printed`."""
    for name, keys, printed, grid in printed_cells(evidence.paper):
        entry = "/".join([name, *(str(value) for value in keys.values())])
        yield Value(
            entry, grid["location"], printed, f"{name}/printed", _judge(evidence, keys, printed, grid)
        )


def _judge(evidence: Evidence, keys: Mapping[str, Any], printed: float, grid: Mapping[str, Any]) -> Judged:
    wanted = _wanted(keys, grid)
    metric = wanted.pop("metric")
    candidates = list(_candidates(evidence, keys, grid))
    same = [cells for cells in candidates if _same(evidence, cells.rows, wanted, metric)]
    found = same or [cells for cells in candidates if cells.places is not None]
    if not found:
        return Judged({}, source=evidence.source(_experiments(grid, keys), evidence.frame.iloc[:0], {}))
    cells = found[0]
    column = metric if same else evidence.context.tier.probes.metric
    seeds = (100 * cells.rows[column]).tolist()
    run = evidence.context.manifest.runs[cells.rows["run"].iloc[0]]
    words = [run.dataset, run.encoder, f"{run.epochs} epochs", *(cells.places or ()), column]
    protocol = ("" if same else "analogue: ") + ", ".join(words)
    columns = {**_mean(seeds), "protocol": protocol, "dataset": run.dataset}
    source = evidence.source([cells.experiment], cells.rows, {})
    if not same:
        return Judged(columns, source=source)
    cover = coverage(printed, seeds, margin=VALUE_MARGIN)
    verdict = "holds" if cover.verdict == "holds" else "inconclusive"
    decision = Decision("differs", cover.p) if len(seeds) > 1 else None
    return Judged(columns | {"margin": VALUE_MARGIN, "verdict": verdict}, decision, source=source)


def _wanted(keys: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, Any]:
    """What runs must have to be the printed cell's experiment, and its metric."""
    row = _row(grid, keys) or {}
    wanted = {**grid["protocol"], **row.get("protocol", {})}
    wanted |= {factor: keys[factor] for factor in grid.get("across", {})}
    if "dataset" in keys:
        wanted["dataset"] = keys["dataset"]
    wanted |= {name: keys[name] for name in ("projector",) if name in keys}
    if "projector" in wanted:
        wanted["projector"] = projector(wanted["projector"], wanted["embedding_dim"])
    return wanted


def _same(evidence: Evidence, rows: pd.DataFrame, wanted: Mapping[str, Any], metric: str) -> bool:
    """Whether every run is the printed cell's experiment, with its metric measured."""
    if metric not in rows or rows[metric].isna().any():
        return False
    runs = (evidence.context.manifest.runs[run] for run in rows["run"])
    return all(
        getattr(run, name, run.hyperparameters.get(name)) == value
        for run in runs
        for name, value in wanted.items()
    )


def _row(grid: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the grid says of one key only."""
    rows: dict[Any, dict[str, Any]] = grid.get("analogue", {}).get("rows", {})
    return rows.get(keys[grid["keys"][0]])


def _experiments(grid: Mapping[str, Any], keys: Mapping[str, Any]) -> list[str]:
    """The experiments that may measure a printed cell, that of its own data set first."""
    spec = _row(grid, keys) or grid.get("analogue", {})
    named = [spec.get("experiments", {}).get(keys.get("dataset")), spec.get("experiment")]
    return [name for name in dict.fromkeys(named) if name]


def _candidates(evidence: Evidence, keys: Mapping[str, Any], grid: Mapping[str, Any]) -> Iterator[Cells]:
    """Finished cells of ours that may stand for a printed one, the nearest first."""
    spec = grid.get("analogue", {})
    for experiment in _experiments(grid, keys):
        if row := _row(grid, keys):
            options: list[tuple[dict[str, Any], list[str] | None]] = [(row["where"], [])]
        else:
            where = {name: spec.get("levels", {}).get(keys[name], keys[name]) for name in spec.get("by", [])}
            options = [(where | levels, said) for levels, said in _levels(evidence, keys, grid)]
        for where, said in options:
            rows = select(evidence.frame, {"experiment": experiment, **where})
            rows = rows[rows["status"] == "finished"]
            if len(rows):
                yield Cells(rows, experiment, said)


def _levels(
    evidence: Evidence, keys: Mapping[str, Any], grid: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], list[str] | None]]:
    """The tier's levels for a printed cell, and which stand for another one: by relative rank, then as printed.

    The printed level is not the same thing where the tier's grid is another (256 is the least dimension of the paper's
    and may be the largest of ours), so that it is of use only where all else is the paper's.
    """
    across = grid.get("across", {})
    ranked = {
        factor: nearest(printed, keys[factor], getattr(evidence.context.tier.levels, factor))
        for factor, printed in across.items()
    }
    said = [
        f"{name} {level} in the place of {keys[name]}"
        for name, level in ranked.items()
        if level != keys[name]
    ]
    yield ranked, said
    if said:
        yield {factor: keys[factor] for factor in across}, None


def nearest(printed: list[Any], level: Any, ours: list[Any]) -> Any:
    """The level of ours whose relative rank is nearest that of a printed one; the earlier of two."""
    rank, last = printed.index(level), len(printed) - 1
    # rank / last and place / (len(ours) - 1), both times the two denominators so that ties are exact.
    return ours[min(range(len(ours)), key=lambda place: abs(place * last - rank * (len(ours) - 1)))]


def _mean(values: list[float]) -> dict[str, Any]:
    interval = mean_interval(values)
    return {
        "measured": interval.mean,
        "spread": interval.spread,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "seeds": interval.n,
    }
