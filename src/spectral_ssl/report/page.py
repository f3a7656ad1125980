"""The page: templates, style and script in one file whose policy lets no request out."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spectral_ssl import __version__
from spectral_ssl.papers import PAPERS, speed
from spectral_ssl.papers.evidence import VERDICTS
from spectral_ssl.report import entries, products, reference, runs, theorems
from spectral_ssl.report.words import number
from spectral_ssl.stages import Context

SCRIPTS = ("state.js", "detail.js", "ledger.js", "curves.js", "runs.js", "main.js")
MEANING = {
    "holds": "The rule is met.",
    "differs": "The rule is broken: what is printed is not what was found.",
    "inconclusive": "Too few seeds, or the interval covers both answers.",
    "not run at this tier": "The data set, encoder or length of training is not the paper's; an analogue may stand in.",
    "underspecified": "The paper does not say enough to decide.",
}
"""What each verdict means, in words short enough to stand beside its count."""


def render(context: Context, sources: list[entries.Source], ledger: pd.DataFrame, page: Path) -> str:
    """The whole page as text. `ledger` holds texts, with `tier` being a label of `sources` or the engine's."""
    environment = Environment(
        loader=PackageLoader("spectral_ssl.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"number": number, "kind": lambda verdict: str(verdict).partition(" ")[0]}
    # `tojson` escapes <, > and &, so that no text of a result ends the element that holds it.
    environment.policies["json.dumps_kwargs"] = {
        "sort_keys": False,
        "separators": (",", ":"),
        "ensure_ascii": False,
        "allow_nan": False,
    }
    values = _values(context, sources, ledger, page)
    script = "\n".join(_asset(name) for name in SCRIPTS)
    style = _asset("style.css")
    return environment.get_template("page.html.j2").render(
        **values, script=Markup(script), style=Markup(style), policy=policy(script)
    )


def policy(script: str) -> str:
    """A content security policy: this script, styles and pictures within the page, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _values(
    context: Context, sources: list[entries.Source], ledger: pd.DataFrame, page: Path
) -> dict[str, Any]:
    """What the templates are filled with."""
    checks = theorems.checks(context.layout)
    statements = {paper: theorems.statements(paper, checks) for paper in PAPERS}
    sections = [products.section(context, paper, page) for paper in PAPERS]
    shown = entries.rows(ledger, {source.label: source.layout.tier for source in sources})
    found = runs.runs(context, page)
    ids = {one["anchor"] for one in found} | {one["id"] for paper in PAPERS for one in statements[paper]}
    ids |= {one["id"] for section in sections for one in (*section["tables"], *section["figures"])}
    references = reference.sections(context.root, page)
    long = [one for section in references for one in section["papers"]]
    ids |= {one["id"] for section in long for one in (*section["tables"], *section["figures"])}
    links = entries.links(shown, sources, page, ids)
    for row in shown:
        if row["id"] in links and not links[row["id"]]["runs"]:
            row["command"] = ""  # a table's own samples: draws, which no number of seeds adds to
    return {
        "version": __version__,
        "tier": context.tier,
        "tiers": [source.label for source in sources],
        "titles": entries.TITLES,
        "papers": PAPERS,
        "verdicts": VERDICTS,
        "meaning": MEANING,
        "headings": entries.HEADINGS,
        "filters": entries.FILTERS,
        "choices": entries.choices(shown),
        "summary": entries.summary(ledger, context.tier.name),
        "shown_first": entries.SHOWN_FIRST,
        "ledger": shown,
        "aims": sum(row["paper"] == speed.NAME for row in shown),
        "first": entries.FIRST,
        "detail": {"columns": [*entries.DETAIL, "id", "command"], "links": links, "meaning": MEANING},
        "statements": statements,
        "seconds": f"{sum(check['seconds'] for check in checks.values()):.1f}",
        "misprints": theorems.misprints_found(checks),
        "sections": sections,
        "references": references,
        "notebooks": {one["id"]: one["notebook"] for one in sections if one["notebook"]},
        "runs": found,
        "experiments": runs.experiments(found),
        "sheets": products.sheets(context),
    }


def _asset(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8").strip()
