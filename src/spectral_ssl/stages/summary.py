"""Stage `summary`: where the report is, how many entries hold, what diverged and what is out of date."""

from __future__ import annotations

import pandas as pd

from spectral_ssl.codes import batch_code
from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.ledger import counts
from spectral_ssl.provenance import read_json
from spectral_ssl.stages import Context

BAD = 2


def run(context: Context) -> int:
    """Print the summary; exits 2 if a run of this tier diverged or a check failed."""
    root, layout = context.root, context.layout
    path = root / "results" / "ledger.csv"
    if not path.is_file():
        raise UserError(f"{path} is not there; run `snakemake --config tier={context.tier.name}` first")
    ledger = pd.read_csv(path)
    ours = ledger[ledger["tier"] == context.tier.name]
    print(f"report: {(root / 'results' / 'report.html').resolve()}")
    print(f"ledger of tier {context.tier.name}, {len(ours)} entries:")
    for verdict, count in counts(ours).items():
        print(f"  {count:5d} {verdict}")
    diverged, stale = [], []
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
    failed = [
        f"{paper}/{name}"
        for paper in PAPERS
        for name in paper_statements(paper)
        if (check := read_json(layout.theorem(paper, name)))["verdict"] == "fails" or check["broken"]
    ]
    if failed:
        print(f"failed checks ({len(failed)}): {', '.join(failed)}")
    if stale:
        print(
            f"out of date ({len(stale)} runs made by other code than this checkout's): {', '.join(stale[:5])} ..."
        )
    if diverged:
        print(f"diverged ({len(diverged)} runs): {', '.join(diverged)}")
    return BAD if diverged or failed else 0
