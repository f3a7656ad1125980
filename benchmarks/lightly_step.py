"""A training step and an epoch beside lightly's SimCLR, VICReg and Barlow Twins, with the same networks.

Run from a checkout: `PYTHONPATH=src python benchmarks/lightly_step.py` (lightly is among the development dependencies).
Rows of `step`: views that are there already, through networks, loss, backward pass and optimiser, in one thread's CPU
time.
Rows of `epoch`: from images to the epoch's end, on two cores. Ours is `train.loop.train`, with its online probe and its
look at test images, on two threads. Theirs is the loop of lightly's documentation: Pillow images, `SimCLRTransform` as
it is there for images of this size, a DataLoader with two workers, SGD. The row `cuda` is an epoch with a ResNet-18
of CIFAR stem, 512 images a batch in bfloat16, and needs a CUDA device. Both sides take turns in one run and count their
median round. Aimed at: no step slower, epochs in half the time, a fifth of it on a GPU. Writes results/lightly_step.csv
and .png (pdf, svg).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightly.loss import BarlowTwinsLoss, NTXentLoss, VICRegLoss
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.methods import build_method
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.loop import train
from spectral_ssl.train.optim import build_optimiser
from spectral_ssl.train.step import descend

RATE, MOMENTUM, DECAY = (
    0.006,
    0.9,
    5e-4,
)  # as lightly has it on CIFAR-10, at a rate at which VICReg trains unwarmed
LOSSES: dict[str, tuple[dict[str, Any], Callable[[], nn.Module]]] = {
    "simclr": ({"temperature": 0.5}, lambda: NTXentLoss(temperature=0.5)),
    "vicreg": ({}, VICRegLoss),
    "barlow_twins": ({}, lambda: BarlowTwinsLoss(lambda_param=0.0051)),
}
NO_DEVICE = "not run: no CUDA device"


@dataclass
class Case:
    """A data set of images of one size on a device, and the network for it."""

    name: str
    dataset: str
    encoder: str
    size: int
    batch: int
    precision: str = "float32"

    def run(self, loss: str, epochs: int) -> RunSettings:
        """The run of one of `LOSSES`."""
        return RunSettings(
            dataset=self.dataset, augmentation="simclr", method="joint_embedding", loss=loss,
            hyperparameters=LOSSES[loss][0], encoder=self.encoder, projector="256-d", embedding_dim=128,
            batch_size=self.batch, epochs=epochs, precision=self.precision,
            optimiser=Optimiser(
                name="sgd", learning_rate=RATE, momentum=MOMENTUM, weight_decay=DECAY, warmup_epochs=0
            ),
            probes=["knn"], draws=2, threads=2, seed=0,
        )  # fmt: skip


CPU = (Case("factors", "factors", "conv32", 32, 256), Case("digits", "digits", "conv_narrow", 8, 256))
CUDA = Case("cuda", "synthetic", "resnet18_cifar", 32, 512, "bfloat16")


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Pillow images with lightly's transform, which gives both views."""

    def __init__(self, images: Resident, size: int) -> None:
        pixels = images.train.cpu().permute(0, 2, 3, 1).squeeze(3).numpy()
        self.pictures = [Image.fromarray(array) for array in pixels]
        self.labels = images.train_labels.tolist()
        grey = {"normalize": {"mean": [0.5], "std": [0.5]}} if images.train.shape[1] == 1 else {}
        self.transform = SimCLRTransform(input_size=size, cj_strength=0.5, gaussian_blur=0.0, **grey)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        return self.transform(self.pictures[index]), self.labels[index]


