"""The ledger: every printed cell and claim with what was measured, the rule that decides, and a verdict.

Rules
  value      the printed number lies in the prediction interval of one further seed; judged only where data set,
             encoder, length of training and protocol are the paper's, else `not run at this tier` with the
             small-scale analogue in `measured`.
  order      the paired difference over seeds has a 95 % interval above zero.
  same       two one-sided tests within the margin stated in claims.yaml.
  statement  the theorem check's verdict, provided that its negative control fails.
  mark       decided where it is measured (the paper's tables.py), by the tolerance in published.yaml.
Orders, samenesses and marks may be judged on an analogue; `protocol` then says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spectral_ssl.papers import PAPERS, read
from spectral_ssl.papers.manifest import projector
from spectral_ssl.papers.measure import select
from spectral_ssl.stages import Context
from spectral_ssl.stats import (
    coverage,
    equivalence,
    mean_interval,
    order,
    seeds_needed,
    seeds_needed_for_order,
)

COLUMNS = [
    "paper",
    "entry",
    "kind",
    "location",
    "printed",
    "measured",
    "spread",
    "ci_low",
    "ci_high",
    "margin",
    "seeds",
    "seeds_needed",
    "protocol",
    "tier",
    "dataset",
    "rule",
    "verdict",
]
VERDICTS = ("holds", "differs", "inconclusive", "not run at this tier", "underspecified")
NOT_RUN = "not run at this tier"
VALUE_MARGIN = 1.0  # percentage points: a prediction interval wider than ± this says too little to hold


@dataclass
class Evidence:
    """What a ledger row rests on."""

    context: Context
    paper: str
    frame: pd.DataFrame
    theorems: Mapping[str, Mapping[str, Any]]
    marks: pd.DataFrame | None = None

    def row(
        self, entry: str, kind: str, location: str, printed: Any, rule: str, **found: Any
    ) -> dict[str, Any]:
        """A ledger row with every column; what was not found is empty."""
        values = {
            "paper": self.paper,
            "entry": entry,
            "kind": kind,
            "location": location,
            "printed": printed,
            "rule": rule,
            "tier": self.context.tier.name,
            "dataset": self.context.tier.data.slug,
            "verdict": NOT_RUN,
        } | found
        return {column: values.get(column) for column in COLUMNS}


def ledger(evidence: Evidence) -> pd.DataFrame:
    """A paper's ledger at one tier: claims, the map's arrows, statements, marks, then printed cells."""
    rows = [
        *_claims(evidence),
        *_arrows(evidence),
        *_statements(evidence),
        *_marks(evidence),
        *_values(evidence),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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


def _values(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for name, keys, printed, grid in printed_cells(evidence.paper):
        entry = "/".join([name, *(str(value) for value in keys.values())])
        rule = f"printed value within the prediction interval of one further seed, half-width at most {VALUE_MARGIN:g}"
        found = _analogue(evidence, keys, grid) or {}
        if found:
            column = found.pop("column")
            values = found.pop("values")
            found |= _mean(values)
            if not found.pop("comparable"):
                found["protocol"] = f"analogue: {found['protocol']}"
            elif len(values):
                found["verdict"] = coverage(printed, values, margin=VALUE_MARGIN).verdict
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


def _claims(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for entry, claim in read(f"{evidence.paper}/claims.yaml").items():
        found = _decide(evidence, claim) if "measure" in claim else {}
        rule = {
            "order": "paired difference over seeds, 95 % interval above zero",
            "same": "two one-sided paired tests at 5 % within the margin",
        }[claim["kind"]]
        printed = f"{claim['statement']} ({claim['printed']})"
        yield evidence.row(
            entry,
            claim["kind"],
            claim["location"],
            printed,
            rule,
            **({"margin": claim.get("margin")} | found),
        )


def _decide(evidence: Evidence, claim: Mapping[str, Any]) -> dict[str, Any]:
    measure = claim["measure"]
    common = {"experiment": measure["experiment"]} if "experiment" in measure else {}
    high, low = (select(evidence.frame, common | measure[side]) for side in ("high", "low"))
    column = measure["column"]
    if column not in evidence.frame:
        return {"protocol": f"this tier does not measure {column}"}
    pairs = pd.merge(high, low, on="seed", suffixes=("_high", "_low")).sort_values("seed")
    pairs = pairs[(pairs["status_high"] == "finished") & (pairs["status_low"] == "finished")]
    run = evidence.context.manifest.runs[high["run"].iloc[0]]
    found: dict[str, Any] = {
        "protocol": f"analogue: {run.dataset}, {run.encoder}, {column}; high - low",
        "seeds": len(pairs),
        "verdict": "inconclusive",
    }
    if pairs.empty:
        return found | {"protocol": found["protocol"] + "; a side diverged in every seed"}
    scale = 100 if column.startswith("few") else 1
    a, b = ((scale * pairs[f"{column}_{side}"]).tolist() for side in ("high", "low"))
    differences = [x - y for x, y in zip(a, b, strict=True)]
    if claim["kind"] == "order":
        decided = order(a, b)
        verdict, interval, margin = decided.verdict, decided.interval, 0.0
    else:
        same = equivalence(a, b, claim["margin"])
        verdict = {"equivalent": "holds", "different": "differs"}.get(same.verdict, "inconclusive")  # type: ignore[assignment]
        interval, margin = same.interval, claim["margin"]
    found |= {
        "measured": interval.mean,
        "spread": interval.spread,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "verdict": verdict,
    }
    if verdict == "inconclusive":
        found["seeds_needed"] = (
            seeds_needed(differences, margin) if margin else seeds_needed_for_order(differences)
        )
    return found


def _marks(evidence: Evidence) -> Iterator[dict[str, Any]]:
    if evidence.marks is None:
        return
    marks = read(f"{evidence.paper}/published.yaml")["marks"]
    rule = f"imposed norm within {100 * marks['tolerance']:g} % of the printed one; none imposed where none is printed"
    for row in evidence.marks.to_dict("records"):
        found: dict[str, Any] = {"seeds": row["n"]}
        if row["n"]:
            protocol = "analogue: trained embeddings of test images, as the loss compares them"
            found |= {"measured": row["measured"], "verdict": row["verdict"], "protocol": protocol}
        entry = f"table1/{row['mark']}/{row['method']}"
        yield evidence.row(entry, "mark", marks["location"], row["printed"], rule, **found)


def _arrows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    arrows = read(f"{evidence.paper}/published.yaml").get("correspondences")
    if not arrows:
        return
    for name, arrow in arrows["rows"].items():
        found = _from_checks(evidence, arrow["checks"])
        printed = f"{arrow['method']} recovers {arrow['recovers']} ({arrow['when']})"
        yield evidence.row(
            f"figure1/{name}",
            "statement",
            arrows["location"],
            printed,
            "the checks named in published.yaml",
            **found,
        )


def _statements(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for name, check in evidence.theorems.items():
        rule = f"|measured - {check['expected']:g}| <= {check['tolerance']:g}, and the negative control fails"
        found = _from_checks(evidence, [name])
        yield evidence.row(f"statement/{name}", "statement", name, check["text"]["title"], rule, **found)


def _from_checks(evidence: Evidence, names: list[str]) -> dict[str, Any]:
    """A verdict from theorem checks: a broken control decides nothing, a failed check differs."""
    if not names:
        return {}
    checks = [evidence.theorems[name] for name in names]
    if any(check["control_verdict"] != "fails" for check in checks):
        verdict = "inconclusive"
    elif any(check["verdict"] != "holds" for check in checks):
        verdict = "differs"
    else:
        verdict = "holds"
    measured = checks[0]["measured"]
    return {
        "measured": measured if isinstance(measured, str) or math.isfinite(measured) else str(measured),
        "protocol": f"{checks[0]['kind']}, {checks[0]['instances']} instances, float64",
        "dataset": "random instances",
        "verdict": verdict,
    }


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """How many entries have each verdict, in a fixed order."""
    found = frame["verdict"].value_counts()
    return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}


def check_complete(paper: str) -> None:
    """Refuse a claims file whose entry has no rule: no claim is made that cannot be decided."""
    for entry, claim in read(f"{paper}/claims.yaml").items():
        missing = {"kind", "location", "statement", "printed"} - set(claim)
        if missing or (claim["kind"] == "same" and "margin" not in claim):
            raise ValueError(f"{PAPERS[paper]}: claim {entry} lacks {sorted(missing) or 'margin'}")
