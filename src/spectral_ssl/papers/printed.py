"""Printed cells: a paper's numbers one by one, and the cell of ours that is set against each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spectral_ssl.papers import read
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.manifest import projector
from spectral_ssl.papers.measure import select
from spectral_ssl.stats import coverage, mean_interval

VALUE_MARGIN = 1.0  # percentage points: a prediction interval wider than ± this says too little to hold


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


def values(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """A ledger row a printed cell."""
    for name, keys, printed, grid in printed_cells(evidence.paper):
        entry = "/".join([name, *(str(value) for value in keys.values())])
        rule = f"printed value within the prediction interval of one further seed, half-width at most {VALUE_MARGIN:g}"
        found = _analogue(evidence, keys, grid) or {}
        if found:
            column = found.pop("column")
            seeds = found.pop("values")
            found |= _mean(seeds)
            if not found.pop("comparable"):
                found["protocol"] = f"analogue: {found['protocol']}"
            elif seeds:
                found["verdict"] = coverage(printed, seeds, margin=VALUE_MARGIN).verdict
            found["protocol"] += f", {column}"
        yield evidence.row(entry, "value", grid["location"], printed, rule, **found)


def _analogue(evidence: Evidence, keys: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cell of ours that stands beside a printed one, and whether it is the same experiment."""
    if "analogue" not in grid:
        return None
    spec, tier = grid["analogue"], evidence.context.tier
    where: dict[str, Any] = {"experiment": spec["experiment"]}
    for name in spec.get("by", []):
        where[name] = spec.get("levels", {}).get(keys[name], keys[name])
    for factor, printed_levels in grid.get("across", {}).items():
        ours = getattr(tier.levels, factor)
        rank = printed_levels.index(keys[factor])
        if len(ours) == len(printed_levels):
            where[factor] = ours[rank]
        else:  # only the ends correspond
            where[factor] = {0: ours[0], len(printed_levels) - 1: ours[-1]}.get(rank, keys[factor])
    rows = select(evidence.frame, where)
    rows = rows[rows["status"] == "finished"]
    if rows.empty:
        return None
    protocol = dict(grid["protocol"])
    metric = protocol.pop("metric")
    runs = [evidence.context.manifest.runs[run] for run in rows["run"]]
    wanted = {"dataset": keys.get("dataset", protocol.get("dataset")), **protocol}
    wanted |= {factor: keys[factor] for factor in grid.get("across", {})}
    if "projector" in keys:
        wanted["projector"] = projector(keys["projector"], keys["embedding_dim"])
    comparable = metric in rows and all(
        getattr(run, name, run.hyperparameters.get(name)) == value
        for run in runs
        for name, value in wanted.items()
    )
    column = metric if comparable else evidence.context.tier.probes.metric
    run = runs[0]
    return {
        "values": (100 * rows[column]).tolist(),
        "column": column,
        "comparable": comparable,
        "protocol": f"{run.dataset}, {run.encoder}, {run.epochs} epochs",
    }


def _mean(values: list[float]) -> dict[str, Any]:
    interval = mean_interval(values)
    return {
        "measured": interval.mean,
        "spread": interval.spread,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "seeds": interval.n,
    }
