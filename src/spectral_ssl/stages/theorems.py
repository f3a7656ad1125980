"""Stage `theorems`: check the papers' statements, each with its negative control, and print a table meanwhile.

With a tier the results are written for the workflow; without one nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from spectral_ssl.codes import theorems_code
from spectral_ssl.errors import UserError, unknown
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context
from spectral_ssl.theorems.check import CheckResult
from spectral_ssl.theorems.check import run as check

FAILED = 4  # a result, not a crash: the ledger shows it

WIDTHS = {
    "statement": 42,
    "kind": 12,
    "measured": 10,
    "expected": 20,
    "instances": 11,
    "verdict": 8,
    "control": 8,
}


def run(
    context: Context | None,
    paper: str | None = None,
    only: Sequence[str] | None = None,
    instances: int | None = None,
    seed: int | None = None,
    quiet: bool = False,
) -> int:
    """Check the statements of one paper or of all, or those named in `only`, in the papers' order.

    Writes results/<tier>/theorems/<paper>/<statement>.json where there is a tier, whose `instances` and `seed`
    hold unless given here. Exits 4, after the last of them, if a verdict is not the known one or a negative
    control passes.
    """
    names = _chosen(paper, only)
    if context is not None:
        instances = context.tier.theorems.instances if instances is None else instances
        seed = context.tier.theorems.seed if seed is None else seed
    if instances is not None and instances < 1:
        raise UserError(
            f"{instances} instances: expected at least 1; leave --instances out for each check's own number"
        )
    console = Console(highlight=False, soft_wrap=True, quiet=quiet)
    console.print("".join(f"{name:{width}}" for name, width in WIDTHS.items()) + "seconds")
    results = []
    for name in names:
        with console.status(name):
            result = check(name, instances=instances, seed=seed or 0)
        if context is not None:
            code = theorems_code(result.paper)
            path = context.layout.theorem(result.paper, result.statement)
            write_json(path, json.loads(result.to_json()) | {"code": code})
        console.print(_line(result))
        results.append(result)
    wrong = [one for one in results if not one.ok]
    console.print(_total(results, wrong))
    return FAILED if wrong else 0


def _chosen(paper: str | None, only: Sequence[str] | None) -> list[str]:
    """Identifiers `paper/statement`; a statement may be given without its paper where one paper alone has it."""
    papers = list(PAPERS) if paper is None else [check_papers(paper)]
    names = [f"{one}/{statement}" for one in papers for statement in paper_statements(one)]
    if not only:
        return names
    chosen = set()
    for word in only:
        found = [name for name in names if word in (name, name.split("/")[1])]
        if not found:
            short = "/" not in word
            known = [name.split("/")[1] if short else name for name in names]
            raise unknown("statement" if paper is None else f"statement of {paper}", word, known)
        if len(found) > 1:
            raise UserError(f"'{word}' is a statement of several papers: name one of {', '.join(found)}")
        chosen.add(found[0])
    return [name for name in names if name in chosen]


def _line(result: CheckResult) -> str:
    cells = (
        f"{result.paper}/{result.statement}",
        result.kind,
        f"{result.measured:.3g}",
        f"{result.expected:g} within {result.tolerance:g}",
        str(result.instances),
        result.verdict,
        result.control_verdict,
    )
    unexpected = "" if result.ok else f"  EXPECTED {result.known}, control fails"
    words = "".join(f"{cell:{width}}" for cell, width in zip(cells, WIDTHS.values(), strict=True))
    return f"{words}{result.seconds:7.2f}{unexpected}"


def _total(results: list[CheckResult], wrong: list[CheckResult]) -> str:
    words = {"holds": "hold", "differs": "differ", "fails": "fail"}
    counts = ", ".join(
        f"{sum(one.verdict == name for one in results)} {word}" for name, word in words.items()
    )
    said = f"{len(wrong)} not as expected" if wrong else "all as expected"
    return f"{len(results)} statements: {counts}; {said}; {sum(one.seconds for one in results):.1f} s"
