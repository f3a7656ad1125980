"""What every process of a pair that torchrun starts computes for test_distributed.py; it writes numbers, judges none.

Each process also computes what one process alone would, with the whole batch. Usage: distributed_pair.py FOLDER
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.engine import Engine
from spectral_ssl.errors import Interrupted, UserError
from spectral_ssl.losses import loss_names
from spectral_ssl.methods import build_method
from spectral_ssl.methods.base import Method, Step
from spectral_ssl.papers import read
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import distributed
from spectral_ssl.train.distributed import World, processes
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import train
from spectral_ssl.train.synchronise import SynchronisedBatchNorm, synchronise

BATCH, STEPS, CPU = 12, 2, torch.device("cpu")
SMALL = {
    "byol": {"predictor_width": 16},
    "moco_v2": {"queue": 30},
    "nnclr": {"queue": 30, "predictor_width": 16},
}
CONTROLS = ("vicreg", "simsiam", "byol", "moco_v2", "nnclr")
SGD = Optimiser(name="sgd", learning_rate=0.1, weight_decay=0.0, warmup_epochs=0)
Tensors = Mapping[str, Tensor]


def cases() -> dict[str, RunSettings]:
    """Every method of the table, and every loss that none of them joins embeddings by."""
    presets = read("methods.yaml")
    joint = {preset["loss"] for preset in presets.values() if "method" not in preset}
    presets |= {f"loss {name}": {"loss": name} for name in loss_names() if name not in joint}
    return {name: settings(preset) for name, preset in presets.items()}


def settings(preset: dict[str, Any]) -> RunSettings:
    method = preset.get("method", "joint_embedding")
    kind = preset.get("projector", "").split(":")[0]
    return RunSettings(
        dataset="digits",
        augmentation="digits_affine",
        method=method,
        options={**preset.get("options", {}), **SMALL.get(method, {})},
        loss=preset["loss"],
        hyperparameters=preset.get("hyperparameters", {}),
        encoder="conv_narrow",
        projector={"": "16-d", "simsiam": "simsiam"}.get(kind, f"{kind}:16"),
        embedding_dim=8,
        batch_size=BATCH,
        epochs=1,
        precision="float32",
        optimiser=SGD,
        probes=["knn"],
        draws=2,
        threads=1,
        seed=0,
    )


def views() -> list[tuple[Tensor, Tensor]]:
    """Two steps' views, whose brightness grows along the batch, so that no half has the batch's statistics."""
    generator = torch.Generator().manual_seed(1)
    light = torch.linspace(0, 2, BATCH, dtype=torch.float64).view(-1, 1, 1, 1)
    drawn = torch.rand(STEPS, 2, BATCH, 1, 8, 8, generator=generator, dtype=torch.float64)
    return [(one + light, 2 * two + light) for one, two in drawn]


def follow(method: Method, step: Callable[[Tensor, Tensor], Step], rows: slice) -> list[dict[str, Tensors]]:
    """The terms, gradients and buffers of some steps of gradient descent."""
    seen = []
    for number, (view1, view2) in enumerate(views(), start=1):
        method.zero_grad()
        terms = step(view1[rows], view2[rows]).terms
        terms.total.backward()
        weights = {name: value for name, value in method.named_parameters() if value.requires_grad}
        gradients = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
        assert gradients.keys() == weights.keys()
        with torch.no_grad():
            for name, weight in weights.items():
                weight -= 0.1 * gradients[name]
        method.update(number / STEPS)
        state = {name: value.clone() for name, value in method.state_dict().items()}
        seen.append({"terms": dict(terms), "gradients": gradients, "state": state})
    return seen


def distance(found: Tensors, expected: Tensors) -> float:
    """The largest difference over the largest value; the names and their order must be the same."""
    assert list(found) == list(expected)
    largest = max(float(value.detach().abs().max()) for value in expected.values()) or 1.0
    return max(float((found[name] - expected[name]).detach().abs().max()) for name in expected) / largest


def compare(run: RunSettings, world: World) -> dict[str, float]:
    """How far a run of all processes is from the run of one, in each kind of result."""
    method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(3)).double().train()
    alone = copy.deepcopy(method)
    expected = follow(alone, World().prepare(alone), slice(None))
    found = follow(method, world.prepare(method), world.rows(BATCH))
    return {
        kind: max(distance(f[kind], e[kind]) for f, e in zip(found, expected, strict=True))
        for kind in found[0]
    }


def normalised(layer: nn.Module, x: Tensor, rows: slice) -> dict[str, Tensor]:
    """A batch norm's output, its input's gradient, its running statistics and its output's type."""
    own = x[rows].clone().requires_grad_()
    weights = torch.linspace(-1, 2, x.numel()).view_as(x)[rows]
    out = layer(own)
    (out * weights).sum().backward()
    assert own.grad is not None
    found = {
        "out": out.detach().float(),
        "gradient": own.grad.float(),
        "type": torch.tensor(out.dtype.itemsize),
    }
    return found | {name: value.float() for name, value in layer.named_buffers()}


