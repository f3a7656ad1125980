"""The ledger on the page: a row an entry, what its detail says, and where that leads."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spectral_ssl.jobs import products
from spectral_ssl.layout import Layout
from spectral_ssl.papers import PAPERS, speed
from spectral_ssl.papers.evidence import VERDICTS
from spectral_ssl.papers.ledger import COMPOSITE, counts
from spectral_ssl.report.words import anchor, beside, number
from spectral_ssl.shapes import SOURCES, read_as

TITLES = {**PAPERS, speed.NAME: speed.TITLE}
FILTERS = ("tier", "paper", "kind", "verdict", "family")
HEADINGS = {
    "verdict": "verdict",
    "entry": "entry",
    "printed": "printed",
    "measured": "measured",
    "spread": "spread",
    "ci_low": "interval",
    "margin": "margin",
    "seeds": "n (seeds)",
    "p_holm": "p (Holm)",
    "rule": "rule",
    "seeds_needed": "seeds needed",
    "paper": "paper",
    "kind": "kind",
    "family": "family",
    "tier": "tier",
}
"""The columns of the page's table and their headings; an interval is sorted by its lower end."""

DETAIL = (
    *("paper", "entry", "kind", "location", "printed", "measured", "spread", "ci_low", "ci_high", "margin"),
    *("family", "p", "p_holm", "seeds", "seeds_needed", "protocol", "tier", "dataset", "rule", "verdict"),
)
FIRST = 200
"""How many rows of the ledger are laid out unless all are asked for: a browser takes seconds for thousands."""

SHOWN_FIRST = 6
"""How many entries that differ are named above the ledger, for each paper."""


@dataclass(frozen=True)
class Source:
    """A tier that is merged: its label in the ledger, where it lies, and what the ids of its products on the page begin
    with; None if the page does not show them. That of the page's own tier, whose runs it shows too, is empty.
    """

    label: str
    layout: Layout
    prefix: str | None


def rows(ledger: pd.DataFrame, tiers: Mapping[str, str]) -> list[dict[str, str]]:
    """The ledger's rows with an id each, every column of `DETAIL` as text, and the command for more seeds.

    `tiers` maps a label in the ledger to the tier's name. Missing columns are empty.
    """
    found, taken = [], set()
    for index, row in enumerate(ledger.to_dict("records")):
        shown = {column: str(row.get(column, "")) for column in DETAIL}
        name = anchor("entry", shown["tier"], shown["paper"], shown["entry"])
        shown["id"] = name if name not in taken else f"{name}--{index}"
        taken.add(shown["id"])
        shown["command"] = ""
        if shown["seeds_needed"] and shown["tier"] in tiers:
            words = (f"tier={tiers[shown['tier']]}", f"seeds={number(shown['seeds_needed'])}")
            shown["command"] = shlex.join(["snakemake", "--config", *words])
        shown["title"] = TITLES.get(shown["paper"], shown["paper"])
        found.append(shown)
    return found


def choices(shown: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """What each filter offers: the values that occur, verdicts in their fixed order."""
    entries = list(shown)
    found = {name: list(dict.fromkeys(row[name] for row in entries if row[name])) for name in FILTERS}
    found["verdict"] = [*VERDICTS, *(v for v in found["verdict"] if v not in VERDICTS)]
    return {name: sorted(values) if name in ("kind", "family") else values for name, values in found.items()}


def summary(ledger: pd.DataFrame, tier: str) -> dict[str, Any]:
    """The verdicts of one tier: in all, by paper, and the entries that differ (composites apart, which repeat them)."""
    own = ledger[ledger["tier"] == tier]
    differs = own[(own["verdict"] == "differs") & ~own["kind"].isin(COMPOSITE)]
    return {
        "entries": len(own),
        "all": counts(own),
        "papers": {paper: counts(own[own["paper"] == paper]) for paper in PAPERS},
        "differs": {paper: set(differs[differs["paper"] == paper]["entry"]) for paper in PAPERS},
    }


def links(
    shown: list[dict[str, str]], sources: Iterable[Source], page: Path, known: set[str]
) -> dict[str, dict[str, Any]]:
    """By an entry's id, where its detail leads, from the tables' sources.json; nothing for a tier without one.

    Of tiers whose products the page shows, tables and figures are anchors, of others files beside the page. `known`
    are the ids on the page: what has none is named without a link.
    """
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        ids = {(row["paper"], row["entry"]): row["id"] for row in shown if row["tier"] == source.label}
        for paper in PAPERS:
            path = source.layout.tables(paper) / "sources.json"
            for entry, at in (read_as(path, SOURCES) if path.is_file() else {}).items():
                if (paper, entry) in ids:
                    found[ids[paper, entry]] = _leads(at, paper, source, page, known, ids)
    return found


def _leads(
    at: Mapping[str, Any],
    paper: str,
    source: Source,
    page: Path,
    known: set[str],
    ids: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    """One entry's links, each a label and an address, which is empty where there is nothing to go to."""
    layout = source.layout

    def product(kind: str, folder: Path, ending: str) -> list[list[str]]:
        name = at.get(kind)
        if not name:
            return []
        title = products(paper, f"{kind}s").get(name, {"title": name})["title"]
        target = anchor(source.prefix or "", kind, paper, name)
        if source.prefix is not None and target in known:
            return [[title, f"#{target}"]]
        if source.prefix == "":
            return [[title, ""]]
        return [[title, beside(folder / f"{name}.{ending}", page)]]

    def run(name: str) -> list[str]:
        if source.prefix == "":
            target = anchor("run", name)
            return [name, f"#{target}" if target in known else ""]
        return [name, beside(layout.runs / name / "provenance.json", page)]

    statements = [(name, anchor(*name.split("/", 1))) for name in at.get("statements", [])]
    return {
        "table": product("table", layout.tables(paper), "md"),
        "figure": product("figure", layout.figures(paper), "svg"),
        "statements": [[name, f"#{target}" if target in known else ""] for name, target in statements],
        "entries": [
            [name, f"#{ids[paper, name]}" if (paper, name) in ids else ""] for name in at.get("entries", [])
        ],
        "runs": [run(name) for name in at.get("runs", [])],
    }
