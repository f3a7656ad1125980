"""Views per second of M runs that train together, beside the same runs one after the other, on one thread.

Run from a checkout: `PYTHONPATH=src python benchmarks/sweep.py`; `--device cuda` measures a GPU. Networks are the
laptop tier's, VICReg is trained, four runs share a seed and so its views. What is timed are whole steps as training
makes them: views, networks, loss, optimiser, online probe. Variants take turns in rounds of ten steps or an epoch, and
each keeps its median round. On a CPU it is the process's CPU time that counts, which does not grow while other
processes have the core; their use of the caches still shows. Writes results/sweep.csv and .png (pdf, svg).

one after the other: every run by itself. together: views and backward pass are shared, and so many members share
an operation of a layer: none ("layers apart"), the default on a CPU; 4; all, the default on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from spectral_ssl.config import load_tier
from spectral_ssl.data.sources import ingest, load
from spectral_ssl.papers.manifest import RunSettings, resolve
from spectral_ssl.sections import Engine
from spectral_ssl.train import stacked
from spectral_ssl.train.distributed import World
from spectral_ssl.train.group import Group
from spectral_ssl.train.images import Images

SIZES = (2, 4, 8, 12)
SHARED = 4  # runs of one seed
ALONE = "one after the other"
STEPS = 10
VARIANTS = {
    "together, layers apart": 1,
    "together, layers of 4 joined": 4,
    "together, layers of all joined": sys.maxsize,
}
# name: companion data set or None, batch
SETUPS = {
    "digits, 8 px, batch 256": (None, 256),
    "digits, 8 px, batch 32": (None, 32),
    "factors, 16 px, batch 128": ("factors", 128),
}


def data(companion: str | None, folder: Path, device: torch.device) -> Images:
    tier = load_tier("laptop")
    section = tier.companions[companion].data if companion else tier.data
    at = folder / section.slug
    if not at.exists():
        ingest(
            section.name,
            at,
            image_size=section.image_size,
            train_limit=section.train_limit,
            test_limit=section.test_limit,
        )
    return Images.of(load(at), device)


def sweep(count: int, companion: str | None, batch: int) -> list[RunSettings]:
    """Runs that differ in the seed or in a weight of the loss."""
    tier = load_tier("laptop")
    return [
        resolve(
            tier,
            "vicreg",
            {"hyperparameters.invariance": 10.0 + k % SHARED, "batch_size": batch},
            k // SHARED,
            companion,
        )
        for k in range(count)
    ]


def epoch(groups: Sequence[Group], device: torch.device) -> float:
    """Seconds of the first steps of an epoch of all groups; CPU seconds on a CPU."""
    clock: Callable[[], float] = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    for group in groups:
        deque(islice(group.steps(), STEPS), maxlen=0)
        group.step = 0
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def measure(count: int, setup: str, images: Images, rounds: int) -> list[dict[str, object]]:
    runs, engine, world = sweep(count, *SETUPS[setup]), Engine(), World()
    trained = {ALONE: [Group([run], images, engine, world) for run in runs]}
    trained |= {variant: [Group(runs, images, engine, world)] for variant in VARIANTS}
    seconds: dict[str, list[float]] = {variant: [] for variant in trained}
    for _ in range(rounds + 1):
        for variant, groups in trained.items():
            shared = VARIANTS.get(variant, 1)
            stacked._at_once = lambda device, shared=shared: shared
            seconds[variant].append(epoch(groups, images.device))
    feed = trained[ALONE][0].feed
    views = 2 * count * min(STEPS, feed.steps) * feed.batch_size
    medians = {variant: statistics.median(found[1:]) for variant, found in seconds.items()}
    return [
        {
            "device": images.device.type,
            "setup": setup,
            "members": count,
            "variant": variant,
            "views_per_second": round(views / median),
            "gain": round(medians[ALONE] / median, 2),
        }
        for variant, median in medians.items()
    ]


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, axes = plotting.new_figure(1, len(SETUPS), sharex=True, sharey=True)
    for axis, setup in zip(axes, SETUPS, strict=True):
        for index, variant in enumerate(VARIANTS):
            part = frame[(frame.setup == setup) & (frame.variant == variant)]
            axis.plot(
                part.members,
                part.gain,
                color=plotting.COLOURS[index],
                marker=plotting.MARKERS[index],
                linestyle=plotting.DASHES[index],
                markersize=4,
                label=variant,
            )
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set_title(setup, fontsize=8)
        axis.set_xlabel("runs together")
    axes[0].set_ylabel(f"speed over {ALONE}")
    figure.legend(handles=axes[0].get_lines()[:3], loc="outside lower center", ncols=3, fontsize=8)
    plotting.save(figure, stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sweep.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for setup, (companion, _) in SETUPS.items():
            images = data(companion, Path(name), arguments.device)
            for count in SIZES:
                rows += measure(count, setup, images, arguments.rounds)
                print(pd.DataFrame(rows[-len(VARIANTS) - 1 :]).to_string(index=False), flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(arguments.out, index=False, lineterminator="\n")
    draw(frame, arguments.out.with_suffix(""))


if __name__ == "__main__":
    main()
