"""A training step asks nothing of an accelerator that the host would wait for.

The accelerator is played by the device "meta", whose tensors have shapes and no values: everything that is not on a CPU
takes the accelerators' route, and what passes between the two is told apart from what stays on the host.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spectral_ssl.config import load_tier
from spectral_ssl.data.views import augmentation_names
from spectral_ssl.engine import Engine
from spectral_ssl.losses import get_loss, loss_names
from spectral_ssl.losses.terms import Terms
from spectral_ssl.papers import read
from spectral_ssl.papers.manifest import RunSettings, resolve
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import feed, group
from spectral_ssl.train.distributed import World
from spectral_ssl.train.images import Resident

META = torch.device("meta")
# What waits on CUDA: a number, or a size that depends on values, comes back to the host.
WAITING = {
    *("_local_scalar_dense", "is_nonzero", "item", "equal", "nonzero", "nonzero_numpy", "argwhere"),
    *("masked_select", "unique_dim", "_unique", "_unique2", "unique_consecutive", "bincount", "histc"),
    *("_linalg_check_errors", "_assert_scalar"),
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class Waits(AssertionError):
    """An operation that the host waits for."""


class Watch(TorchDispatchMode):
    """Refuses what waits for the device, and copies between it and the host."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        if name in WAITING and any(tensor.device == META for tensor in tensors):
            refuse(name)
        if name in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            refuse(f"{name} with a mask")
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            refuse(f"{name} without output_size")
        result = func(*args, **kwargs)
        devices = {value.device for value in (*tensors, *tree_leaves(result)) if isinstance(value, Tensor)}
        if name in ("_to_copy", "copy_") and len(devices) > 1:
            refuse(f"{name} between devices")
        return result


class WatchConstants(TorchFunctionMode):
    """Refuses tensors made of Python's numbers on the device: their copy is below what a dispatch mode sees."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and result.device == META:
            refuse(func.__name__)
        return result


def refuse(what: str) -> NoReturn:
    frames = [
        frame
        for frame in traceback.extract_stack()
        if "spectral_ssl/" in frame.filename or frame.name.startswith("planted")
    ]
    caller = f"{frames[-1].filename.rpartition('spectral_ssl/')[2]}:{frames[-1].lineno}" if frames else "?"
    raise Waits(f"{what} at {caller}")


class MetaGenerator(torch.Generator):
    """Draws nothing, and says that it is the accelerator's."""

    device = META


@pytest.fixture(autouse=True)
def _accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        return torch.Generator() if torch.device(device).type == "cpu" else MetaGenerator()

    monkeypatch.setattr(feed, "generator_for", generator)
    monkeypatch.setattr(group, "generator_for", generator)
    monkeypatch.setattr(
        group, "step_flops", lambda *_: 1
    )  # looks at a copy on the CPU, before the first step
    # Autocast knows no meta device; what it inserts are casts, on the device that holds the tensor.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)


def images(size: int) -> Resident:
    def empty(n: int, *shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(n, *shape, dtype=dtype, device=META)

    def split(name: str) -> dict[str, Tensor]:
        return {
            name: empty(600, 3, size, size, dtype=torch.uint8),
            f"{name}_labels": empty(600, dtype=torch.int64),
            f"{name}_factors": empty(600, 4, dtype=torch.int64),
        }

    names = ["shape", "colour", "texture", "position"]
    return Resident(**split("train"), **split("test"), classes=4, factor_names=names)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run() -> Callable[..., RunSettings]:
    tier = load_tier("laptop")

    def settings(method: str = "vicreg", **changes: Any) -> RunSettings:
        return resolve(tier, method, {}, 0).model_copy(update={"batch_size": 64, **changes})

    return settings


def steps(settings: RunSettings, size: int = 16) -> Iterator[int]:
    """Steps of training on the accelerator; the first one is not watched: it makes what later ones keep."""
    training = group.Group([settings], images(size), Engine(), World())
    for member in training.members:
        # The fused kernels do not take meta tensors, and are one operation each.
        for part in member.optimiser.param_groups:
            part.update({"fused": False, "foreach": True} if "fused" in part else {})
    made = training.steps()
    yield next(made)
    with WatchConstants(), Watch():
        yield next(made)


METHODS = list(read("methods.yaml"))


def test_every_loss_has_a_method_below(run: Callable[..., RunSettings]) -> None:
    assert {run(method).loss for method in METHODS} == set(loss_names())


@pytest.mark.parametrize("method", METHODS)
def test_every_method(run: Callable[..., RunSettings], method: str) -> None:
    assert list(steps(run(method))) == [1, 2]


@pytest.mark.parametrize("augmentation", augmentation_names())
def test_every_augmentation(run: Callable[..., RunSettings], augmentation: str) -> None:
    assert list(steps(run(augmentation=augmentation), size=32)) == [1, 2]


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_every_optimiser(run: Callable[..., RunSettings], name: str) -> None:
    optimiser = Optimiser(name=name, learning_rate=0.1, weight_decay=1e-4, warmup_epochs=1, clip=True)  # type: ignore[arg-type]
    assert list(steps(run(optimiser=optimiser))) == [1, 2]


def planted_item(z: Tensor) -> Tensor:
    return z * float(z.mean())


def planted_constant(z: Tensor) -> Tensor:
    return z * z.new_tensor([2.0])


def planted_copy(z: Tensor) -> Tensor:
    return z * torch.ones(len(z), 1).to(z.device)


def planted_mask(z: Tensor) -> Tensor:
    return z[z[:, 0] > 0]


def planted_selection(z: Tensor) -> Tensor:
    return z.masked_select(z > 0)


def planted_branch(z: Tensor) -> Tensor:
    return z if z.mean() > 0 else -z


def planted_repeat(z: Tensor) -> Tensor:
    return z.repeat_interleave((z[:, 0] > 0).long(), 0)


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        (planted_item, "_local_scalar_dense"),
        (planted_constant, "new_tensor"),
        (planted_copy, "_to_copy between devices"),
        (planted_mask, "index with a mask"),
        (planted_selection, "masked_select"),
        (planted_branch, "(is_nonzero|_local_scalar_dense)"),
        (planted_repeat, "repeat_interleave without output_size"),
    ],
)
def test_a_wait_in_a_loss_is_found(
    run: Callable[..., RunSettings],
    monkeypatch: pytest.MonkeyPatch,
    planted: Callable[[Tensor], Tensor],
    told: str,
) -> None:
    calls = []

    def loss(z1: Tensor, z2: Tensor, **_: Any) -> Terms:
        calls.append(planted.__name__)
        spoilt = planted(z1) if len(calls) > 1 else z1
        return Terms({"invariance": spoilt.square().mean() + z2.square().mean()})

    settings = run()
    monkeypatch.setattr(
        type(get_loss(settings.loss)), "__call__", lambda _, *views, **options: loss(*views, **options)
    )
    with pytest.raises(Waits, match=rf"^{told} at .*test_no_sync\.py:\d+$"):
        list(steps(settings))
