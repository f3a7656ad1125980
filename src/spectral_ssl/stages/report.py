"""Stage `report`: merge the ledgers and theorem checks of every tier present, and write one HTML file."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from spectral_ssl import __version__
from spectral_ssl.layout import Layout
from spectral_ssl.papers import PAPERS, speed
from spectral_ssl.papers.evidence import COLUMNS, VERDICTS
from spectral_ssl.papers.ledger import counts
from spectral_ssl.papers.statements import check_texts, mathml, misprints, statement_texts, worded
from spectral_ssl.provenance import read_json, write_text
from spectral_ssl.stages import Context
from spectral_ssl.stages.tables import write_csv
from spectral_ssl.targets import products
from spectral_ssl.theorems.check import COLUMNS as THEOREM_COLUMNS

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


def run(context: Context) -> int:
    """Write results/ledger.csv, results/theorems.csv and results/report.html (self-contained, no network).

    UserError, before anything is written, where a statement has no text.
    """
    check_texts()
    results = context.root / "results"
    layouts = present(context)
    tiers = [_label(layout) for layout in layouts]
    ledger = pd.concat([*(_ledger(layout) for layout in layouts), speed.speed()], ignore_index=True)
    theorems = [
        {"tier": _label(layout)} | {name: check[name] for name in THEOREM_COLUMNS}
        for layout in layouts
        for check in _checks(layout).values()
    ]
    write_csv(results / "ledger.csv", ledger)
    write_csv(results / "theorems.csv", pd.DataFrame(theorems, columns=["tier", *THEOREM_COLUMNS]))
    checks = _checks(context.layout)
    environment = Environment(
        loader=PackageLoader("spectral_ssl.stages", ""), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        version=__version__,
        tier=context.tier,
        tiers=tiers,
        engine=speed.NAME,
        papers={**PAPERS, speed.NAME: speed.TITLE},
        verdicts=VERDICTS,
        columns=COLUMNS,
        counts={paper: counts(_of(ledger, context.tier.name, paper)) for paper in PAPERS},
        ledger=[_shown(row) for row in ledger.to_dict("records")],
        statements={paper: _statements(paper, checks) for paper in PAPERS},
        seconds=f"{sum(check['seconds'] for check in checks.values()):.1f}",
        misprints=_misprints(checks),
        sections=[_section(context, paper) for paper in PAPERS],
        sheet=_picture(
            context.layout.views(context.tier.data.slug, context.tier.training.augmentation)
            / "contact_sheet.png"
        ),
    )
    write_text(results / "report.html", page)
    return 0


def present(context: Context) -> list[Layout]:
    """What there is to merge: this tier first, then other tiers in results/, then those in reference/."""
    found = []
    for base in ("results", "reference"):
        for folder in sorted((context.root / base).glob("*/tables")):
            layout = Layout(folder.parent.name, context.root, base)
            if all((layout.tables(paper) / "ledger.csv").is_file() for paper in PAPERS):
                found.append(layout)
    return sorted(found, key=lambda layout: layout != context.layout)


def _label(layout: Layout) -> str:
    return layout.tier if layout.base == "results" else f"{layout.tier} ({layout.base})"


def _ledger(layout: Layout) -> pd.DataFrame:
    files = [layout.tables(paper) / "ledger.csv" for paper in PAPERS]
    parts = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in files]
    return pd.concat(parts, ignore_index=True).assign(tier=_label(layout))


def _checks(layout: Layout) -> dict[str, dict[str, Any]]:
    """Every check's result by `paper/statement`, sorted by file."""
    files = sorted((layout.results / "theorems").glob("*/*.json"))
    return {f"{file.parent.name}/{file.stem}": read_json(file) for file in files}


def _statements(paper: str, checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page shows of a paper's statements, in formulas; `check` is None for one without a result."""
    shown = []
    for name, text in statement_texts(paper).items():
        check = checks.get(f"{paper}/{name}")
        shown.append(
            {
                "id": f"{paper}-{name}",
                "name": name,
                "title": worded(text.title or (check["text"]["title"] if check else "")),
                "source": worded(text.source),
                "formulas": [mathml(formula) for formula in text.formula],
                "printed": text.printed and mathml(text.printed),
                "corrected": text.corrected and mathml(text.corrected),
                "hypotheses": [worded(words) for words in text.hypotheses],
                "measured": worded(text.measured),
                "check": check and _shown({key: check[key] for key in THEOREM_COLUMNS}) | check["text"],
                "seconds": check and f"{check['seconds']:.2f}",
                "evidence": check and evidence(check["detail"]),
            }
        )
    return shown


def evidence(detail: Mapping[str, float | int | str]) -> dict[str, list[tuple[str, str]]]:
    """A check's detail by heading: what was measured beside it, controls, families; an interval beside its number.

    Keys that share what is before their colon stand under that.
    """
    shown = {key: _number(value) for key, value in detail.items()}
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


def _misprints(checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
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
                    "link": number.check.replace("/", "-"),
                    "check": number.check,
                    "says": number.says,
                    "value": _found(checks, number.check, number.detail),
                }
                for number in misprint.numbers
            ],
        }
        for name, misprint in misprints().items()
    ]


def _found(checks: Mapping[str, dict[str, Any]], name: str, key: str) -> str | None:
    detail = checks[name]["detail"] if name in checks else {}
    return _number(detail[key]) if key in detail else None


def _of(ledger: pd.DataFrame, tier: str, paper: str) -> pd.DataFrame:
    return ledger[(ledger["tier"] == tier) & (ledger["paper"] == paper)]


def _shown(row: Mapping[Any, Any]) -> dict[str, str]:
    """Numbers to four digits, as people read them."""
    return {str(name): _number(value) for name, value in row.items()}


def _number(value: Any) -> str:
    if value in ("", None):
        return ""
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.4g}"


def _section(context: Context, paper: str) -> dict[str, Any]:
    layout = context.layout
    return {
        "paper": paper,
        "title": PAPERS[paper],
        "tables": [
            {**words, "html": _html(layout.tables(paper) / f"{name}.md")}
            for name, words in products(paper, "tables").items()
        ],
        "figures": [
            {**words, "name": name, "source": _picture(layout.figures(paper) / f"{name}.png")}
            for name, words in products(paper, "figures").items()
        ],
        "notebook": f"{layout.tier}/reports/{paper}.html",
    }


def _html(path: Path) -> list[list[str]]:
    """The cells of a Markdown table, header first."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def _picture(path: Path) -> str:
    """A PNG as a data address."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