def compare_layer(layer: nn.Module, x: Tensor, world: World) -> float:
    """How far a layer over all processes is from torch's over the whole batch: own rows, and running statistics."""
    holder = nn.Sequential(copy.deepcopy(layer))
    synchronise(holder, CPU)
    assert isinstance(holder[0], SynchronisedBatchNorm)
    rows = world.rows(len(x))
    expected = normalised(layer, x, slice(None))
    expected |= {name: expected[name][rows] for name in ("out", "gradient")}
    found = normalised(holder[0], x, rows)
    return max(distance({name: found[name]}, {name: expected[name]}) for name in expected)


def layers(world: World) -> dict[str, float]:
    """Batch norm in the forms that networks have."""
    x = torch.randn(8, 5, 3, 3, generator=torch.Generator().manual_seed(2)) * torch.arange(1, 9).view(
        8, 1, 1, 1
    )
    last = x.contiguous(memory_format=torch.channels_last)
    return {
        "float32": compare_layer(nn.BatchNorm2d(5), 30 + x, world),
        "channels last": compare_layer(nn.BatchNorm2d(5), last, world),
        "rows": compare_layer(nn.BatchNorm1d(5), x[:, :, 0, 0], world),
        "without scale": compare_layer(nn.BatchNorm1d(5, affine=False), x[:, :, 0, 0], world),
        "bfloat16": compare_layer(nn.BatchNorm2d(5), x.bfloat16(), world),
        "evaluation": compare_layer(nn.BatchNorm2d(5).eval(), x, world),
        "without running statistics": compare_layer(nn.BatchNorm2d(5, track_running_stats=False), x, world),
    }


def histories(world: World, folder: Path) -> dict[str, Any]:
    """A tiny run's history by both processes and by one, and after an interruption that both or one went on from."""
    own = folder / str(world.rank)
    ingest("digits", own / "digits", train_limit=100, test_limit=50)
    images = Images.of(load(own / "digits"), CPU)
    slowly = SGD.model_copy(
        update={"learning_rate": 1e-3}
    )  # rounding differs, and large steps make much of it
    run = settings({"loss": "vicreg"}).model_copy(update={"epochs": 2, "optimiser": slowly})
    often = Engine(checkpoint_seconds=0)
    found: dict[str, Any] = {"two": train(run, images, own / "two", engine=often, world=world).history}
    found["written"] = [path.name for path in (own / "two").rglob("*") if path.is_file()]

    def stop(*_: object) -> None:
        """Called in the first process alone, after the first epoch."""
        os.kill(os.getpid(), signal.SIGTERM)

    shared, copied = folder / "shared", folder / "copied"
    try:
        train(run, images, shared, world=world, progress=stop)
    except Interrupted as error:
        found["said"], found["status"] = str(error), error.exit_code
    world.barrier()
    if world.first:
        shutil.copytree(shared, copied)
        found["resumed by one"] = train(run, images, copied).history
    world.barrier()
    found["resumed by two"] = train(run, images, shared, world=world).history
    return found | {"one": train(run, images, own / "one").history}


def unscaled(ctx: Any, gradient: Tensor) -> Tensor:
    """The gradient of `_Gather` without the number of processes."""
    return gradient.chunk(2)[torch.distributed.get_rank()]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with processes() as world:
        runs = cases()
        found: dict[str, Any] = {"equal": {name: compare(run, world) for name, run in runs.items()}}
        with mock.patch.object(distributed._Gather, "backward", unscaled):
            found["unscaled"] = {name: compare(runs[name], world) for name in CONTROLS}
        with mock.patch.object(distributed, "synchronise", return_value=None):
            found["apart"] = {name: compare(runs[name], world) for name in CONTROLS}
        found["loss"] = {name: run.loss for name, run in runs.items()}
        found["layers"] = layers(world)
        try:
            found["refused"] = str(world.device("cuda"))
        except UserError as error:
            found["refused"] = str(error)
        found["agreed"] = [world.agree(False), world.agree(world.rank == 1), world.agree(True)]
        found["gathered"] = world.gather(torch.arange(2) + 10 * world.rank)[0].tolist()
        found["histories"] = histories(world, folder)
        (folder / f"{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
