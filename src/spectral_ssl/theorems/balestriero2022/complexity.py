"""How the cost of one loss evaluation grows with samples, dimensions and positives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.losses.graph.edges import Edges
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.rates import Rate, fit

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

PAIRS = {"N": (256, 512, 1024), "K": (16, 32, 64, 128), "P": (64, 128, 256, 510)}
PAIRS_FIXED = {"N": 512, "K": 32, "P": 128}
"""Sizes for the term of the positives, N, K and P."""

TIMED: dict[str, tuple[tuple[int, ...], int, tuple[int, ...], int]] = {
    "vicreg": ((1024, 1448, 2048, 2896, 4096), 128, (256, 362, 512, 724, 1024), 512),
    "simclr": ((256, 362, 512, 724, 1024), 192, (512, 724, 1024, 1448, 2048), 256),
    "barlow_twins": ((1024, 1448, 2048, 2896, 4096), 128, (256, 362, 512, 724, 1024), 512),
}
"""Samples, and K beside them; dimensions, and N beside them: so large that the dominant term shows in time."""

TIMED_POSITIVES = (32, 46, 64, 90, 128)
REPEATS = 3


class ElementCounter(TorchDispatchMode):
    """Counts the entries that every operation writes: the cost of what has no matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        # Views write nothing: their storage is their input's.
        if not func.is_view:
            outputs = out if isinstance(out, tuple | list) else (out,)
            self.written += sum(one.numel() for one in outputs if isinstance(one, Tensor))
        return out


def _embeddings(n: int, k: int, views: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, k, generator=generator, dtype=dtype, requires_grad=True) for _ in range(views)]


def operations(loss: str, n: int, k: int) -> int:
    """Floating-point operations of the matrix products in one evaluation and its gradient, as counted by
    torch.
    """
    z1, z2 = _embeddings(n, k, 2)
    counter = FlopCounterMode(display=False)
    with counter:
        get_loss(loss)(z1, z2).total.backward()
    return int(counter.get_total_flops())


def ring(n: int, p: int) -> Edges:
    """Edges of the graph in which each of n nodes has its p nearest on a ring as positives, p even."""
    steps = torch.cat([torch.arange(1, p // 2 + 1), -torch.arange(1, p // 2 + 1)])
    rows = torch.arange(n).repeat_interleave(p)
    columns = (rows + steps.repeat(n)) % n
    return Edges("relation", n, rows, columns, torch.ones(n * p, dtype=torch.float64))


def entries_of_pairs(N: int, K: int, P: int) -> int:
    """Entries written in one evaluation of VICReg on a graph of P positives a node and its gradient."""
    (z,), edges = _embeddings(N, K, 1), ring(N, P)
    counter = ElementCounter()
    with counter:
        get_graph_loss("vicreg")(z, edges).total.backward()
    return counter.written


def _seconds(evaluate: Callable[[], Tensor]) -> float:
    """Least processor time of a few evaluations with their gradients: other programs only ever add to it."""
    took = []
    for _ in range(REPEATS):
        started = time.process_time()
        evaluate().backward()
        took.append(time.process_time() - started)
    return min(took)


def _pair_seconds(loss: str, n: int, k: int) -> float:
    z1, z2 = _embeddings(n, k, 2)
    return _seconds(lambda: get_loss(loss)(z1, z2).total)


def _positives_seconds(n: int, k: int, p: int) -> float:
    (z,), edges = _embeddings(n, k, 1), ring(n, p)
    return _seconds(lambda: get_graph_loss("vicreg")(z, edges).total)


def _timed() -> dict[str, Rate]:
    """Exponents of the measured time, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rates = {}
        for loss, (samples, k, dimensions, n) in TIMED.items():
            rates[f"N ({loss})"] = fit(samples, [_pair_seconds(loss, size, k) for size in samples])
            rates[f"K ({loss})"] = fit(dimensions, [_pair_seconds(loss, n, size) for size in dimensions])
        rates["P (vicreg)"] = fit(TIMED_POSITIVES, [_positives_seconds(512, 32, p) for p in TIMED_POSITIVES])
    finally:
        torch.set_num_threads(threads)
    return rates


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
    """Operations of one loss evaluation: VICReg O(N K^2 + P N K) for P positives a sample, SimCLR O(N^2 K),
    Barlow Twins O(N K^2).

    The paper writes O(N^2) for SimCLR, K held fixed. Measured: the largest error of the exponents, at the far end of
    their intervals, fitted in N and in K separately on the operations of matrix products that torch counts in the
    library's losses, forwards and backwards: the terms N K^2 and N^2 K have nothing else. The positives' term P N K
    has no matrix product: its exponents in N, K and P are those of the entries that VICReg on a graph writes,
    forwards and backwards, among which a product of N K^2 operations counts with its K^2 results. Counts do not
    depend on values, nor on the machine, so that there is one instance. `detail` has the exponents of measured
    TIME beside them (the processor's, on one thread, the least of three, at sizes where the dominant term shows); they
    decide nothing, since a busy machine, its caches and the cheaper terms move them.
    """
    worst, control = 0.0, np.inf
    detail: dict[str, float] = {}
    for loss, (in_n, in_k) in EXPECTED.items():
        samples = fit(SAMPLES, [operations(loss, n, FIXED[1]) for n in SAMPLES])
        dimensions = fit(DIMENSIONS, [operations(loss, FIXED[0], k) for k in DIMENSIONS])
        worst = max(worst, abs(samples.farthest(in_n) - in_n), abs(dimensions.farthest(in_k) - in_k))
        detail |= samples.detail(f"{loss}: exponent of N") | dimensions.detail(f"{loss}: exponent of K")
        if loss == "simclr":
            control = abs(samples.exponent - 1.0)
    for name, sizes in PAIRS.items():
        exponent = fit(sizes, [entries_of_pairs(**(PAIRS_FIXED | {name: size})) for size in sizes])
        worst = max(worst, abs(exponent.farthest(1.0) - 1))
        detail |= exponent.detail(f"vicreg, positives: exponent of {name}")
    for name, exponent in _timed().items():
        detail |= exponent.detail(f"time: exponent of {name}")
    return Outcome(worst, {"linear in N": control}, detail=detail)
