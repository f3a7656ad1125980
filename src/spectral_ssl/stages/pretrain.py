"""Stage `pretrain`: train and probe the runs of one batch."""

from __future__ import annotations

import re
import sys
import time

import torch
from rich.console import Console

from spectral_ssl.codes import batch_code
from spectral_ssl.data.sources import load
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.provenance import sha256_file
from spectral_ssl.stages import Context
from spectral_ssl.train.job import Place, run_batch
from spectral_ssl.train.loop import Row


def run(context: Context, batch: str, device: str | None = None) -> int:
    """Write a folder a run; exits 3, after writing everything, if a run's loss diverged."""
    members = context.manifest.batch(batch)
    where = pick_device(device)
    torch.set_num_threads(context.tier.jobs.threads)
    folder = context.layout.data(members.runs[0].dataset)
    dataset = load(folder)
    place = Place(
        context.layout.runs, context.layout.scratch, batch_code(members), sha256_file(folder / "meta.json")
    )
    show = None if context.quiet else Progress(members.runs)
    statuses = run_batch(members.runs, dataset, place, device=where, progress=show)
    diverged = [status for status in statuses if status["status"] == "diverged"]
    if diverged:
        first = diverged[0]
        raise Divergence(
            f"{len(diverged)} of {len(statuses)} runs diverged; first {first['run']}: term '{first['term']}' is not "
            f"finite at epoch {first['epoch']}, step {first['step']}; try a lower learning rate or longer warm-up"
        )
    return 0


def pick_device(name: str | None) -> torch.device:
    """The device of that name, by default CUDA where it is; UserError for one that is not there."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise UserError(f"unknown device '{name}'; expected cpu, cuda or cuda:<index>")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device '{name}' asked for, but {torch.cuda.device_count()} CUDA devices are present; use cpu"
        )
    return device


class Progress:
    """A line an epoch on a terminal, a line a run in a log: run, epoch, loss, accuracy, views/s, time left."""

    def __init__(self, runs: tuple[RunSettings, ...]) -> None:
        self.total = sum(run.epochs for run in runs)
        self.done = 0
        self.started = time.monotonic()
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def __call__(self, run: RunSettings, epoch: int, row: Row) -> None:
        """Show an epoch's row."""
        self.done += 1
        if not self.console.is_terminal and epoch != run.epochs:
            return
        elapsed = time.monotonic() - self.started
        left = elapsed / self.done * (self.total - self.done)
        text = (
            f"{run.id} epoch {epoch}/{run.epochs} loss {row['loss']:.4g} online {100 * row['online_accuracy']:.1f}% "
            f"{row['views_per_second']:,.0f} views/s, {left:,.0f} s left"
        )
        self.console.print(text, end="\r" if self.console.is_terminal and self.done < self.total else "\n")
