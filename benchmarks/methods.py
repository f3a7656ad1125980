"""Views per second of every method's whole training step, and of drawing the `factors` views, on one thread.

Run from a checkout: `PYTHONPATH=src python benchmarks/methods.py`. Methods are measured in turns in one run, so that
whatever else the machine does touches all of them, and each keeps its median round: the ratio to SimCLR is what
carries over. The networks are the laptop tier's.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import torch

from spectral_ssl.config import load_tier
from spectral_ssl.data.sources import ingest, load
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.papers import read
from spectral_ssl.papers.manifest import resolve
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import train

COLUMNS = ["name", "views_per_second", "ratio_to_simclr"]
BASE = "simclr"


def images(name: str, folder: Path, size: int | None = None) -> Images:
    """A data set on the CPU."""
    ingest(name, folder / f"{name}-{size}", image_size=size)
    return Images.of(load(folder / f"{name}-{size}"), torch.device("cpu"))


def method_round(method: str, data: Images, folder: Path) -> float:
    """Views per second of one epoch, the online probe included and the look at its end left out."""
    run = resolve(load_tier("laptop", ["training.epochs=1"]), method, {}, 0)
    return train(run, data, folder / "scratch").history[0]["views_per_second"]


def factors_round(data: Images, size: int) -> float:
    """Views per second of re-rendering."""
    augmentation = get_augmentation("factors", size, 3)
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    augmentation(data.train, generator=generator, factors=data.train_factors)
    return len(data.train) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "methods.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods = list(read("methods.yaml"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digits = images("digits", folder)
        found: dict[str, list[float]] = {}
        for _ in range(arguments.rounds + 1):
            for method in methods:
                found.setdefault(method, []).append(method_round(method, digits, folder))
        for size in (16, 32):
            data = images("factors", folder, size)
            found[f"factors views, {size} px"] = [
                factors_round(data, size) for _ in range(arguments.rounds + 1)
            ]
    medians = {name: statistics.median(rates[1:]) for name, rates in found.items()}  # the first warms up
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, rate in medians.items():
            writer.writerow([name, round(rate), f"{rate / medians[BASE]:.2f}" if name in methods else ""])
    print(arguments.out.read_text(), end="")


if __name__ == "__main__":
    main()
