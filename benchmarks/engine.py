"""Views per second of whole training steps on an accelerator, what they consist of, and the floor of the arithmetic.

Run from a checkout: `PYTHONPATH=src python benchmarks/engine.py` on a CUDA device: SimCLR with a ResNet-18 of CIFAR
stem, 512 pairs a batch in bfloat16, from 50,000 synthetic images of 32 px that lie on the device as uint8. Variants are
ways to apply the networks: eager in either memory layout, and torch.compile's modes (`reduce-overhead` records CUDA
graphs). The steps are training's own (`train.group.Group`), with augmentation, optimiser and online probe.
`--small` does the same on one core of a CPU in under a minute, with 64 images, in float32 and bfloat16. `--skip TEXT`
leaves out the variants with that in their names: max-autotune compiles for minutes.

Writes results/engine_<device>.csv, .png (pdf, svg) and _operations.txt, torch.profiler's table. Shares are of the first
variant's step: each part alone, timed by the device's clock. The floor is the networks' multiplications and additions
over the device's peak (`train.flops`), published for GPUs and measured on a CPU. Aimed at on one H100: 30,000 views/s,
and a share of views, loss and optimiser together below 20 %.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from spectral_ssl.engine import Engine
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train.distributed import World
from spectral_ssl.train.flops import peak_flops, step_flops
from spectral_ssl.train.group import Group
from spectral_ssl.train.images import Resident

IMAGES, SIZE, EPOCHS = 50_000, 32, 200
VARIANTS: dict[str, tuple[torch.memory_format, str | None]] = {
    "eager, channels last": (torch.channels_last, None),
    "eager, channels first": (torch.contiguous_format, None),
    "compile default": (torch.channels_last, "default"),
    "compile reduce-overhead (CUDA graphs)": (torch.channels_last, "reduce-overhead"),
    "compile max-autotune": (torch.channels_last, "max-autotune"),
}
SMALL = [name for name in VARIANTS if name.startswith("eager")]


def settings(precision: str, batch: int) -> RunSettings:
    """SimCLR on CIFAR as solo-learn has it, with this package's names."""
    return RunSettings(
        dataset="synthetic",
        augmentation="simclr",
        method="joint_embedding",
        loss="simclr",
        hyperparameters={"temperature": 0.2},
        encoder="resnet18_cifar",
        projector="2048-d",
        embedding_dim=256,
        batch_size=batch,
        epochs=EPOCHS,
        precision=precision,
        optimiser=Optimiser(name="lars", learning_rate=0.3, weight_decay=1e-4, warmup_epochs=10),
        probes=["knn"],
        draws=2,
        threads=1,
        seed=0,
    )


def images(n: int, device: torch.device) -> Resident:
    """Noise of ten classes, on the device."""
    generator = torch.Generator(device).manual_seed(0)

    def pixels(count: int) -> Tensor:
        shape = (count, 3, SIZE, SIZE)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device=device)

    def codes(count: int) -> Tensor:
        return torch.randint(10, (count,), generator=generator, device=device)

    nothing = torch.zeros(0, 0, dtype=torch.int64, device=device)
    return Resident(
        train=pixels(n), train_labels=codes(n), train_factors=nothing,
        test=pixels(64), test_labels=codes(64), test_factors=nothing,
        classes=10, factor_names=[],
    )  # fmt: skip


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: torch.device, count: int) -> float:
    """The median of `count` repetitions, each by the device's own clock."""
    taken = []
    for _ in range(count):
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end) / 1000)
        else:
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def training(run: RunSettings, data: Resident, layout: torch.memory_format, mode: str | None) -> Group:
    group = Group([run], data, Engine(compile=mode), World())
    for member in group.members:
        member.method.to(memory_format=layout)  # type: ignore[call-overload]
    return group


def step_seconds(group: Group, warm: int, count: int) -> float:
    """The mean time of a step of a queue of them: nothing is waited for but its end."""
    made = group.steps()
    for _ in range(warm):
        next(made)
    wait(group.images.device)
    started = time.perf_counter()
    for _ in range(count):
        next(made)
    wait(group.images.device)
    return (time.perf_counter() - started) / count


