"""What to say when training runs out of memory: what was asked for, what takes most of it, what to try."""

from __future__ import annotations

import copy
import os
import re
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from spectral_ssl.errors import UserError
from spectral_ssl.exhaustion import is_exhaustion
from spectral_ssl.methods import build_method
from spectral_ssl.train.images import Resident
from spectral_ssl.train.room import free_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectral_ssl.methods.base import Method
    from spectral_ssl.papers.manifest import RunSettings
    from spectral_ssl.train.images import Images

ASKED = re.compile(r"(?:tried|unable) to allocate ([\d.]+) *(bytes|[KMGT]i?B)", re.IGNORECASE)
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
STATES = {"sgd": 1, "lars": 1, "adamw": 2}  # numbers that an optimiser keeps for each trainable one


@dataclass
class Use:
    """Estimated bytes of training: images on the device; weights with gradients and optimiser state, of which those of
    head and predictor; what a step keeps for the backward pass, in networks and in the loss.
    """

    images: int = 0
    weights: int = 0
    heads: int = 0
    activations: int = 0
    loss: int = 0


def explain(
    error: BaseException, run: RunSettings, images: Images, *, members: int = 1, processes: int = 1
) -> UserError | None:
    """The one line for an error that says that memory is exhausted, on the CPU or another device; None for others.

    It names the memory asked for and free, the largest consumers, and three things to try, that which saves most
    first. members: runs that train together; processes: those that share a batch. Sizes are estimates from below:
    without workspace, caches and what a step holds only for a moment.
    """
    if not is_exhaustion(error):
        return None
    rows = -(-run.batch_size // processes)
    use = estimate(run, images, rows, members=members, processes=processes)
    together = f" of {members} runs together" if members > 1 else ""
    consumers = {
        f"activations of 2 x {rows} views{together}": use.activations,
        "images on the device": use.images,
        f"weights, gradients and state of {run.optimiser.name}{together}": use.weights,
        f"matrices of the loss {run.loss}{together}": use.loss,
    }
    largest = sorted(((size, name) for name, size in consumers.items() if size), reverse=True)
    found = ", ".join(f"{name} {size_text(size)}" for size, name in largest)
    things = sorted(_things(run, use, members), key=lambda thing: -thing[0])[:3]
    advice = ", ".join(text + (f" (saves {size_text(saved)})" if saved else "") for saved, text in things)
    asked = ASKED.search(str(error))
    return UserError(
        f"out of memory on {images.device}: {_asked(asked) if asked else 'an unknown size'} asked for"
        f"{_free(images.device)}; largest consumers, estimated: {found or 'unknown'}; try, in this order: {advice}"
    )


def estimate(run: RunSettings, images: Images, rows: int, *, members: int = 1, processes: int = 1) -> Use:
    """What a run's training holds, with `rows` images of each batch on this device."""
    use = Use(images=images.train.nbytes + images.test.nbytes if isinstance(images, Resident) else 0)
    with suppress(Exception):  # an estimate must not hide the error that it explains
        _, channels, size, _ = images.shape
        method = build_method(run, size, channels, generator=torch.Generator().manual_seed(0))
        copies = 2 + STATES[run.optimiser.name]
        use.weights = members * _weights(method, copies)
        use.heads = members * sum(_weights(part, copies) for part in _heads(method))
        kept = _kept(method, (channels, size, size), rows, processes)
        use.activations, use.loss = (members * part for part in kept)
    return use


def _weights(module: nn.Module, copies: int) -> int:
    """Bytes of all tensors, a trainable one `copies` times: itself, its gradient and the optimiser's state."""
    parameters = sum(p.nbytes * (copies if p.requires_grad else 1) for p in module.parameters())
    return parameters + sum(buffer.nbytes for buffer in module.buffers())


def _heads(method: Method) -> list[nn.Module]:
    return [part for name, part in method.named_modules() if name.split(".")[-1] in ("head", "predictor")]


def _stand_in(method: Method) -> Method:
    """A copy of a method, in training mode, whose tensors are empty ones on that device; "meta" has no memory."""
    memo: dict[int, Any] = {}
    for parameter in method.parameters():
        empty = torch.empty_like(parameter)
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in method.buffers():
        memo[id(buffer)] = torch.empty_like(buffer)
    memo[id(method.gather)] = method.gather  # may hold a process group
    return copy.deepcopy(method, memo).train()


def _kept(method: Method, shape: Sequence[int], rows: int, processes: int) -> tuple[int, int]:
    """Bytes that a step on two views of `rows` images keeps until its gradient is known: in networks, in the loss.

    The step is made with tensors that have no numbers. The loss begins where the method gathers rows.
    """
    networks: dict[int, torch.UntypedStorage] = {}
    loss: dict[int, torch.UntypedStorage] = {}
    part = networks

    def keep(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()  # of which several may be views; held, so that its address stays
        if storage._cdata not in weights and storage._cdata not in networks:
            part[storage._cdata] = storage

    def gather(*outputs: Tensor) -> tuple[Tensor, ...]:
        nonlocal part
        part = loss
        return tuple(output.repeat(processes, 1) for output in outputs)

    with FakeTensorMode(allow_non_fake_inputs=True), saved_tensors_hooks(keep, lambda nothing: nothing):
        twin = _stand_in(method)
        weights = {parameter.untyped_storage()._cdata for parameter in twin.parameters()}
        twin.gather = gather
        with suppress(RuntimeError):  # a loss of the user's own may look at its values
            twin.step(*(torch.empty(rows, *shape) for _ in range(2)))
    of_networks, of_loss = (sum(storage.nbytes() for storage in held.values()) for held in (networks, loss))
    return of_networks, of_loss


def _things(run: RunSettings, use: Use, members: int) -> list[tuple[int, str]]:
    """What one can change, with about how many bytes each saves; first what changes the training least, and most often
    helps, since that order counts where savings are equal or unknown.
    """
    step = use.activations + use.loss
    things = []
    if members > 1:
        things.append(((step + use.weights) * (members - 1) // members, "engine.together: 1"))
    if run.batch_size > 3:
        things.append((step // 2, f"training.batch_size: {run.batch_size // 2}"))
    if run.precision == "float32":
        things.append((use.activations // 2, "training.precision: bfloat16"))
    if use.images:
        things.append((use.images, "engine.data: stream"))
    things.append((use.heads // 2, "a projector of half the width (training.projector)"))
    things.append((0, "a smaller training.encoder"))
    return things


def _asked(found: re.Match[str]) -> str:
    number, unit = found.groups()
    return size_text(int(number)) if unit == "bytes" else f"{number} {unit}"


def _free(device: torch.device) -> str:
    """What is left on the device, and what this process may have at most."""
    with suppress(RuntimeError):  # a CUDA device that is in no state to answer
        if device.type == "cuda":
            total = torch.cuda.mem_get_info(device)[1]
        else:
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        text = f", {size_text(free_memory(device))} of {size_text(total)} free"
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if device.type == "cpu" and limit != resource.RLIM_INFINITY:
            text += f" (this process is limited to {size_text(limit)} by ulimit -v)"
        return text
    return ""


def size_text(size: float) -> str:
    """Bytes in the largest unit of which there is one, 1024 of each to the next."""
    power = 0
    while size >= 1024 and power < len(UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.{min(power, 1)}f} {UNITS[power]}"