def their_step(run: RunSettings, images: Resident) -> Callable[[Tensor, Tensor], None]:
    """Networks of this package, loss and optimiser as in lightly's documentation."""
    _, channels, size, _ = images.shape
    method = build_method(run, size, channels, generator=torch.Generator().manual_seed(0))
    method.to(images.device).train()
    optimiser = torch.optim.SGD(method.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    criterion = LOSSES[run.loss][1]()

    def step(view1: Tensor, view2: Tensor) -> None:
        with method.autocast(images.device):
            z1, z2 = (method.head(method.encoder(view)) for view in (view1, view2))
        loss = criterion(z1.float(), z2.float())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def own_step(run: RunSettings, images: Resident) -> Callable[[Tensor, Tensor], None]:
    _, channels, size, _ = images.shape
    method = build_method(run, size, channels, generator=torch.Generator().manual_seed(0))
    method.to(images.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = build_optimiser(method, run.optimiser)
    return lambda view1, view2: [descend(optimiser, method.step(view1, view2).terms, RATE), None][1]


def step_rounds(run: RunSettings, images: Resident, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of steps on view tensors, by turns: wall time is what else the machine does as well."""
    torch.set_num_threads(1)
    shape = (run.batch_size, *images.shape[1:])
    views = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    steps = {"ours": own_step(run, images), "theirs": their_step(run, images)}
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 2):
        for name, step in steps.items():
            started = time.process_time()
            step(*views)
            found[name].append(time.process_time() - started)
    return {name: taken[2:] for name, taken in found.items()}


def epoch_rounds(run: RunSettings, images: Resident, rounds: int, workers: int) -> dict[str, list[float]]:
    """Seconds of epochs, by turns; of each turn's two epochs the second one counts."""
    torch.set_num_threads(2)
    step = their_step(run, images)
    loader = DataLoader(
        Pictures(images, images.shape[2]),
        batch_size=run.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found["ours"].append(train(run, images, Path(folder)).history[-1]["seconds"])
        for _ in range(2):
            started = time.perf_counter()
            for (view1, view2), _ in loader:
                step(view1.to(images.device), view2.to(images.device))
            if images.device.type == "cuda":
                torch.cuda.synchronize()
        found["theirs"].append(time.perf_counter() - started)
    return found


def resident(case: Case, folder: Path) -> Resident:
    """The case's images; synthetic ones, as many as CIFAR-10 has, on the CUDA device."""
    if case.dataset != "synthetic":
        ingest(case.dataset, folder / case.name, image_size=case.size)
        images = Images.of(load(folder / case.name), torch.device("cpu"), mode="resident")
        assert isinstance(images, Resident)
        return images
    generator = torch.Generator("cuda").manual_seed(0)

    def pixels(n: int) -> Tensor:
        shape = (n, 3, case.size, case.size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device="cuda")

    labels = torch.arange(50_000, device="cuda") % 10
    nothing = torch.zeros(0, 0, dtype=torch.int64, device="cuda")
    return Resident(
        train=pixels(50_000), train_labels=labels, train_factors=nothing,
        test=pixels(10_000), test_labels=labels[:10_000], test_factors=nothing,
        classes=10, factor_names=[],
    )  # fmt: skip


def row(kind: str, case: Case, loss: str, found: dict[str, list[float]], **more: object) -> dict[str, object]:
    medians = {name: statistics.median(taken) for name, taken in found.items()}
    line = {
        "kind": kind, "case": case.name, "loss": loss, "encoder": case.encoder, "image_size": case.size,
        "batch": case.batch, "precision": case.precision,
        **{f"{name}_seconds": float(f"{value:.4g}") for name, value in medians.items()},
        "theirs_over_ours": round(medians["theirs"] / medians["ours"], 3) if medians else None,
        "status": "done", "lightly": metadata.version("lightly"), "torch": torch.__version__, **more,
    }  # fmt: skip
    print(line, flush=True)
    return line


def measure(rounds: int, epochs: int) -> pd.DataFrame:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CPU:
            images = resident(case, Path(folder))
            for loss in LOSSES:
                rows.append(row("step", case, loss, step_rounds(case.run(loss, 2), images, rounds)))
            for loss in LOSSES:
                rows.append(row("epoch", case, loss, epoch_rounds(case.run(loss, 2), images, epochs, 2)))
        if not torch.cuda.is_available():
            rows.append(row("epoch", CUDA, "simclr", {}, status=NO_DEVICE))
            return pd.DataFrame(rows)
        images = resident(CUDA, Path(folder))
        found = epoch_rounds(CUDA.run("simclr", 2), images, 1, os.cpu_count() or 1)
        name = torch.cuda.get_device_name()
        rows.append(row("epoch", CUDA, "simclr", found, device=name))
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, axes = plotting.new_figure(1, 2)
    done = frame[frame.status == "done"]
    for axis, kind, aim in zip(axes, ("step", "epoch"), (1, 2), strict=True):
        part = done[done.kind == kind].reset_index(drop=True)
        axis.barh(part.index, part.theirs_over_ours, color=plotting.COLOURS[0])
        axis.set_yticks(part.index, part.loss + ", " + part.case, fontsize=7)
        axis.invert_yaxis()
        axis.axvline(aim, color=plotting.COLOURS[1], linestyle="--", label="aimed at")
        axis.set_xlabel(f"lightly's time of a{'n' if kind == 'epoch' else ''} {kind} over ours")
    figure.legend(handles=axes[0].get_lines(), loc="outside lower center", fontsize=8)
    plotting.save(figure, stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="steps on each side")
    parser.add_argument("--epochs", type=int, default=3, help="epochs on each side")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "lightly_step.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    frame = measure(arguments.rounds, arguments.epochs)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(arguments.out, index=False, lineterminator="\n")
    draw(frame, arguments.out.with_suffix(""))


if __name__ == "__main__":
    main()
