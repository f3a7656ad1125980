"""Stage `plan`: what a tier would run and what that takes, before anything runs."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import MINIMAL_HEAVY_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spectral_ssl.costs.estimate import Cost, Estimator
from spectral_ssl.costs.histories import read_results
from spectral_ssl.costs.jobs import Job, jobs, wall_seconds
from spectral_ssl.costs.records import COMMITTED, Costs, Rate, read_table
from spectral_ssl.errors import UserError
from spectral_ssl.stages import Context

GPUS = Path("/proc/driver/nvidia/gpus")
NAMED_GPU = "NVIDIA A100"  # whose peak counts where no GPU is found and none was measured
WIDTH = 110  # of what is no terminal


def run(context: Context, batches: bool = False, device: str | None = None, cores: int | None = None) -> int:
    """Print jobs, core-hours, GPU-hours, disk and wall time by stage, or the batches with their runs.

    Rates are those of finished runs in results/ and reference/, then the committed ones; what neither has is estimated
    and told as such. Raises UserError for an unknown device, for no core, and where nothing was ever measured.
    """
    cores = _cores() if cores is None else cores
    if cores < 1:
        raise UserError(f"--cores is {cores}: expected 1 or more")
    here, committed = read_results(context.root), read_table(COMMITTED)
    costs = Costs(here.rates + committed.rates, here.stages + committed.stages, here.notes)
    if batches and not costs.rates:
        _show_batches(context, [], _console())
        return _told(context)
    name, chosen = _device(device, costs.rates, context.tier.training.precision)
    threads, processes = min(context.tier.jobs.threads, cores), context.tier.engine.processes
    estimator = Estimator(costs, name, threads, processes)
    planned = jobs(context, estimator, cores)
    console = _console()
    if batches:
        _show_batches(context, planned, console)
    else:
        _show_stages(context, planned, console)
        _show_basis(planned, estimator, cores, f"{name} ({chosen})", console)
    return _told(context)


def _console() -> Console:
    """Text as it is, no marks read in it; lines end where a terminal does, and elsewhere are whole."""
    terminal = sys.stdout.isatty()
    return Console(
        width=None if terminal else WIDTH, markup=False, emoji=False, highlight=False, soft_wrap=not terminal
    )


def _table(context: Context, console: Console) -> Table:
    """An empty table under the tier's name, close together where there is little room."""
    title = Text(f"tier {context.tier.name}: {context.tier.description}", style="table.title")
    return Table(
        title=title, box=MINIMAL_HEAVY_HEAD, show_edge=False, pad_edge=False,
        collapse_padding=console.width < WIDTH,
    )  # fmt: skip


def _told(context: Context) -> int:
    manifest = context.manifest
    print(f"{len(manifest.cells)} cells, {len(manifest.runs)} runs, {len(manifest.batches)} batches")
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(asked: str | None, rates: Sequence[Rate], precision: str) -> tuple[str, str]:
    """The name of the device that runs train on, and why it is that."""
    measured = next((rate.kind.device for rate in rates if rate.kind.device != "cpu"), None)
    present = _gpu()
    if asked not in (None, "cuda"):
        return str(asked), "--device"
    if asked is None and present is None and precision == "float32":
        return "cpu", "no GPU is here; --device cuda, or a GPU's name, says what one would take"
    if asked is None and present is None:
        why = f"no GPU is here, but the tier trains in {precision}; --device cpu says what a CPU would take"
    else:
        why = "--device" if asked else "it is here"
    return present or measured or NAMED_GPU, why


