"""Views per second and core of the `simclr` augmentation, beside torchvision's transforms and kornia's.

Run from a checkout: `PYTHONPATH=src python benchmarks/views.py`. kornia is not among the dependencies: `pip install
kornia` beside them measures its two ways of cropping too; without it its rows say so. torchvision's v2 transforms
see Pillow images in a DataLoader, a worker process a core; the others a batch of uint8 tensors, on as many threads. All
take turns in one run and count their median round. Rates a core are by CPU time, which leaves out what else the machine
does: other machines give other rates, the ratios carry over. Writes results/views.csv and .png (pdf, svg).
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pandas as pd
import psutil
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from spectral_ssl import __version__
from spectral_ssl.data.augment.presets import NORMALISATIONS
from spectral_ssl.data.views import get_augmentation

BATCHES = {32: 512, 96: 128, 224: 32}  # images a batch by their side, px
MEAN, STD = NORMALISATIONS["cifar10"]
ROUND = 0.4  # seconds a round lasts at least
OURS, PILLOW = "spectral_ssl", "torchvision v2, Pillow, DataLoader"
KORNIA = {f"kornia, {mode} crops": mode for mode in ("slice", "resample")}
MISSING = "not installed (pip install kornia)"


class Pictures(Dataset[Tensor]):
    """Pillow images, each seen through torchvision's transforms."""

    def __init__(self, pixels: Tensor) -> None:
        size = pixels.shape[2]
        self.pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels]
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.08, 1.0), interpolation=v2.InterpolationMode.BICUBIC),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        view: Tensor = self.transform(self.pictures[index])
        return view


def images(size: int) -> Tensor:
    """A batch of smooth random images, uint8 (N, 3, H, W)."""
    coarse = torch.rand(BATCHES[size], 3, 4, 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)
    return smooth.mul(255).to(torch.uint8)


def own(pixels: Tensor) -> Callable[[], Tensor]:
    augmentation = get_augmentation("simclr", pixels.shape[2], 3)
    generator = torch.Generator().manual_seed(0)
    return lambda: augmentation(pixels, generator=generator)


def pillow(pixels: Tensor, workers: int) -> Callable[[], Tensor]:
    """An epoch at a time, so that workers have nothing to do while the others are measured."""
    loader = DataLoader(
        Pictures(pixels),
        batch_size=len(pixels) // 4,
        sampler=[*range(len(pixels))] * (4 * workers),
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    return lambda: torch.cat([*loader])


def kornia(pixels: Tensor, mode: str) -> Callable[[], Tensor]:
    import kornia.augmentation as k

    size = pixels.shape[2]
    transform = k.AugmentationSequential(
        k.RandomResizedCrop((size, size), scale=(0.08, 1.0), resample="bicubic", cropping_mode=mode),
        k.RandomHorizontalFlip(),
        k.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        k.RandomGrayscale(p=0.2),
        k.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        data_keys=["input"],
    )
    return lambda: transform(pixels.float().div_(255))


def used() -> float:
    """CPU seconds of this process and its workers so far."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def rates(batch: Callable[[], Tensor]) -> tuple[float, float]:
    """Views per second of one round, and views per CPU second."""
    batch()  # warms the caches that the others have filled
    count, started, before = 0, time.perf_counter(), used()
    while time.perf_counter() - started < ROUND:
        count += len(batch())
    return count / (time.perf_counter() - started), count / (used() - before)


def measure(size: int, cores: int, rounds: int) -> list[dict[str, object]]:
    """A row a contender, on that many threads or worker processes."""
    torch.set_num_threads(cores)
    pixels = images(size)
    contenders = {OURS: own(pixels), PILLOW: pillow(pixels, cores)}
    versions = {OURS: __version__, PILLOW: metadata.version("torchvision")}
    try:
        versions |= dict.fromkeys(KORNIA, metadata.version("kornia"))
        contenders |= {name: kornia(pixels, mode) for name, mode in KORNIA.items()}
    except metadata.PackageNotFoundError:
        versions |= dict.fromkeys(KORNIA, "")
    for batch in contenders.values():
        batch()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, batch in contenders.items():
            found[name].append(rates(batch))
    medians = {
        name: [statistics.median(of) for of in zip(*pairs, strict=True)] for name, pairs in found.items()
    }
    rows: list[dict[str, object]] = []
    for name, version in versions.items():
        row: dict[str, object] = {"name": name, "version": version, "cores": cores, "image_size": size}
        if name in medians:
            row |= {
                "views_per_second": round(medians[name][0]),
                "views_per_second_per_core": round(medians[name][1]),
                "times_slower": round(medians[OURS][1] / medians[name][1], 2),
                "status": "done",
            }
        rows.append(row if name in medians else {**row, "status": MISSING})
    return rows


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, axes = plotting.new_figure(1, frame.cores.nunique(), sharey=True)
    done = frame[frame.status == "done"]
    names = list(dict.fromkeys(done.name))
    sizes = sorted(done.image_size.unique())
    width = 0.8 / len(names)
    for axis, (cores, panel) in zip(axes, done.groupby("cores"), strict=True):
        for index, name in enumerate(names):
            part = panel[panel.name == name].set_index("image_size").reindex(sizes)
            places = [place + (index - (len(names) - 1) / 2) * width for place in range(len(sizes))]
            label = name if axis is axes[0] else None
            colour = plotting.COLOURS[index]
            axis.bar(places, part.views_per_second_per_core, width, color=colour, label=label)
        axis.set_yscale("log")
        axis.set_xticks(range(len(sizes)), [f"{size} px" for size in sizes])
        axis.set_title(f"{cores} core{'s' if cores > 1 else ''}")
    axes[0].set_ylabel("views per second and core")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    plotting.save(figure, stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", choices=BATCHES, default=[*BATCHES])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "views.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[dict[str, object]] = []
    for size in arguments.sizes:
        for cores in arguments.cores:
            rows += measure(size, cores, arguments.rounds)
            print(*rows[-2 - len(KORNIA) :], sep="\n", flush=True)
    frame = pd.DataFrame(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(arguments.out, index=False, lineterminator="\n")
    draw(frame, arguments.out.with_suffix(""))


if __name__ == "__main__":
    main()
