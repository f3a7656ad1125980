"""The ledger: every printed cell and claim with what was measured, the rule that decides, and a verdict.

Rules
  value      the printed number lies in the prediction interval of one further seed; judged only where data set,
             encoder, length of training and protocol are the paper's, else `not run at this tier` with the
             small-scale analogue in `measured`.
  claims     order, same, noninferior, different, range, correlation, underspecified: see papers/rules.py.
  statement  the theorem check's verdict, provided that its negative control fails.
  mark       decided where it is measured (the paper's tables.py), by the tolerance in published.yaml.
  figure, keypoint  the worst verdict of the entries that it names.
Claims and marks may be judged on an analogue; `protocol` then says so. Claims, and values, of a family are corrected
together: see papers/families.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spectral_ssl.papers import claims, method_label, paper_statements, printed, read
from spectral_ssl.papers.decide import judge
from spectral_ssl.papers.evidence import COLUMNS, NOT_RUN, VERDICTS, Evidence
from spectral_ssl.papers.families import Judged, settle_families
from spectral_ssl.papers.rules import COMPOSITE, RULES, check_claims, family
from spectral_ssl.papers.sources import Source, of_parts
from spectral_ssl.papers.statements import statement_texts

WORST_FIRST = ("differs", "inconclusive", NOT_RUN, "underspecified", "holds")
CORRESPONDENCES = "correspondences"  # the table of the map's arrows


@dataclass(frozen=True)
class Entry:
    """A ledger row, and what it rests on."""

    row: dict[str, Any]
    source: Source


@dataclass(frozen=True)
class _Draft:
    """An entry before the others of its family are known."""

    entry: str
    kind: str
    location: str
    printed: Any
    rule: str
    judged: Judged
    family: str | None = None


def ledger(evidence: Evidence) -> pd.DataFrame:
    """A paper's ledger at one tier: claims, the map's arrows, statements, marks, then printed cells."""
    return as_frame(entries(evidence))


def as_frame(found: Sequence[Entry]) -> pd.DataFrame:
    """The rows of entries, in the ledger's columns."""
    return pd.DataFrame([one.row for one in found], columns=COLUMNS)


def entries(evidence: Evidence) -> list[Entry]:
    """The ledger's entries in its order. Raises UserError for claims that no rule decides."""
    check_claims(evidence.paper, claims(evidence.paper))
    parts = (_claims, _arrows, _statements, _marks, _values)
    drafts = [draft for part in parts for draft in part(evidence)]
    settled = settle_families([draft.family for draft in drafts], [draft.judged for draft in drafts])
    found = [
        Entry(_row(evidence, draft, columns), draft.judged.source)
        for draft, columns in zip(drafts, settled, strict=True)
    ]
    return [*_composites(evidence, found), *found]


def _row(evidence: Evidence, draft: _Draft, columns: Mapping[str, Any]) -> dict[str, Any]:
    labels = (draft.entry, draft.kind, draft.location, draft.printed, draft.rule)
    return evidence.row(*labels, **{"family": draft.family, **columns})


def _claims(evidence: Evidence) -> Iterator[_Draft]:
    for entry, claim in claims(evidence.paper).items():
        kind = claim["kind"]
        if kind in COMPOSITE:
            continue
        rule = f"{RULES[kind]}; bounds {claim['bounds']}" if "bounds" in claim else RULES[kind]
        words = f"{claim['statement']} ({claim['printed']})"
        judged = judge(evidence, claim)
        judged.found.setdefault("margin", claim.get("margin"))
        yield _Draft(entry, kind, claim["location"], words, rule, judged, family(entry, claim))