def _gpu() -> str | None:
    """The first NVIDIA GPU's name as its driver tells, without asking torch."""
    for path in sorted(GPUS.glob("*/information")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    return None


def _show_stages(context: Context, planned: Sequence[Job], console: Console) -> None:
    """A row a stage. What is left has columns of its own where something is finished, GPUs where some are used."""
    begun, gpus = any(job.finished for job in planned), any(job.gpus for job in planned)
    table = _table(context, console)
    table.add_column("stage", no_wrap=True)
    for name in ("jobs", "core-h", *(["GPU-h"] if gpus else []), "disk"):
        # A spread may stand below its number.
        table.add_column(name, justify="right", overflow="fold", no_wrap=not name.endswith("-h"))
        if begun and name != "disk":
            table.add_column("left", justify="right", no_wrap=True)
    table.add_column("basis")
    for stage in dict.fromkeys(job.stage for job in planned):
        table.add_row(stage, *_row([job for job in planned if job.stage == stage], begun, gpus))
    table.add_section()
    table.add_row("total", *_row(planned, begun, gpus))
    console.print(table, soft_wrap=False)


def _row(planned: Sequence[Job], begun: bool, gpus: bool) -> list[str]:
    left = [job for job in planned if not job.finished]
    cells = [str(len(planned)), *([str(len(left))] if begun else [])]
    for of in ("threads", "gpus") if gpus else ("threads",):
        cells += [_hours(planned, of, spread=True), *([_hours(left, of)] if begun else [])]
    return [*cells, _bytes(sum(job.cost.bytes for job in planned)), _basis([job.cost for job in planned])]


def _basis(costs: Sequence[Cost]) -> str:
    """How much of the time is that of equal runs and jobs; no cost may pass for measured that is not all so."""
    seconds, measured = sum(cost.seconds for cost in costs), sum(cost.measured for cost in costs)
    if not seconds:
        return "no history"
    if not measured:
        return "estimated"
    if all(math.isclose(cost.measured, cost.seconds) and cost.seconds for cost in costs):
        return "measured"
    return f"{math.floor(min(100 * measured / seconds, 99.0))} % measured"


def _hours(planned: Sequence[Job], of: str, spread: bool = False) -> str:
    """Hours of all jobs times threads or GPUs; with the spread of measured rates, if it shows."""

    def total(end: str) -> str:
        return _number(sum(getattr(job.cost, end) * getattr(job, of) for job in planned) / 3600)

    middle, low, high = (total(end) for end in ("seconds", "low", "high"))
    return f"{middle} ({low}-{high})" if spread and low != high else middle


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _bytes(size: float) -> str:
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 1000 or unit == "TB":
            return f"{_number(size)} {unit}"
    raise AssertionError


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number > 1 else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{_number(seconds / 3600)} h"


def _show_basis(
    planned: Sequence[Job], estimator: Estimator, cores: int, device: str, console: Console
) -> None:
    """Wall time, device, machines of the measured rates, and every assumption behind an estimate."""
    gpus = max((job.gpus for job in planned), default=0)
    middle, low, high = (
        _duration(wall_seconds(planned, cores, gpus, end)) for end in ("seconds", "low", "high")
    )
    on = _count(cores, "core") + (f" and {_count(gpus, 'GPU')}" if gpus else "")
    finished = " for what is left" if any(job.finished for job in planned) else ""
    spread = f" ({low} to {high})" if low != high else ""
    console.print(f"wall time{finished}: {middle}{spread} on {on}, jobs in order; --cores N changes that")
    console.print(f"device of training: {device}")
    for machine, rows in estimator.used.items():
        where = f"benchmarks/results/costs.csv: {machine}" if machine else "results/ and reference/ here"
        console.print(f"rates of training: {sum(row.runs for row in rows)} measured runs, {where}")
    for why, times in estimator.why.items():
        console.print(f"estimated ({_count(times, 'run')}): {why}")
    for why, stages in estimator.stages_why.items():
        console.print(f"estimated ({', '.join(stages)}): {why}")
    for note in estimator.costs.notes:
        console.print(f"note: {note}")


def _show_batches(context: Context, planned: Sequence[Job], console: Console) -> None:
    table = _table(context, console)
    table.add_column("batch", no_wrap=True)  # to be copied
    for name in ("runs", "epochs", "finished", "time", "basis"):
        table.add_column(name)
    costs: dict[str, Cost] = {job.id: job.cost for job in planned}
    for batch in context.manifest.batches.values():
        finished = sum((context.layout.runs / run.id / "status.json").is_file() for run in batch.runs)
        cost = costs.get(f"pretrain/{batch.id}")
        table.add_row(
            batch.id,
            str(len(batch.runs)),
            str(sum(run.epochs for run in batch.runs)),
            str(finished),
            _duration(cost.seconds) if cost else "",
            _basis([cost] if cost else []),
        )
    console.print(table, soft_wrap=False)
