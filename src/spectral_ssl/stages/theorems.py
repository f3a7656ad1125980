"""Stage `theorems`: check a paper's statements, each with its negative control."""

from __future__ import annotations

import json

from rich.console import Console

from spectral_ssl.codes import theorems_code
from spectral_ssl.errors import unknown
from spectral_ssl.papers import paper_statements
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context
from spectral_ssl.theorems.check import run as check

FAILED = 4  # a result, not a crash: the ledger shows it


def run(context: Context, paper: str, only: str | None = None) -> int:
    """Write results/<tier>/theorems/<paper>/<statement>.json; exits 4, with all written, if one fails or is broken."""
    names = paper_statements(check_papers(paper))
    if only is not None and only not in names:
        raise unknown(f"statement of {paper}", only, names)
    settings, code = context.tier.theorems, theorems_code(paper)
    console = Console(highlight=False, soft_wrap=True)
    wrong = 0
    for name in [only] if only else names:
        result = check(f"{paper}/{name}", instances=settings.instances, seed=settings.seed)
        write_json(context.layout.theorem(paper, name), json.loads(result.to_json()) | {"code": code})
        wrong += not result.ok
        if not context.quiet:
            console.print(
                f"{paper}/{name:24} {result.kind:12} measured {result.measured:<12.4g} {result.verdict:8} "
                f"control {result.control_verdict:6} {result.seconds:6.2f} s"
            )
    return FAILED if wrong else 0
