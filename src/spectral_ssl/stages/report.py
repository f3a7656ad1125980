"""Stage `report`: merge the ledgers and theorem checks of every tier present, and write one HTML file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spectral_ssl import receipts
from spectral_ssl.errors import UserError
from spectral_ssl.layout import REFERENCE, RESULTS, Layout
from spectral_ssl.papers import PAPERS, speed
from spectral_ssl.papers.evidence import COLUMNS
from spectral_ssl.papers.statements import check_texts
from spectral_ssl.provenance import write_text
from spectral_ssl.report import reference
from spectral_ssl.report.entries import Source
from spectral_ssl.report.inputs import table
from spectral_ssl.report.page import render
from spectral_ssl.report.theorems import checks
from spectral_ssl.stages import Context
from spectral_ssl.stages.tables import write_csv
from spectral_ssl.theorems.check import COLUMNS as THEOREM_COLUMNS

MERGED = ("theorems", "tables", "figures", "notebook")


def run(context: Context) -> int:
    """Write results/ledger.csv, results/theorems.csv and results/report.html (self-contained, no network).

    UserError, before anything is written, where a statement has no text, a paper no ledger at this tier, or a result of
    any tier is damaged.
    """
    check_texts()
    missing = [paper for paper in PAPERS if not _file(context.layout, paper).is_file()]
    if missing:
        raise UserError(
            f"{context.layout.results}: found no ledger of {', '.join(missing)}, expected one of every paper; "
            "run the stage tables for each first"
        )
    results = context.root / "results"
    tiers = present(context)
    for layout in tiers:
        receipts.check(layout, [f"{stage}/{paper}" for stage in MERGED for paper in PAPERS])
    sources = [Source(_label(layout), layout, _prefix(layout, context)) for layout in tiers]
    ledger = merged(sources)
    theorems = [
        {"tier": source.label} | {name: check[name] for name in THEOREM_COLUMNS}
        for source in sources
        for check in checks(source.layout).values()
    ]
    write_csv(results / "ledger.csv", ledger)
    write_csv(results / "theorems.csv", pd.DataFrame(theorems, columns=["tier", *THEOREM_COLUMNS]))
    write_text(results / "report.html", render(context, sources, ledger, results / "report.html"))
    return 0


def present(context: Context) -> list[Layout]:
    """What there is to merge: this tier first, then other tiers in results/, then those in reference/."""
    found = []
    for base in (RESULTS, REFERENCE):
        for folder in sorted((context.root / base).glob("*/tables")):
            layout = Layout(folder.parent.name, context.root, base)
            if all(_file(layout, paper).is_file() for paper in PAPERS):
                found.append(layout)
    return sorted(found, key=lambda layout: layout != context.layout)


def merged(sources: list[Source]) -> pd.DataFrame:
    """The ledgers of all tiers below one another, then the engine's aims: texts, in the ledger's columns.

    A column that an older tier has not is empty there.
    """
    parts = [_ledger(source) for source in sources]
    return pd.concat([*parts, speed.speed()], ignore_index=True).reindex(columns=COLUMNS).fillna("")


def _prefix(layout: Layout, context: Context) -> str | None:
    """What the ids of a tier's products on the page begin with; None for a tier that it does not show."""
    if layout == context.layout:
        return ""
    return reference.prefix(layout) if layout.base == REFERENCE else None


def _label(layout: Layout) -> str:
    return layout.tier if layout.base == RESULTS else f"{layout.tier} ({layout.base})"


def _file(layout: Layout, paper: str) -> Path:
    return layout.tables(paper) / "ledger.csv"


def _ledger(source: Source) -> pd.DataFrame:
    parts = [table(_file(source.layout, paper), dtype=str, keep_default_na=False) for paper in PAPERS]
    return pd.concat(parts, ignore_index=True).assign(tier=source.label)
