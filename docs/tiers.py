"""What each tier takes, written between two marks of the README.

`PYTHONPATH=src python docs/tiers.py`, or `make docs`. The smoke and laptop tiers' costs are those of
benchmarks/results/workflow.csv; the others' are what `python -m spectral_ssl plan` predicts from the committed
histories.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
from findings import between, table

from spectral_ssl.config import load_tier
from spectral_ssl.costs.estimate import Estimator
from spectral_ssl.costs.jobs import Job, jobs
from spectral_ssl.costs.records import COMMITTED, read_table
from spectral_ssl.stages import Context

ROOT = Path(__file__).resolve().parents[1]
MEASURED = {"smoke": "smoke tier, from nothing", "laptop": "laptop tier, from nothing"}
PREDICTED = {"gpu": "one GPU", "cluster": "Slurm with GPUs", "imagenet": "Slurm with GPUs"}
GPU = "NVIDIA A100"
COLUMNS = ("tier", "what", "hardware", "runs", "takes")


def measured(step: str) -> str:
    """A step's wall time in minutes, as benchmarks/workflow.py measured it."""
    steps = pd.read_csv(ROOT / "benchmarks" / "results" / "workflow.csv").set_index("step")["value"]
    return f"{float(steps[step]) / 60:.0f} minutes"


def predicted(context: Context) -> str:
    """GPU-hours with the spread of their rates, and the disk that results take."""
    tier = context.tier
    estimator = Estimator(read_table(COMMITTED), GPU, tier.jobs.threads, tier.engine.processes)
    planned = jobs(context, estimator, tier.jobs.threads)

    def hours(end: str) -> str:
        return f"{sum(_seconds(job, end) for job in planned) / 3600:,.0f}"

    disk = sum(job.cost.bytes for job in planned) / 1e9
    return f"predicted: {hours('seconds')} GPU-hours ({hours('low')} to {hours('high')}), {disk:,.0f} GB"


def _seconds(job: Job, end: str) -> float:
    return float(getattr(job.cost, end)) * job.gpus


def tiers() -> str:
    """The README's table."""
    rows = []
    with (
        tempfile.TemporaryDirectory() as empty
    ):  # where nothing is finished and nothing but the table is a history
        for name in (*MEASURED, *PREDICTED):
            context = Context(load_tier(name, (), ROOT / "config"), Path(empty), quiet=True)
            cost = measured(MEASURED[name]) if name in MEASURED else predicted(context)
            label = f"`{name}`" + (" (default)" if name == "laptop" else "")
            hardware = PREDICTED.get(name, "2 cores")
            rows.append((label, context.tier.description, hardware, str(len(context.manifest.runs)), cost))
    return table(COLUMNS, rows)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(between(readme.read_text(encoding="utf-8"), "tiers", tiers()), encoding="utf-8")
