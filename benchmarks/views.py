"""Views per second of the `simclr` augmentation, beside torchvision's on Pillow images, a process a core.

Run from a checkout: `PYTHONPATH=src python benchmarks/views.py`. Both are measured in turns in one run, so
that whatever else the machine does touches both, and each keeps its best round. Other machines give other
rates: the ratio is what carries over.
"""

from __future__ import annotations

import argparse
import csv
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import v2

from spectral_ssl.data.augment.presets import NORMALISATIONS
from spectral_ssl.data.views import get_augmentation

SIZE = 32
BATCH = 512
COLUMNS = ["name", "threads", "image_size", "views_per_second", "ratio_to_torchvision"]


def images() -> torch.Tensor:
    """A batch of smooth random images, uint8 (N, 3, H, W)."""
    coarse = torch.rand(BATCH, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=SIZE, mode="bicubic").clamp(0, 1)
    return smooth.mul(255).to(torch.uint8)


def torchvision_round(_: int = 0) -> float:
    """Seconds for one batch of views with torchvision v2 on Pillow images, in this process, on one thread."""
    torch.set_num_threads(1)
    mean, std = NORMALISATIONS["cifar10"]
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.08, 1.0), interpolation=v2.InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images()]
    transform(pictures[0])
    start = time.perf_counter()
    torch.stack([transform(picture) for picture in pictures])
    return time.perf_counter() - start


def own_round(batch: torch.Tensor, threads: int) -> float:
    """Seconds for one batch of views with this package."""
    torch.set_num_threads(threads)
    augmentation = get_augmentation("simclr", SIZE, 3)
    generator = torch.Generator().manual_seed(0)
    augmentation(batch[:8], generator=generator)
    start = time.perf_counter()
    augmentation(batch, generator=generator)
    return time.perf_counter() - start


def measure(threads: int, rounds: int) -> list[dict[str, object]]:
    """Rates on `threads` threads, against as many torchvision processes."""
    batch = images()
    best = {"spectral_ssl": 0.0, "torchvision_pil": 0.0}
    with ProcessPoolExecutor(threads, mp_context=get_context("spawn")) as pool:
        list(pool.map(torchvision_round, range(threads)))
        for _ in range(rounds):
            theirs = sum(BATCH / seconds for seconds in pool.map(torchvision_round, range(threads)))
            best["torchvision_pil"] = max(best["torchvision_pil"], theirs)
            best["spectral_ssl"] = max(
                best["spectral_ssl"], *(BATCH / own_round(batch, threads) for _ in range(5))
            )
    return [
        {
            "name": name,
            "threads": threads,
            "image_size": SIZE,
            "views_per_second": round(rate),
            "ratio_to_torchvision": round(rate / best["torchvision_pil"], 2),
        }
        for name, rate in best.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "views.csv")
    arguments = parser.parse_args()
    rows = [row for threads in (1, 2) for row in measure(threads, arguments.rounds)]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(arguments.out.read_text(), end="")


if __name__ == "__main__":
    main()
