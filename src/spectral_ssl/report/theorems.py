"""The statements and the misprints on the page: formulas, and what their checks found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from spectral_ssl.layout import Layout
from spectral_ssl.papers.statements import mathml, misprints, statement_texts, worded
from spectral_ssl.report.words import anchor, number
from spectral_ssl.shapes import CHECK, read_as
from spectral_ssl.theorems.check import COLUMNS

GROUPS = {
    "control: ": "negative control",
    "counterexample ": "smallest counterexample",
    "misprint: ": "misprints",
    "family ": "worst by family",
    "shape ": "worst by shape",
    "reached by ": "share of starts that reached the minimum, by optimiser",
}
"""What the keys of a check's detail begin with, and the heading under which those are gathered."""

EVIDENCE = "evidence"
"""The heading of the other keys."""


def checks(layout: Layout) -> dict[str, dict[str, Any]]:
    """Every check's result by `paper/statement`, sorted by file."""
    files = sorted((layout.results / "theorems").glob("*/*.json"))
    return {f"{file.parent.name}/{file.stem}": read_as(file, CHECK) for file in files}


def statements(paper: str, checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page shows of a paper's statements, in formulas; `check` is None for one without a result."""
    shown = []
    for name, text in statement_texts(paper).items():
        check = checks.get(f"{paper}/{name}")
        shown.append(
            {
                "id": anchor(paper, name),
                "name": name,
                "title": worded(text.title or (check["text"]["title"] if check else "")),
                "source": worded(text.source),
                "formulas": [mathml(formula) for formula in text.formula],
                "printed": text.printed and mathml(text.printed),
                "corrected": text.corrected and mathml(text.corrected),
                "hypotheses": [worded(words) for words in text.hypotheses],
                "measured": worded(text.measured),
                "check": check and {key: number(check[key]) for key in COLUMNS} | check["text"],
                "seconds": check and f"{check['seconds']:.2f}",
                "evidence": check and evidence(check["detail"]),
            }
        )
    return shown


def evidence(detail: Mapping[str, float | int | str]) -> dict[str, list[tuple[str, str]]]:
    """A check's detail by heading: what was measured beside it, controls, families; an interval beside its number.

    Keys that share what is before their colon stand under that.
    """
    shown = {key: number(value) for key, value in detail.items()}
    for key in detail:
        stem = re.sub(r":? low$", "", key)
        ends = [f"{key[:-3]}{end}" for end in ("low", "high")]
        if stem != key and ends[1] in shown:
            low, high = (shown.pop(end) for end in ends)
            shown[stem] = f"{shown[stem]} ({low} to {high})" if stem in shown else f"{low} to {high}"
    shared = Counter(key.partition(": ")[0] for key in shown if ": " in key)
    groups: dict[str, list[tuple[str, str]]] = {EVIDENCE: []}
    for key, value in shown.items():
        prefix = next((prefix for prefix in GROUPS if key.startswith(prefix)), "")
        label, heading = key.removeprefix(prefix), GROUPS.get(prefix, EVIDENCE)
        if not prefix and shared[key.partition(": ")[0]] > 1:
            heading, _, label = key.partition(": ")
        groups.setdefault(heading, []).append((label or heading, value))
    return {heading: items for heading, items in groups.items() if items}


def misprints_found(checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The misprints in formulas, each with the numbers found in the checks; None for one that is not there."""
    return [
        {
            "id": f"misprint-{name}",
            "title": worded(misprint.title),
            "where": worded(misprint.where),
            "printed": mathml(misprint.printed),
            "right": mathml(misprint.right),
            "numbers": [
                {
                    "link": anchor(*one.check.split("/", 1)),
                    "check": one.check,
                    "says": one.says,
                    "value": _found(checks, one.check, one.detail),
                }
                for one in misprint.numbers
            ],
        }
        for name, misprint in misprints().items()
    ]


def _found(checks: Mapping[str, dict[str, Any]], name: str, key: str) -> str | None:
    detail = checks[name]["detail"] if name in checks else {}
    return number(detail[key]) if key in detail else None
