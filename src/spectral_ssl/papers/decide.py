"""Claims: the rule of each kind, and the verdict that follows from the measurements.

order       the paired difference over seeds has a 95 % interval above zero.
same        two one-sided paired tests within the margin.
noninferior the interval of the paired difference lies above minus the margin.
different   the interval leaves zero out; `differs` where the two are the same within the margin all the same.
range       the mean's interval lies strictly within the stated bounds.
correlation the bootstrap interval lies above the stated bound.
underspecified  the paper does not say enough: no verdict, and `reason` says what is missing.

`measure` names an experiment, a column, and the cells: `high` and `low` for pairs, `where` otherwise. A level is given
by value, or as `first` or `last` of the tier's levels. Where several cells of a seed are left, `best` takes their
highest value and `mean` (the default) their mean. Both sides of a pair must be different runs: a tier with one level of
a factor says nothing about that factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spectral_ssl.correlation import correlation
from spectral_ssl.papers.evidence import NOT_RUN, Evidence
from spectral_ssl.papers.measure import select
from spectral_ssl.stats import (
    Interval,
    equivalence,
    mean_interval,
    paired_difference,
    seeds_needed,
    seeds_needed_for_order,
)

RULES = {
    "order": "paired difference over seeds, 95 % interval above zero",
    "same": "two one-sided paired tests at 5 % within the margin",
    "noninferior": "paired difference over seeds, 95 % interval above minus the margin",
    "different": "paired difference over seeds, 95 % interval without zero; differs if the same within the margin",
    "range": "95 % interval of the mean over seeds strictly within the bounds",
    "correlation": "95 % bootstrap interval of Pearson's correlation over runs above the bound",
    "underspecified": "none: the paper does not say enough",
}
PAIRED = ("order", "same", "noninferior", "different")


def decide(evidence: Evidence, claim: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger columns that follow from a claim's measurements; none if it has none, or this tier has none."""
    kind = claim["kind"]
    if kind == "underspecified":
        return _undecided(evidence, claim)
    if "measure" not in claim:
        return {}
    measure = claim["measure"]
    names = measure["column"] if kind != "correlation" else measure["columns"]
    absent = [name for name in np.atleast_1d(names) if name not in evidence.frame]
    sides = [measure[side] for side in ("high", "low")] if kind in PAIRED else [measure.get("where", {})]
    common = {"experiment": measure["experiment"]} if "experiment" in measure else {}
    chosen = [select(evidence.frame, common | side) for side in sides]
    if absent or any(rows.empty for rows in chosen):
        return {"protocol": f"this tier does not measure {absent[0] if absent else 'it'}", "verdict": NOT_RUN}
    if kind in PAIRED and set(chosen[0]["run"]) == set(chosen[1]["run"]):
        return {"protocol": "both sides are the same runs at this tier", "verdict": NOT_RUN}
    found = _measured_on(evidence, claim, chosen[0])
    if kind in PAIRED:
        return found | _paired(claim, measure, *chosen)
    if kind == "correlation":
        return found | _correlated(claim, measure, chosen[0][chosen[0]["status"] == "finished"])
    return found | _within(claim, measure, chosen[0])


