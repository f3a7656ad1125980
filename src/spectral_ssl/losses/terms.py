"""What a loss returns, and the care that every loss takes of its input: shapes, precision, options."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, reduce, wraps
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

from spectral_ssl.errors import UserError, unknown

P = ParamSpec("P")


class Terms(Mapping[str, Tensor]):
    """The terms of a loss by name, each a scalar that already carries its weight; `total` is their sum."""

    def __init__(self, terms: Mapping[str, Tensor]) -> None:
        self._terms = dict(terms)

    def __getitem__(self, name: str) -> Tensor:
        return self._terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    def __repr__(self) -> str:
        return f"Terms({', '.join(f'{name}={value.item():.6g}' for name, value in self.items())})"

    @cached_property
    def total(self) -> Tensor:
        """The loss: the sum of the weighted terms, a scalar."""
        return reduce(operator.add, self.values())


def pair_loss(
    function: Callable[Concatenate[Tensor, Tensor, P], dict[str, Tensor]],
) -> Callable[Concatenate[Tensor, Tensor, P], Terms]:
    """Make a loss of two views check its embeddings and compute outside autocast, in float32 or float64.

    fp16 and bf16 embeddings are promoted: autocast would keep Gram and covariance products in half precision,
    where a correlation near 1 is off by a third of its distance from 1 and exp(1 / temperature) overflows.
    """

    @wraps(function)
    def compute(z1: Tensor, z2: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Terms:
        check_embeddings(z1, z2)
        if z1.shape != z2.shape:
            raise UserError(
                f"two views need embeddings of one shape: found {tuple(z1.shape)} and {tuple(z2.shape)}; "
                "row i of both must embed the same image"
            )
        if len(z1) < 2:
            raise UserError(
                f"found embeddings of {len(z1)} sample(s), expected at least 2: fewer have no negatives and "
                "no covariance; raise the batch size or drop the last batch"
            )
        z1, z2 = promote(z1, z2)
        with full_precision(z1):
            return Terms(function(z1, z2, *args, **kwargs))

    return compute


def check_embeddings(*embeddings: Tensor) -> None:
    """Raise UserError unless every tensor is a matrix (N, K)."""
    for z in embeddings:
        if z.ndim != 2:
            raise UserError(
                f"embeddings must be a matrix (samples, dimensions): found shape {tuple(z.shape)}; reshape it"
            )


def promote(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in their common floating type, which is at least float32."""
    dtypes = {z.dtype for z in tensors}
    if len(dtypes) == 1 and dtypes <= {torch.float32, torch.float64}:
        return tensors
    dtype = reduce(torch.promote_types, dtypes, torch.float32)
    return tuple(z.to(dtype) for z in tensors)


def full_precision(z: Tensor) -> AbstractContextManager[object]:
    """A context in which products on the device of z keep their operands' precision."""
    device = z.device.type
    # Entering autocast only to leave it off would cost a small loss a tenth of its time.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def check_positive(name: str, value: float) -> None:
    """Raise UserError unless the value is a finite number above zero."""
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} must be a finite number above 0: found {value}")


def check_option(name: str, value: object, known: Iterable[str]) -> None:
    """Raise UserError, naming the nearest right one, unless the value is among the known ones."""
    known = list(known)
    if value not in known:
        raise unknown(f"value of {name}", value, known)
