"""Stage `summary`: where the report is, how many entries hold, what diverged and what is out of date."""

from __future__ import annotations

import pandas as pd

from spectral_ssl.codes import batch_code, theorems_code
from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.ledger import counts
from spectral_ssl.provenance import read_json
from spectral_ssl.stages import Context

BAD = 2


def run(context: Context) -> int:
    """Print the summary; exits 2 if a run of this tier diverged or a check failed."""
    root = context.root
    path = root / "results" / "ledger.csv"
    if not path.is_file():
        raise UserError(f"{path} is not there; run `snakemake --config tier={context.tier.name}` first")
    ledger = pd.read_csv(path)
    ours = ledger[ledger["tier"] == context.tier.name]
    print(f"report: {(root / 'results' / 'report.html').resolve()}")
    print(f"ledger of tier {context.tier.name}, {len(ours)} entries:")
    for verdict, count in counts(ours).items():
        print(f"  {count:5d} {verdict}")
    diverged, failed, stale = _inspect(context)
    if failed:
        print(f"failed checks ({len(failed)}): {', '.join(failed)}")
    if stale:
        print(f"out of date ({len(stale)} made by other code than this checkout's): {_first(stale)}")
    if diverged:
        print(f"diverged ({len(diverged)} runs): {', '.join(diverged)}")
    return BAD if diverged or failed else 0


def _inspect(context: Context) -> tuple[list[str], list[str], list[str]]:
    """Runs that diverged, checks that failed, and results of either kind whose code has changed since."""
    layout = context.layout
    diverged, failed, stale = [], [], []
    for batch in context.manifest.batches.values():
        code = batch_code(batch)
        for run in batch.runs:
            folder = layout.runs / run.id
            if not (folder / "status.json").is_file():
                raise UserError(
                    f"{folder} is not finished; run `snakemake --config tier={context.tier.name}` again"
                )
            if read_json(folder / "status.json")["status"] == "diverged":
                diverged.append(run.id)
            if read_json(folder / "provenance.json")["code"] != code:
                stale.append(run.id)
    for paper in PAPERS:
        code = theorems_code(paper)
        for name in paper_statements(paper):
            path = layout.theorem(paper, name)
            if not path.is_file():
                raise UserError(
                    f"{path} is not there; run `snakemake --config tier={context.tier.name}` again"
                )
            check = read_json(path)
            if not check["ok"]:
                failed.append(f"{paper}/{name}")
            if check["code"] != code:
                stale.append(f"{paper}/{name}")
    return diverged, failed, stale


def _first(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
