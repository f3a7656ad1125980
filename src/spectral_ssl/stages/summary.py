"""Stage `summary`: where the report is, how many entries hold, what diverged, is damaged, or is not vouched for."""

from __future__ import annotations

from pathlib import Path

from spectral_ssl import receipts
from spectral_ssl.errors import UserError
from spectral_ssl.jobs import Jobs
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.ledger import counts
from spectral_ssl.report.inputs import table
from spectral_ssl.shapes import OK, STATUS, read_as
from spectral_ssl.stages import Context

BAD = 2


def run(context: Context, checksums: bool = False) -> int:
    """Print the summary; exits 2 if a run of this tier diverged, a check failed or a result is damaged.

    Results are compared with their receipts: by length, with `checksums` by every byte.
    """
    root = context.root
    path = root / "results" / "ledger.csv"
    if not path.is_file():
        raise UserError(f"{path} is not there; run `snakemake --config tier={context.tier.name}` first")
    ledger = table(path)
    if not {"tier", "verdict"} <= set(ledger):
        raise UserError(f"{path} has no columns tier and verdict; delete it and run `report` again")
    ours = ledger[ledger["tier"] == context.tier.name]
    print(f"report: {(root / 'results' / 'report.html').resolve()}")
    print(f"ledger of tier {context.tier.name}, {len(ours)} entries:")
    for verdict, count in counts(ours).items():
        print(f"  {count:5d} {verdict}")
    jobs = Jobs(context.tier, context.layout, context.manifest)
    diverged, failed = _diverged(context), _failed(context)
    damaged, stale, unknown = _vouched(jobs, checksums=checksums)
    for file, what in damaged:
        print(f"damaged: {file}: {what}; `snakemake` makes it again")
    if unknown:
        print(f"cannot be vouched for ({len(unknown)} made by what left no receipt): {_first(unknown)}")
    if stale:
        print(f"out of date ({len(stale)} made by other code or settings than these): {_first(stale)}")
    if failed:
        print(f"failed checks ({len(failed)}): {', '.join(failed)}")
    if diverged:
        print(f"diverged ({len(diverged)} runs): {', '.join(diverged)}")
    return BAD if diverged or failed or damaged else 0


def _diverged(context: Context) -> list[str]:
    found = []
    for run in context.manifest.runs:
        folder = context.layout.runs / run
        if not (folder / "status.json").is_file():
            raise UserError(
                f"{folder} is not finished; run `snakemake --config tier={context.tier.name}` again"
            )
        if read_as(folder / "status.json", STATUS)["status"] == "diverged":
            found.append(run)
    return found


def _failed(context: Context) -> list[str]:
    found = []
    for paper in PAPERS:
        for name in paper_statements(paper):
            path = context.layout.theorem(paper, name)
            if not path.is_file():
                raise UserError(
                    f"{path} is not there; run `snakemake --config tier={context.tier.name}` again"
                )
            if not read_as(path, OK)["ok"]:
                found.append(f"{paper}/{name}")
    return found


def _vouched(jobs: Jobs, *, checksums: bool) -> tuple[list[tuple[Path, str]], list[str], list[str]]:
    """Files that are not what was written, jobs done by other code or settings, and jobs without a receipt."""
    damaged: list[tuple[Path, str]] = []
    stale, unknown = [], []
    for name, job in jobs.jobs.items():
        damaged += receipts.wrong(jobs.layout, name, checksums=checksums)
        damaged += [(Path(file), "it is missing") for file in job.files if not Path(file).exists()]
        made_with = receipts.made_with(jobs.layout, name)
        if made_with is None:
            unknown.append(name)
        elif made_with != receipts.fingerprint(job):
            stale.append(name)
    return damaged, stale, unknown


def _first(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
