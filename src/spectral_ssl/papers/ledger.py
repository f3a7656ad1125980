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
from typing import Any

import pandas as pd

from spectral_ssl.papers import PAPERS, read
from spectral_ssl.papers.evidence import COLUMNS, VERDICTS, Evidence
from spectral_ssl.papers.measure import select
from spectral_ssl.papers.printed import values
from spectral_ssl.stats import equivalence, order, seeds_needed, seeds_needed_for_order


def ledger(evidence: Evidence) -> pd.DataFrame:
    """A paper's ledger at one tier: claims, the map's arrows, statements, marks, then printed cells."""
    rows = [
        *_claims(evidence),
        *_arrows(evidence),
        *_statements(evidence),
        *_marks(evidence),
        *values(evidence),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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
