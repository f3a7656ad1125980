"""Stage `plan`: what a tier would run, before anything runs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from spectral_ssl.stages import Context


def run(context: Context) -> int:
    """Print the batches with their runs and epochs, and which are finished."""
    manifest, layout = context.manifest, context.layout
    table = Table(
        "batch", "runs", "epochs", "finished", title=f"tier {context.tier.name}: {context.tier.description}"
    )
    for batch in manifest.batches.values():
        finished = sum((layout.runs / run.id / "status.json").is_file() for run in batch.runs)
        table.add_row(
            batch.id, str(len(batch.runs)), str(sum(run.epochs for run in batch.runs)), str(finished)
        )
    Console(width=110).print(table)
    print(f"{len(manifest.cells)} cells, {len(manifest.runs)} runs, {len(manifest.batches)} batches")
    return 0
