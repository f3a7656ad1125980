"""Several processes that train one run: each has a share of every batch, and together they do what one would.

Losses are functions of the whole batch, so each process gathers all embeddings and computes the whole loss. Networks
are applied to the process's own rows only; batch norm sees all rows (`synchronise`). Every process draws the
same random numbers, so that nothing has to be sent but embeddings, batch norm's statistics and gradients. Processes are
started by torchrun; docs/distributed.md says how.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

from spectral_ssl.errors import UserError
from spectral_ssl.train.synchronise import synchronise

if TYPE_CHECKING:
    from spectral_ssl.methods.base import Method, Step

RENDEZVOUS = timedelta(minutes=5)  # for all processes to have started
# For one process to wait for another in training: the first one also evaluates and writes, which may take long. A
# process that died is not found by waiting: torchrun ends the others.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class World:
    """The processes that train a run together. `World()` is one process alone.

    rank: this process's number in all, from 0; size: how many there are; local_rank: its number on its node;
    local_size: how many there are on its node.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def current(cls) -> World:
        """The world that torchrun's environment variables describe; one process where there are none.

        Raises UserError where they are incomplete or no numbers.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if not any(name in os.environ for name in names):
            return cls()
        found = {name: os.environ.get(name, "") for name in names}
        if wrong := [f"{name}='{value}'" for name, value in found.items() if not value.isdecimal()]:
            raise UserError(
                f"found {', '.join(wrong)} in the environment, expected numbers as torchrun sets them; start with "
                "torchrun, or unset them to train in one process"
            )
        rank, size, local_rank, local_size = (int(value) for value in found.values())
        return cls(rank, size, local_rank, local_size)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """This process's rows of a batch; UserError if the processes cannot have equally many."""
        if batch_size % self.size:
            below = batch_size // self.size * self.size
            fitting = [str(size) for size in (below, below + self.size) if size]
            raise UserError(
                f"batch_size is {batch_size}, which {self.size} processes cannot share evenly; set "
                f"training.batch_size to {' or '.join(fitting)}, or start another number of processes"
            )
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def device(self, name: str | None) -> torch.device:
        """The device of this process, made the current one: CUDA device `local_rank` where several train, else by name.

        name: cpu, cuda or cuda:<index>; None: cuda where it is present. Raises UserError for an unknown name, for a
        device that is not there, and for more processes on this node than it has CUDA devices.
        """
        present = torch.cuda.device_count() if torch.cuda.is_available() else 0
        name = name or ("cuda" if present else "cpu")
        found = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
        if not found:
            raise UserError(f"unknown device '{name}'; expected cpu, cuda or cuda:<index>")
        if name == "cpu":
            return torch.device("cpu")
        if self.size > 1 and found[1]:
            raise UserError(
                f"device '{name}' asked for, but {self.size} processes train, a device each; say cuda or cpu"
            )
        index = self.local_rank if self.size > 1 else int(found[1] or 0)
        if max(index + 1, self.local_size) > present:
            raise UserError(_too_many(name, self.local_size, present))
        torch.cuda.set_device(index)
        return torch.device("cuda", index)

    def gather(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """This process's rows (B / size, ...) of some tensors to all rows (B, ...) of each, in the batch's order.

        What has a gradient keeps it: see `_Gather` for what it is.
        """
        return rows if self.size == 1 else tuple(_Gather.apply(own) for own in rows)

    def prepare(self, method: Method) -> Callable[[Tensor, Tensor], Step]:
        """What replaces `method.step`: given this process's rows of two views it gives the loss of all rows.

        Several processes change the method in place: its batch norm, a momentum target's too, is over all rows, and
        `method.gather` gathers. Parameters and buffers become those of the first process, and `backward` leaves the
        whole batch's gradient in every process. A step's representations and embeddings are this process's rows.
        """
        if self.size == 1:
            return method.step
        synchronise(method, next(method.parameters()).device)
        method.gather = self.gather
        # Buffers are equal already: statistics and queues come from all rows in every process.
        return nn.parallel.DistributedDataParallel(_Stepping(method), broadcast_buffers=False)

    def agree(self, flag: bool) -> bool:
        """Whether any process's flag is set. Waits for the other processes, not for a CUDA device."""
        if self.size == 1:
            return flag
        votes = torch.tensor(int(flag), dtype=torch.int32)
        distributed.all_reduce(votes, op=distributed.ReduceOp.MAX)
        return bool(votes)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.agree(False)


class _Gather(torch.autograd.Function):
    """Rows of every process, the first process's first; the gradient comes back without communication.

    Let z_r = f(x_r; w) be process r's rows, L(z_0, ..., z_{W-1}) the loss, which every process computes, and G_r the
    rows of dL/dz that are r's. The whole gradient is dL/dw = sum_r (df/dw)(x_r)^T G_r. Process r can compute its
    term alone, but DistributedDataParallel averages: (1/W) sum_r. So each process passes W G_r on.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        """All rows."""
        everyone = own.new_empty(distributed.get_world_size() * len(own), *own.shape[1:])
        distributed.all_gather_into_tensor(everyone, own.contiguous())
        return everyone

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """W times this process's rows."""
        world = distributed.get_world_size()
        return gradient.chunk(world)[distributed.get_rank()] * world


class _Stepping(nn.Module):
    """A method's step as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, view1: Tensor, view2: Tensor) -> Step:
        """`Method.step`."""
        return self.method.step(view1, view2)


@contextmanager
def processes() -> Iterator[World]:
    """Join the processes that torchrun started, for as long as the context lasts; `World()` without torchrun.

    CUDA tensors go by NCCL and CPU tensors by gloo. Raises UserError in one line where the others cannot be joined, and
    where the connection to them breaks later.
    """
    world = World.current()
    if world.size == 1:
        yield world
        return
    _join(world)
    stuck = False
    try:
        yield world
        world.barrier()
    except UserError:
        raise
    except Exception as error:
        # On a device something may be under way with the lost process; destroying the group would wait for it.
        stuck = torch.cuda.is_available()
        if isinstance(error, distributed.DistError) or "/gloo/" in str(error):
            raise UserError(
                f"process {world.rank} of {world.size} lost the others ({_first_line(error)}); the process that "
                "failed says why; the same command goes on from the last checkpoint"
            ) from error
        raise
    finally:
        if not stuck:
            distributed.destroy_process_group()


def _join(world: World) -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(distributed.rendezvous("env://", timeout=RENDEZVOUS))
        store.set(f"started/{rank}", "")
        store.wait([f"started/{other}" for other in range(size)], RENDEZVOUS)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
        raise UserError(
            f"process {world.rank} of {world.size} did not reach the others at {address} ({_first_line(error)}); check "
            "that every node was started with the same --nnodes and --rdzv-endpoint and that nodes reach that port"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _too_many(name: str, wanted: int, present: int) -> str:
    if wanted == 1:
        return f"device '{name}' asked for, but {present} CUDA devices are present; use cpu"
    remedy = f"start --nproc-per-node {present}" if present else "say --device cpu"
    return f"{wanted} processes on this node need a CUDA device each, but {present} CUDA devices are present; {remedy}"