def parts(group: Group, count: int) -> dict[str, float]:
    """Seconds a step spends on views, on loss and its gradient, and on the optimiser."""
    member, device = group.members[0], group.images.device
    batches = group.feed.epoch()
    next(batches)
    found = {"views": seconds(lambda: next(batches), device, count)}
    shape = (group.run.batch_size, group.run.embedding_dim)
    z1, z2 = (torch.randn(shape, device=device, requires_grad=True) for _ in range(2))

    def loss() -> None:
        member.method.loss(z1, z2, **member.method.hyperparameters).total.backward()

    loss()
    found["loss"] = seconds(loss, device, count)
    found["optimiser"] = seconds(member.optimiser.step, device, count)
    return found


def table(group: Group, device: torch.device, path: Path) -> None:
    """What torch.profiler finds in a step."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    made = group.steps()
    next(made)
    with profile(activities=activities) as profiler:
        next(made)
        wait(device)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    text = profiler.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=60)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def measure(device: torch.device, small: bool, stem: Path, skip: str | None = None) -> pd.DataFrame:
    batch, n, warm, count = (8, 64, 1, 3) if small else (512, IMAGES, 15, 60)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    data = images(n, device)
    rows: list[dict[str, object]] = []
    for precision in ("float32", "bfloat16") if small else ("bfloat16",):
        run = settings(precision, batch)
        for variant in SMALL if small else VARIANTS:
            if skip and skip in variant:
                continue
            group = training(run, data, *VARIANTS[variant])
            taken = step_seconds(group, warm, count)
            flops = step_flops(group.members[0].method, batch, (3, SIZE, SIZE))
            floor = flops / peak_flops(device, precision)
            row: dict[str, object] = {
                "device": name, "torch": torch.__version__, "threads": torch.get_num_threads(),
                "precision": precision, "variant": variant, "batch": batch,
                "views_per_second": round(2 * batch / taken),
                "hours_of_200_epochs": round(taken * EPOCHS * (IMAGES // batch) / 3600, 2),
                "gflop_per_view": round(flops / (2 * batch) / 1e9, 2),
                "floor_seconds": float(f"{floor:.3g}"), "step_seconds": float(f"{taken:.3g}"),
                "ratio_to_floor": round(taken / floor, 2),
            }  # fmt: skip
            if variant == next(iter(VARIANTS)):
                whole = parts(group, 3 if small else 20)
                row |= {f"{part}_share": round(spent / taken, 4) for part, spent in whole.items()}
                table(
                    training(run, data, *VARIANTS[variant]),
                    device,
                    stem.with_name(f"{stem.name}_operations.txt"),
                )
            print(row, flush=True)
            rows.append(row)
            del group
            torch.compiler.reset()
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame, stem: Path) -> None:
    from spectral_ssl import plotting

    figure, (speed, shares) = plotting.new_figure(1, 2)
    labels = frame.variant + (", " + frame.precision if frame.precision.nunique() > 1 else "")
    speed.barh(range(len(frame)), frame.views_per_second, color=plotting.COLOURS[0])
    speed.set_yticks(range(len(frame)), labels, fontsize=7)
    speed.invert_yaxis()
    speed.set_xlabel("views per second")
    columns = [column for column in frame if column.endswith("_share")]
    known = frame.dropna(subset=columns)
    left = pd.Series(0.0, index=known.index)
    for index, column in enumerate(columns):
        label = column.removesuffix("_share")
        shares.barh(known.precision, known[column], left=left, color=plotting.COLOURS[index], label=label)
        left += known[column]
    shares.set_xlabel("share of a step")
    figure.legend(loc="outside lower center", ncols=len(columns), fontsize=8)
    figure.suptitle(f"{frame.device[0]}, torch {frame.torch[0]}", fontsize=8)
    plotting.save(figure, stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="on a CPU, with few images")
    parser.add_argument("--skip", metavar="TEXT", help="leave out variants with this in their names")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        parser.error("not run: no CUDA device; --small measures a CPU")
    device = torch.device("cpu" if arguments.small else "cuda")
    if arguments.small:
        torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    stem = arguments.folder / ("engine_cpu" if arguments.small else "engine_cuda")
    frame = measure(device, arguments.small, stem, arguments.skip)
    frame.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    draw(frame, stem)


if __name__ == "__main__":
    main()
