"""How many operations one evaluation of each loss takes, against samples and dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode

from spectral_ssl.losses.barlow_twins import barlow_twins
from spectral_ssl.losses.simclr import simclr
from spectral_ssl.losses.terms import Terms
from spectral_ssl.losses.vicreg import vicreg
from spectral_ssl.papers.inputs import Inputs, Table

SAMPLES = (32, 64, 128, 256, 512)
DIMENSIONS = (16, 32, 64, 128, 256)
FIXED = {"N": 128, "K": 64}  # while the other varies


class Loss(NamedTuple):
    """A loss of two views, the order that the paper gives it, and the dominant term's exponents of N and of K."""

    name: str
    function: Callable[..., Terms]
    order: str
    exponents: dict[str, int]


LOSSES = (
    Loss("VICReg", vicreg, "N K^2 + P N K", {"N": 1, "K": 2}),
    Loss("SimCLR", simclr, "N^2, K held fixed", {"N": 2, "K": 1}),
    Loss("Barlow Twins", barlow_twins, "N K^2", {"N": 1, "K": 2}),
)

PRODUCTS = {torch.ops.aten.mm: 0, torch.ops.aten.addmm: 1, torch.ops.aten.bmm: 0, torch.ops.aten.baddbmm: 1}
"""Matrix products, and which argument is the left factor."""


class Exponent(NamedTuple):
    """Slope of a straight line through points in log-log, and its 95 % interval."""

    value: float
    low: float
    high: float


def costs(inputs: Inputs) -> Table:
    """Operations of a loss and its gradient against N and against K, a row a count; the fitted exponent in each row.

    Counts depend on torch, not on the machine or the data.
    """
    rows: list[dict[str, Any]] = []
    shown = []
    for loss in LOSSES:
        words = {"loss": loss.name, "printed order": loss.order}
        for varied, sizes in (("N", SAMPLES), ("K", DIMENSIONS)):
            counts = [operations(loss.function, **(FIXED | {varied: size})) for size in sizes]
            fit = exponent(sizes, counts)
            common = {"loss": loss.name, "varied": varied, "expected": loss.exponents[varied]}
            common |= {"exponent": fit.value, "exponent_low": fit.low, "exponent_high": fit.high}
            rows += [
                common | {"size": size, "operations": count}
                for size, count in zip(sizes, counts, strict=True)
            ]
            words |= {
                f"exponent of {varied}": f"{fit.value:.2f} [{fit.low:.2f}, {fit.high:.2f}]",
                f"dominant term's, {varied}": str(loss.exponents[varied]),
            }
        shown.append(words)
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def operations(loss: Callable[..., Terms], N: int, K: int) -> int:
    """Operations of one evaluation of a loss of two views (N, K) and its gradient.

    Multiplications and additions of matrix products, plus one for each number that any other operation writes.
    """
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(N, K, generator=generator, requires_grad=True) for _ in range(2)]
    counter = _Counter()
    with counter:
        loss(*views).total.backward()
    return counter.operations


class _Counter(TorchDispatchMode):
    """Adds up what torch's operations cost; a view costs nothing."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in PRODUCTS:
            self.operations += 2 * out.numel() * args[PRODUCTS[func.overloadpacket]].shape[-1]
        elif isinstance(out, torch.Tensor) and not func.is_view:
            self.operations += out.numel()
        return out


def exponent(sizes: Sequence[float], counts: Sequence[float]) -> Exponent:
    """The exponent of a power law by least squares in log-log, with Student's t interval of n - 2 degrees of freedom.

    Counts on a line but for a term of lower order leave residuals that are not noise; the interval is as wide as they.
    """
    line = stats.linregress(np.log(sizes), np.log(counts))
    half = float(stats.t.ppf(0.975, len(sizes) - 2)) * float(line.stderr)
    return Exponent(float(line.slope), float(line.slope) - half, float(line.slope) + half)
