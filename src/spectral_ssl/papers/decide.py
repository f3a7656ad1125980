"""Claims: what a claim's measurements are, and the test that follows from its kind (rules.py).

A claim is decided together with the others of its family (families.py); `judge` gives what it says by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spectral_ssl.config import canonical
from spectral_ssl.correlation import correlation
from spectral_ssl.hypotheses import (
    correlation_test,
    different_test,
    order_test,
    same_test,
    within_test,
)
from spectral_ssl.papers import read
from spectral_ssl.papers.evidence import NOT_RUN, Evidence
from spectral_ssl.papers.families import Judged, settle
from spectral_ssl.papers.measure import NOT_THERE, select
from spectral_ssl.papers.rules import PAIRED, experiments_of
from spectral_ssl.papers.sources import Source
from spectral_ssl.power import seeds_for_different, seeds_for_order, seeds_for_same, seeds_for_within
from spectral_ssl.stats import Interval, mean_interval

FEWEST_CONFIGURATIONS = 10  # a bootstrap of fewer draws the same few samples again and again
RESAMPLES = 9999
FRACTIONS = ("online", "offline", "lbfgs", "knn", "linear_last", "linear_best", "validation")


def decide(evidence: Evidence, claim: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger columns that follow from a claim alone, as if no other were in its family."""
    return settle([judge(evidence, claim)])[0]


def judge(evidence: Evidence, claim: Mapping[str, Any]) -> Judged:
    """What a claim's measurements say; nothing found if it has none, or this tier has none.

    Where it has none but the claim names an analogue, that is shown and decides nothing.
    """
    judged = _judge(evidence, claim)
    if "analogue" not in claim or judged.found.get("verdict") != NOT_RUN:
        return judged
    beside = _judge(evidence, {**claim, "measure": claim["analogue"]})
    return Judged(beside.found | {"verdict": NOT_RUN}, source=beside.source)


def _judge(evidence: Evidence, claim: Mapping[str, Any]) -> Judged:
    kind, measure = claim["kind"], claim.get("measure", {})
    names = experiments_of(measure)
    nothing = evidence.source(names, evidence.frame.iloc[:0], claim)
    if kind == "underspecified":
        return _undecided(evidence, claim, nothing)
    if not measure:
        return Judged({}, source=nothing)
    columns = measure["column"] if kind != "correlation" else measure["columns"]
    absent = [name for name in np.atleast_1d(columns) if name not in evidence.frame]
    sides = [measure[side] for side in ("high", "low")] if kind in PAIRED else [measure.get("where", {})]
    common = {"experiment": measure["experiment"]} if "experiment" in measure else {}
    chosen = [_whole_seeds(select(evidence.frame, common | side)) for side in sides]
    if absent or any(rows.empty for rows in chosen):
        said = f"this tier does not measure {absent[0] if absent else 'it'}"
        return Judged({"protocol": said, "verdict": NOT_RUN}, source=nothing)
    if kind in PAIRED and set(chosen[0]["run"]) == set(chosen[1]["run"]):
        if set(names) & set(read(f"{evidence.paper}/experiments.yaml").get("samples", {})):
            said = "both sides are the same runs: the candidate chosen is the other side"
            return Judged({"protocol": said, "verdict": "inconclusive"}, source=nothing)
        said = "both sides are the same runs at this tier"
        return Judged({"protocol": said, "verdict": NOT_RUN}, source=nothing)
    if kind in PAIRED:
        judged = _paired(claim, measure, *chosen)
    elif kind == "correlation":
        judged = _correlated(evidence, claim, measure, chosen[0][chosen[0]["status"] == "finished"])
    else:
        judged = _within(claim, measure, chosen[0])
    found = _measured_on(evidence, claim, chosen[0]) | judged.found
    return Judged(found, judged.decision, judged.seeds_at, evidence.source(names, pd.concat(chosen), claim))


def _whole_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of seeds of which every cell was run; reference results may lack some."""
    if rows.empty:
        return rows
    lacking = rows.loc[rows["status"] == NOT_THERE, "seed"]
    return rows[~rows["seed"].isin(lacking)]


def _undecided(evidence: Evidence, claim: Mapping[str, Any], source: Source) -> Judged:
    """What was measured all the same, if anything, without a verdict."""
    found: dict[str, Any] = {}
    if (measure := claim.get("measure")) and measure["column"] in evidence.frame:
        rows = select(evidence.frame, {"experiment": measure["experiment"]} | measure["where"])
        source = evidence.source([measure["experiment"]], rows, claim)
        if values := _values(rows, measure).tolist():
            found = {"seeds": len(values), **_interval(mean_interval(values))}
    return Judged(found | {"protocol": claim["reason"], "verdict": "underspecified"}, source=source)


def _measured_on(evidence: Evidence, claim: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, str]:
    """What was measured, and on which data set: a claim may be about a companion of the tier's own."""
    first, measure = rows.iloc[0], claim["measure"]
    if run := evidence.context.manifest.runs.get(first["run"]):
        dataset, source = run.dataset, run.encoder
    else:  # a table's own sample
        dataset, source = first["dataset"], first["source"]
    names = measure.get("column") or " and ".join(measure["columns"])
    unit = " (percentage points)" if names.endswith("accuracy") or names.startswith("few") else ""
    if names == "accuracy":
        names = f"accuracy of the probe {evidence.context.tier.probes.metric}"
    text = f"analogue: {dataset}, {source}, {names}"
    if claim["kind"] in PAIRED:
        text += f"{unit}; {_side(measure['high'])} minus {_side(measure['low'])}"
    return {"protocol": text, "dataset": dataset}