def _composites(evidence: Evidence, rows: Sequence[Entry]) -> Iterator[Entry]:
    """Entries that other entries decide, earlier composites among them: a figure by the claims on it."""
    verdicts = {one.row["entry"]: one.row["verdict"] for one in rows}
    sources = {one.row["entry"]: one.source for one in rows}
    for entry, claim in claims(evidence.paper).items():
        if claim["kind"] not in COMPOSITE:
            continue
        parts = [verdicts[name] for name in claim["entries"]]
        verdict = next((v for v in WORST_FIRST if v in parts), NOT_RUN)
        counted = ", ".join(f"{parts.count(v)} {v}" for v in VERDICTS if v in parts)
        words = f"{claim['statement']} ({claim['printed']})"
        rule = f"the worst verdict of {', '.join(claim['entries'])}"
        verdicts[entry], sources[entry] = verdict, of_parts(claim, sources)
        found = {"verdict": verdict, "protocol": counted}
        row = evidence.row(entry, claim["kind"], claim["location"], words, rule, **found)
        yield Entry(row, sources[entry])


def _values(evidence: Evidence) -> Iterator[_Draft]:
    for value in printed.values(evidence):
        yield _Draft(
            value.entry, "value", value.location, value.printed, printed.RULE, value.judged, value.family
        )


def _marks(evidence: Evidence) -> Iterator[_Draft]:
    if evidence.marks is None:
        return
    marks = read(f"{evidence.paper}/published.yaml")["marks"]
    tolerance = f"{100 * marks['tolerance']:g} %"
    rule = (
        f"in every seed: norm within {tolerance} of the printed one, coefficient of variation (cv) within {tolerance}; "
        "where none is printed, this norm varies more than the other"
    )
    for row in evidence.marks.to_dict("records"):
        found: dict[str, Any] = {"seeds": row["n"]}
        if row["n"]:
            protocol = "analogue: trained embeddings of test images, as the loss compares them"
            found |= {"measured": row["measured"], "verdict": row["verdict"], "protocol": protocol}
        entry = f"table1/{row['mark']}/{row['method']}"
        frame = evidence.frame
        rows = frame[(frame["experiment"] == "table1") & (frame["method"] == row["method"])]
        judged = Judged(found, source=evidence.source(["table1"], rows, {}))
        yield _Draft(entry, "mark", marks["location"], row["printed"], rule, judged)


def _arrows(evidence: Evidence) -> Iterator[_Draft]:
    arrows = read(f"{evidence.paper}/published.yaml").get("correspondences")
    if not arrows:
        return
    for name, arrow in arrows["rows"].items():
        words = f"{method_label(arrow['method'])} recovers {arrow['recovers']} ({arrow['when']})"
        source = Source(CORRESPONDENCES, arrows.get("figure"), _statements_of(evidence, arrow["checks"]))
        judged = Judged(_from_checks(evidence, arrow["checks"]), source=source)
        rule = f"the worst of the checks {', '.join(arrow['checks'])}"
        yield _Draft(f"figure1/{name}", "statement", arrows["location"], words, rule, judged)


def _statements(evidence: Evidence) -> Iterator[_Draft]:
    texts = statement_texts(evidence.paper)
    for name in paper_statements(evidence.paper):
        check = evidence.theorems.get(name)
        if check is None:  # reference results are of runs alone
            words = texts[name].title or texts[name].claimed or name
            yield _Draft(f"statement/{name}", "statement", name, words, "its check's", Judged({}))
            continue
        rule = f"|measured - {check['expected']:g}| <= {check['tolerance']:g}, and the negative control fails"
        words = check["text"]["title"]
        if check["verdict"] == "differs":
            words = texts[name].claimed or words
            rule += "; `measured` is of the corrected form, the printed one is beyond the tolerance"
        source = Source(statements=_statements_of(evidence, [name]))
        judged = Judged(_from_checks(evidence, [name]), source=source)
        yield _Draft(f"statement/{name}", "statement", name, words, rule, judged)


def _statements_of(evidence: Evidence, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{evidence.paper}/{name}" for name in names)


def _from_checks(evidence: Evidence, names: Sequence[str]) -> dict[str, Any]:
    """A verdict from theorem checks: a broken control decides nothing, a failed check differs; none without them."""
    if not names or not set(names) <= set(evidence.theorems):
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
