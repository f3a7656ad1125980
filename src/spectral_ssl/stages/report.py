"""Stage `report`: merge the ledgers and theorem checks of every tier present, and write one HTML file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from spectral_ssl import __version__
from spectral_ssl.layout import Layout
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.evidence import COLUMNS, VERDICTS
from spectral_ssl.papers.ledger import counts
from spectral_ssl.provenance import read_json, write_text
from spectral_ssl.stages import Context
from spectral_ssl.stages.tables import write_csv
from spectral_ssl.targets import products
from spectral_ssl.theorems.check import COLUMNS as THEOREM_COLUMNS


def run(context: Context) -> int:
    """Write results/ledger.csv, results/theorems.csv and results/report.html (self-contained, no network)."""
    results = context.root / "results"
    layouts = present(context)
    tiers = [_label(layout) for layout in layouts]
    ledger = pd.concat([_ledger(layout) for layout in layouts], ignore_index=True)
    theorems = [row for layout in layouts for row in _theorems(layout)]
    write_csv(results / "ledger.csv", ledger)
    frame = pd.DataFrame(theorems, columns=["tier", *THEOREM_COLUMNS, "title", "control"])
    write_csv(results / "theorems.csv", frame[["tier", *THEOREM_COLUMNS]])
    environment = Environment(
        loader=PackageLoader("spectral_ssl.stages", ""), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        version=__version__,
        tier=context.tier,
        tiers=tiers,
        papers=PAPERS,
        verdicts=VERDICTS,
        columns=COLUMNS,
        counts={paper: counts(_of(ledger, context.tier.name, paper)) for paper in PAPERS},
        ledger=[_shown(row) for row in ledger.to_dict("records")],
        theorems=[_shown(row) for row in theorems],
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


def _theorems(layout: Layout) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((layout.results / "theorems").glob("*/*.json")):
        check = read_json(path)
        row = {name: check[name] for name in THEOREM_COLUMNS}
        rows.append(
            {
                "tier": _label(layout),
                **row,
                "title": check["text"]["title"],
                "control": check["text"]["control"],
            }
        )
    return rows


def _of(ledger: pd.DataFrame, tier: str, paper: str) -> pd.DataFrame:
    return ledger[(ledger["tier"] == tier) & (ledger["paper"] == paper)]


def _shown(row: dict[Any, Any]) -> dict[str, str]:
    """Numbers to four digits, as people read them."""
    return {str(name): _number(value) for name, value in row.items()}


def _number(value: Any) -> str:
    try:
        return "" if value in ("", None) else f"{float(value):.4g}"
    except ValueError:
        return str(value)


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