def _undecided(evidence: Evidence, claim: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured all the same, if anything, without a verdict."""
    found: dict[str, Any] = {}
    if (measure := claim.get("measure")) and measure["column"] in evidence.frame:
        rows = select(evidence.frame, {"experiment": measure["experiment"]} | measure["where"])
        if values := _values(rows, measure).tolist():
            found = {"seeds": len(values), **_interval(mean_interval(values))}
    return found | {"protocol": claim["reason"], "verdict": "underspecified"}


def _measured_on(evidence: Evidence, claim: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, str]:
    """What was measured, and on which data set: a claim may be about a companion of the tier's own."""
    first, measure = rows.iloc[0], claim["measure"]
    if run := evidence.context.manifest.runs.get(first["run"]):
        dataset, source = run.dataset, run.encoder
    else:  # a table's own sample
        dataset, source = first["dataset"], first["source"]
    names = measure.get("column") or " and ".join(measure["columns"])
    text = f"analogue: {dataset}, {source}, {names}"
    return {"protocol": f"{text}; high - low" if claim["kind"] in PAIRED else text, "dataset": dataset}


def _values(rows: pd.DataFrame, measure: Mapping[str, Any]) -> pd.Series[float]:
    """One value a seed: the mean over the cells left, or the best; a seed with a diverged cell is left out."""
    column = measure["column"]
    whole = rows.groupby("seed").filter(lambda cells: bool((cells["status"] == "finished").all()))
    scale = 100 if column.startswith("few") else 1  # accuracies are judged in percent
    values = scale * whole.groupby("seed")[column].agg("max" if measure.get("over") == "best" else "mean")
    return values.dropna().sort_index()


def _paired(
    claim: Mapping[str, Any], measure: Mapping[str, Any], high: pd.DataFrame, low: pd.DataFrame
) -> dict[str, Any]:
    pairs = pd.concat([_values(high, measure), _values(low, measure)], axis=1, join="inner").to_numpy()
    found: dict[str, Any] = {"seeds": len(pairs), "verdict": "inconclusive"}
    if not len(pairs):
        return found | {"protocol": "a side diverged in every seed"}
    a, b = pairs.T.tolist()
    margin = float(claim.get("margin", 0.0))
    interval = paired_difference(a, b).interval
    verdict = "inconclusive"
    if claim["kind"] == "same":
        same = equivalence(a, b, margin)
        interval = same.interval
        verdict = {"equivalent": "holds", "different": "differs"}.get(same.verdict, verdict)
    elif claim["kind"] == "different":
        if equivalence(a, b, margin).verdict == "equivalent":
            verdict = "differs"
        elif interval.low > 0 or interval.high < 0:
            verdict = "holds"
    elif interval.low > -margin:
        verdict = "holds"
    elif interval.high < -margin:
        verdict = "differs"
    found |= {"verdict": verdict, **_interval(interval)}
    if verdict == "inconclusive":
        differences = [x - y for x, y in zip(a, b, strict=True)]
        if claim["kind"] == "same":
            found["seeds_needed"] = seeds_needed(differences, margin)
        else:
            shift = margin if claim["kind"] == "noninferior" else 0.0
            found["seeds_needed"] = seeds_needed_for_order([value + shift for value in differences])
    return found


def _interval(interval: Interval) -> dict[str, float]:
    return {
        "measured": interval.mean,
        "spread": interval.spread,
        "ci_low": interval.low,
        "ci_high": interval.high,
    }


def _within(claim: Mapping[str, Any], measure: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    low, high = claim["bounds"]
    values = _values(rows, measure).tolist()
    if not values:
        return {"seeds": 0, "verdict": "inconclusive"}
    interval = mean_interval(values)
    verdict = "inconclusive"
    if interval.low > low and interval.high < high:
        verdict = "holds"
    elif interval.high <= low or interval.low >= high:
        verdict = "differs"
    return {"seeds": interval.n, "verdict": verdict, **_interval(interval)}


def _correlated(claim: Mapping[str, Any], measure: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    rows = rows.drop_duplicates("run").dropna(subset=measure["columns"])
    first, second = (rows[name].astype(float).tolist() for name in measure["columns"])
    bound = float(claim["bounds"][0])
    if len(rows) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return {"verdict": "inconclusive", "protocol": "fewer than 3 runs, or all of them equal"}
    found = correlation(first, second, generator=np.random.default_rng(0))
    verdict = "holds" if found.low > bound else "differs" if found.high < bound else "inconclusive"
    protocol = f"{measure['columns'][0]} against {measure['columns'][1]} over {found.n} runs"
    return {
        "measured": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "verdict": verdict,
        "protocol": f"analogue: {protocol}",
    }