def _side(where: Mapping[str, Any]) -> str:
    """The cells of a side in words."""
    bare = ("experiment", "method", "setting", "network")
    return " ".join(str(value) if name in bare else f"{name} {value}" for name, value in where.items())


def _values(rows: pd.DataFrame, measure: Mapping[str, Any]) -> pd.Series[float]:
    """One value a seed: the mean over the cells left, or the best; a seed with a diverged cell is left out."""
    column = measure["column"]
    whole = rows.groupby("seed").filter(lambda cells: bool((cells["status"] == "finished").all()))
    scale = 100 if column.startswith("few") or column in FRACTIONS else 1  # accuracies are judged in percent
    values = scale * whole.groupby("seed")[column].agg("max" if measure.get("over") == "best" else "mean")
    return values.dropna().sort_index()


def _paired(
    claim: Mapping[str, Any], measure: Mapping[str, Any], high: pd.DataFrame, low: pd.DataFrame
) -> Judged:
    pairs = pd.concat([_values(high, measure), _values(low, measure)], axis=1, join="inner").to_numpy()
    found: dict[str, Any] = {"seeds": len(pairs), "verdict": "inconclusive"}
    if not len(pairs):
        return Judged(found | {"protocol": "a side diverged in every seed"})
    # To a digit far below any accuracy's step, or equal differences would differ by rounding.
    differences = (pairs[:, 0] - pairs[:, 1]).round(9).tolist()
    margin, kind = float(claim.get("margin", 0.0)), claim["kind"]
    found |= _interval(mean_interval(differences, 0.90 if kind == "same" else 0.95))
    if kind == "same":
        decision = same_test(differences, margin)
        return Judged(found, decision, lambda alpha: seeds_for_same(differences, margin, alpha=alpha))
    if kind == "different":
        decision = different_test(differences, margin)
        return Judged(found, decision, lambda alpha: seeds_for_different(differences, margin, alpha=alpha))
    null = -margin if kind == "noninferior" else 0.0
    decision = order_test(differences, null)
    return Judged(found, decision, lambda alpha: seeds_for_order(differences, null, alpha=alpha))


def _interval(interval: Interval) -> dict[str, float]:
    return {
        "measured": interval.mean,
        "spread": interval.spread,
        "ci_low": interval.low,
        "ci_high": interval.high,
    }


def _within(claim: Mapping[str, Any], measure: Mapping[str, Any], rows: pd.DataFrame) -> Judged:
    low, high = claim["bounds"]
    values = _values(rows, measure).round(9).tolist()
    found: dict[str, Any] = {"seeds": len(values), "verdict": "inconclusive"}
    if not values:
        return Judged(found)
    found |= _interval(mean_interval(values))
    return Judged(
        found,
        within_test(values, low, high),
        lambda alpha: seeds_for_within(values, low, high, alpha=alpha),
    )


def _correlated(
    evidence: Evidence, claim: Mapping[str, Any], measure: Mapping[str, Any], rows: pd.DataFrame
) -> Judged:
    """No seeds are said to be needed: more seeds of the same configurations are no more configurations."""
    rows = rows.drop_duplicates("run").dropna(subset=measure["columns"])
    first, second = (rows[name].astype(float).tolist() for name in measure["columns"])
    runs = [evidence.context.manifest.runs[run] for run in rows["run"]]
    clusters = [canonical(run.model_copy(update={"seed": 0})) for run in runs]
    number = len(set(clusters))
    if number < FEWEST_CONFIGURATIONS or len(set(first)) < 2 or len(set(second)) < 2:
        said = f"fewer than {FEWEST_CONFIGURATIONS} configurations, or all of their runs equal"
        return Judged({"verdict": "inconclusive", "protocol": said})
    bound = float(claim["bounds"][0])

    found = correlation(
        first, second, generator=np.random.default_rng(0), clusters=clusters, bound=bound, resamples=RESAMPLES
    )
    columns = {
        "measured": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "seeds": rows["seed"].nunique(),
        "verdict": "inconclusive",
        "protocol": f"analogue: {measure['columns'][0]} against {measure['columns'][1]} over {found.n} runs of "
        f"{number} configurations",
    }
    return Judged(columns, correlation_test(found.not_above, found.not_below))
