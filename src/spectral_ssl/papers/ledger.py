"""The ledger: every printed cell and claim with what was measured, the rule that decides, and a verdict.

Rules
  value      the printed number lies in the prediction interval of one further seed; judged only where data set,
             encoder, length of training and protocol are the paper's, else `not run at this tier` with the
             small-scale analogue in `measured`.
  claims     order, same, noninferior, different, range, correlation, underspecified: see papers/decide.py.
  statement  the theorem check's verdict, provided that its negative control fails.
  mark       decided where it is measured (the paper's tables.py), by the tolerance in published.yaml.
  figure, keypoint  the worst verdict of the entries that it names.
Claims and marks may be judged on an analogue; `protocol` then says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from spectral_ssl.papers import PAPERS, paper_statements, read
from spectral_ssl.papers.decide import PAIRED, RULES, decide
from spectral_ssl.papers.evidence import COLUMNS, NOT_RUN, VERDICTS, Evidence
from spectral_ssl.papers.printed import values

COMPOSITE = ("figure", "keypoint")
NEEDED = {
    "same": {"margin"},
    "noninferior": {"margin"},
    "different": {"margin"},
    "range": {"bounds"},
    "correlation": {"bounds"},
    "underspecified": {"reason"},
    "figure": {"entries"},
    "keypoint": {"entries"},
}
WORST_FIRST = ("differs", "inconclusive", NOT_RUN, "underspecified", "holds")


def ledger(evidence: Evidence) -> pd.DataFrame:
    """A paper's ledger at one tier: claims, the map's arrows, statements, marks, then printed cells."""
    claims = list(_claims(evidence))
    rest = [*_arrows(evidence), *_statements(evidence), *_marks(evidence), *values(evidence)]
    composites = list(_composites(evidence, claims + rest))
    return pd.DataFrame(composites + claims + rest, columns=COLUMNS)


def _claims(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for entry, claim in read(f"{evidence.paper}/claims.yaml").items():
        kind = claim["kind"]
        if kind in COMPOSITE:
            continue
        rule = RULES[kind] + (f" {claim['bounds']}" if "bounds" in claim else "")
        printed = f"{claim['statement']} ({claim['printed']})"
        found = {"margin": claim.get("margin")} | decide(evidence, claim)
        yield evidence.row(entry, kind, claim["location"], printed, rule, **found)


def _composites(evidence: Evidence, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Entries that other entries decide, earlier composites among them: a figure by the claims on it."""
    verdicts = {row["entry"]: row["verdict"] for row in rows}
    for entry, claim in read(f"{evidence.paper}/claims.yaml").items():
        if claim["kind"] not in COMPOSITE:
            continue
        parts = [verdicts[name] for name in claim["entries"]]
        verdict = next((v for v in WORST_FIRST if v in parts), NOT_RUN)
        counted = ", ".join(f"{parts.count(v)} {v}" for v in VERDICTS if v in parts)
        printed = f"{claim['statement']} ({claim['printed']})"
        rule = f"the worst verdict of {', '.join(claim['entries'])}"
        verdicts[entry] = verdict
        found = {"verdict": verdict, "protocol": counted}
        yield evidence.row(entry, claim["kind"], claim["location"], printed, rule, **found)


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
    """Refuse a claims file whose entry has no rule, or names entries that are not there or come after it: no claim is
    made that cannot be decided.
    """
    claims = read(f"{paper}/claims.yaml")
    known = {entry for entry, claim in claims.items() if claim.get("kind") not in COMPOSITE}
    known |= {f"statement/{name}" for name in paper_statements(paper)}
    arrows = read(f"{paper}/published.yaml").get("correspondences", {}).get("rows", {})
    known |= {f"figure1/{name}" for name in arrows}
    for entry, claim in claims.items():
        kind = claim.get("kind")
        needed = {"kind", "location", "statement", "printed"} | NEEDED.get(kind, set())
        missing = sorted(needed - set(claim))
        if kind in PAIRED and "measure" in claim:
            missing += sorted({"high", "low", "column"} - set(claim["measure"]))
        if missing or kind not in (*RULES, *COMPOSITE):
            raise ValueError(f"{PAPERS[paper]}: claim {entry} lacks {missing or 'a known kind'}")
        if strangers := sorted(set(claim.get("entries", ())) - known):
            raise ValueError(
                f"{PAPERS[paper]}: claim {entry} names {strangers}, which no entry before it is called"
            )
        known.add(entry)
