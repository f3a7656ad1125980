"""How the cost of one loss evaluation grows with samples and dimensions."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check

EXPECTED: dict[str, tuple[float, float]] = {
    "vicreg": (1.0, 2.0),
    "simclr": (2.0, 1.0),
    "barlow_twins": (1.0, 2.0),
}
"""Exponents of the dominant term in N and in K."""

SAMPLES = (64, 128, 256, 512)
DIMENSIONS = (16, 32, 64, 128)
FIXED = (128, 64)
"""N while K varies, and K while N varies."""


def _operations(loss: str, n: int, k: int) -> int:
    """Floating-point operations of the matrix products in one evaluation and its gradient, as counted by
    torch.
    """
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(n, k, generator=generator, requires_grad=True) for _ in range(2))
    counter = FlopCounterMode(display=False)
    with counter:
        get_loss(loss)(z1, z2).total.backward()
    return int(counter.get_total_flops())


def _exponent(sizes: tuple[int, ...], counts: list[int]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(counts), 1)[0])


@check(
    paper="balestriero2022",
    statement="complexity",
    kind="rate",
    title="VICReg and Barlow Twins cost N K^2, SimCLR N^2 K",
    control="SimCLR linear in N",
    tolerance=0.05,
    instances=1,
)
def complexity(rng: np.random.Generator, instances: int) -> Outcome:
    """Operations of the dominant term, by loss evaluation: VICReg O(N K^2), SimCLR O(N^2 K), Barlow Twins O(N
    K^2).

    VICReg's other term, O(P N K) for P positives, has no matrix product and is of lower order. The paper
    writes O(N^2) for SimCLR, K held fixed. Measured: the largest error of the exponents fitted in N and in K
    separately, on the operations that torch counts in the library's losses, forwards and backwards; counts do
    not depend on values, nor on the machine, so that there is one instance.
    """
    worst, control = 0.0, np.inf
    detail: dict[str, float] = {}
    for loss, (in_n, in_k) in EXPECTED.items():
        samples = _exponent(SAMPLES, [_operations(loss, n, FIXED[1]) for n in SAMPLES])
        dimensions = _exponent(DIMENSIONS, [_operations(loss, FIXED[0], k) for k in DIMENSIONS])
        worst = max(worst, abs(samples - in_n), abs(dimensions - in_k))
        detail |= {f"{loss}: exponent of N": samples, f"{loss}: exponent of K": dimensions}
        if loss == "simclr":
            control = abs(samples - 1.0)
    return Outcome(worst, {"linear in N": control}, detail=detail)
