"""Stage `pretrain`: train and probe the runs of one batch."""

from __future__ import annotations

import logging
import os
import sys
import time

import torch
from rich.console import Console

from spectral_ssl.codes import batch_code
from spectral_ssl.data.sources import load
from spectral_ssl.errors import Divergence
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.provenance import sha256_file
from spectral_ssl.stages import Context
from spectral_ssl.train.distributed import World, processes
from spectral_ssl.train.group import Row
from spectral_ssl.train.job import Place, run_batch

log = logging.getLogger(__name__)


def run(context: Context, batch: str, device: str | None = None) -> int:
    """Write a folder a run; exits 3, after writing everything, if a run's loss diverged.

    Under torchrun its processes share every batch, and the first one writes. A divergence is then told and no
    failure: torchrun would take it for a crash.
    """
    members = context.manifest.batch(batch)
    with processes() as world:
        where = prepare_device(context, world, device)
        folder = context.layout.data(members.runs[0].dataset)
        dataset = load(folder)
        place = Place(
            context.layout.runs,
            context.layout.scratch,
            batch_code(members),
            sha256_file(folder / "meta.json"),
        )
        show = Progress(members.runs) if world.first and not context.quiet else None
        statuses = run_batch(
            members.runs, dataset, place, device=where, engine=context.tier.engine, world=world, progress=show
        )
    diverged = [status for status in statuses if status["status"] == "diverged"]
    if diverged and world.first:
        first = diverged[0]
        error = Divergence(
            f"{len(diverged)} of {len(statuses)} runs diverged; first {first['run']}: term '{first['term']}' is not "
            f"finite at epoch {first['epoch']}, step {first['step']}; try a lower learning rate or longer warm-up"
        )
        if world.size == 1:
            raise error
        print(f"error: {error}", file=sys.stderr)
    return 0


def prepare_device(context: Context, world: World, name: str | None) -> torch.device:
    """The device to train on, and the CPU's threads: as many as the tier says and the job has cores.

    Warns of bfloat16 on a processor that lacks it: the results are the same, the time is not.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(context.tier.jobs.threads, cores))
    device = world.device(name)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # shapes never change within a run
    elif context.tier.training.precision == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        log.warning(
            "this processor has no bfloat16: it is imitated, slowly; training.precision=float32 avoids that"
        )
    return device


class Progress:
    """A line an epoch on a terminal, a line a run in a log: run, epoch, loss, accuracy, views/s, time left."""

    def __init__(self, runs: tuple[RunSettings, ...]) -> None:
        self.total = sum(run.epochs for run in runs)
        self.reached: dict[str, int] = {}  # by run; a resumed one does not begin at its first epoch
        self.shown = 0
        self.started = time.monotonic()
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def __call__(self, run: RunSettings, epoch: int, row: Row) -> None:
        """Show an epoch's row."""
        self.reached[run.id] = epoch
        self.shown += 1
        if not self.console.is_terminal and epoch != run.epochs:
            return
        elapsed = time.monotonic() - self.started
        remaining = self.total - sum(self.reached.values())
        left = elapsed / self.shown * remaining
        text = (
            f"{run.id} epoch {epoch}/{run.epochs} loss {row['loss']:.4g} online {100 * row['online_accuracy']:.1f}% "
            f"{row['views_per_second']:,.0f} views/s, {left:,.0f} s left"
        )
        self.console.print(text, end="\r" if self.console.is_terminal and remaining else "\n")
