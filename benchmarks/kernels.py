"""Time and memory of a loss and its gradient against samples N and dimensions K, beside lightly's losses.

Run from a checkout: `PYTHONPATH=src python benchmarks/kernels.py`; `--quick` measures two losses at two sizes. Each
cell is a process of its own on one thread, stopped after 60 s of CPU time (our SimCLR after 600 s) or at 8 GiB; a
contender that was stopped, or but for our SimCLR took over 8 s, is not tried on more samples. `whole matrix` is the
contrastive loss without blocks. Writes results/kernels.csv and .png (pdf, svg): CPU seconds of one evaluation forwards
and backwards in float32, the mean of some where it is short, and the growth of peak resident memory since the imports,
the embeddings and their gradients included. CPU time: wall time is what else the machine did as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

SECONDS, LONG, LONG_ENOUGH, MEMORY = 60, 600, 8, 8 * 2**30
LARGEST = ("simclr", "spectral_ssl")  # alone given LONG seconds, whatever it took before
SAMPLES, K = (256, 1024, 4096, 16384, 65536), 128
DIMENSIONS, N = (64, 512, 2048), 1024
THEIRS = {
    "simclr": "NTXentLoss",
    "dcl": "DCLLoss",
    "vicreg": "VICRegLoss",
    "barlow_twins": "BarlowTwinsLoss",
}
LOSSES = ("simclr", "dcl", "vicreg_ctr", "spectral", "vicreg", "vicreg_exp", "barlow_twins", "tcr")
QUADRATIC = LOSSES[:3]
PROCESSES = multiprocessing.get_context("forkserver")  # a cell's process starts with the imports done
DRAWN = (
    ("simclr", "spectral_ssl"),
    ("simclr", "whole matrix"),
    ("simclr", "lightly"),
    ("vicreg_ctr", "spectral_ssl"),
    ("spectral", "spectral_ssl"),
    ("vicreg", "spectral_ssl"),
    ("vicreg", "lightly"),
)


def contenders(loss: str) -> list[str]:
    return ["spectral_ssl", *["whole matrix"] * (loss in QUADRATIC), *["lightly"] * (loss in THEIRS)]


def evaluate(loss: str, contender: str) -> Callable[..., Any]:
    """The loss of two views, a scalar."""
    if contender == "lightly":
        import lightly.loss

        return getattr(lightly.loss, THEIRS[loss])()
    from spectral_ssl.losses import blockwise, get_loss

    if contender == "whole matrix":
        blockwise.DIRECT_BLOCKS = sys.maxsize
    function = get_loss(loss)
    return lambda z1, z2: function(z1, z2).total


def peak() -> float:
    """Peak resident memory of this process in MiB; ru_maxrss is in bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cell(loss: str, contender: str, n: int, k: int, seconds: int, found: Connection) -> None:
    """Measure one contender in this process and send what was found."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    function = evaluate(loss, contender)
    before = peak()
    generator = torch.Generator().manual_seed(0)
    z = [torch.randn(n, k, generator=generator).requires_grad_() for _ in range(2)]

    def step() -> None:
        z[0].grad = z[1].grad = None
        function(*z).backward()

    try:
        took = repeat(step, 1)
        if took < 0.5:
            took = repeat(step, max(3, round(0.5 / max(took, 0.001))))
    except (RuntimeError, MemoryError) as error:
        memory = "emory" in str(error) or "alloc" in str(error)
        found.send({"status": "> 8 GiB" if memory else f"failed: {str(error)[:80]}"})
        return
    found.send({"status": "done", "cpu_seconds": float(f"{took:.3g}"), "peak_mib": round(peak() - before, 1)})


def repeat(step: Callable[[], None], times: int) -> float:
    """Mean CPU seconds of a step: the processor's clock is too coarse for a single short one."""
    started = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - started) / times


def measure(loss: str, contender: str, n: int, k: int) -> dict[str, object]:
    """The row of one cell."""
    seconds = LONG if (loss, contender) == LARGEST else SECONDS
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=cell, args=(loss, contender, n, k, seconds, there))
    process.start()
    there.close()
    try:
        row: dict[str, object] = here.recv()
    except EOFError:
        process.join()
        stopped = process.exitcode == -signal.SIGXCPU
        row = {"status": f"> {seconds} s" if stopped else f"failed: exit code {process.exitcode}"}
    process.join()
    return row


def rows(sizes: list[tuple[int, int]], losses: tuple[str, ...], out: Path) -> pd.DataFrame:
    found: list[dict[str, object]] = []
    stopped: dict[tuple[str, str], str] = {}
    for n, k in sizes:
        for loss in losses:
            for contender in contenders(loss):
                where = {"loss": loss, "contender": contender, "samples": n, "dimensions": k}
                before = stopped.get((loss, contender))
                row = {"status": f"not tried ({before} before)"} if before else measure(loss, contender, n, k)
                if row["status"] != "done":
                    stopped.setdefault((loss, contender), str(row["status"]))
                elif k == K and float(str(row["cpu_seconds"])) > LONG_ENOUGH and (loss, contender) != LARGEST:
                    stopped[loss, contender] = f"{row['cpu_seconds']} s"
                found.append(where | row)
                print(found[-1], flush=True)
                write(pd.DataFrame(found), out)  # a run that is cut short leaves what it has
    return pd.DataFrame(found)


def write(frame: pd.DataFrame, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False, lineterminator="\n")


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, axes = plotting.new_figure(1, 2, height=3.4, sharex=True)
    done = frame[(frame.status == "done") & (frame.dimensions == K)]
    panels = (("cpu_seconds", "CPU seconds"), ("peak_mib", "peak memory, MiB"))
    for axis, (column, label) in zip(axes, panels, strict=True):
        for index, (loss, contender) in enumerate(DRAWN):
            part = done[(done.loss == loss) & (done.contender == contender)]
            axis.plot(
                part.samples,
                part[column].astype(float),
                color=plotting.COLOURS[index],
                marker=plotting.MARKERS[index],
                linestyle=plotting.DASHES[index],
                markersize=4,
                label=f"{loss}, {contender}" if column == "cpu_seconds" else None,
            )
        axis.set_yscale("log")
        plotting.ticks(axis, sorted(done.samples.unique()))
        axis.set_xlabel(f"samples N, K = {K}")
        axis.set_title(label)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    plotting.save(figure, stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two losses at 256 and 1,024 samples")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kernels.csv")
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    PROCESSES.set_forkserver_preload(["lightly.loss", *(f"spectral_ssl.losses.{loss}" for loss in LOSSES)])
    sizes = [(N, k) for k in DIMENSIONS] + [(n, K) for n in SAMPLES]
    if arguments.quick:
        sizes = sizes[3:5]
    frame = rows(sizes, ("simclr", "vicreg") if arguments.quick else LOSSES, arguments.out)
    draw(frame, arguments.out.with_suffix(""))
    print(arguments.out.read_text(), end="")


if __name__ == "__main__":
    main()
