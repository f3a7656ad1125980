"""Model FLOPs of a training step, and the share of a device's peak rate that training reaches.

Multiply and add are two operations. The model is its networks, applied to both views, forward and backward: trunk,
head, predictor and momentum target. Augmentation, loss, optimiser and online probe are not counted, and of the
networks only products of matrices and convolutions.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, NoReturn, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from spectral_ssl.methods.base import Method

# Dense peaks in TFLOP/s by precision, as NVIDIA publishes them, halved where a rate is given with sparsity: the data
# sheets of V100, A100, L4 and L40S; "NVIDIA H100 Tensor Core GPU Architecture" (H200: the same chip); "NVIDIA Ada GPU
# Architecture" (RTX 4090, bfloat16 with float32 sums); "NVIDIA Ampere GA102 GPU Architecture" (RTX A6000). Names are
# the driver's; the first that fits counts.
PEAKS: dict[str, dict[str, float]] = {
    "* MIG *": {},  # a part of a GPU
    "NVIDIA A100*": {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0},
    "NVIDIA H100 PCIe": {"float32": 51.2, "tf32": 378.0, "bfloat16": 756.5},
    "NVIDIA H100 80GB HBM3": {"float32": 66.9, "tf32": 494.7, "bfloat16": 989.4},
    "NVIDIA H200": {"float32": 66.9, "tf32": 494.7, "bfloat16": 989.4},
    "Tesla V100-SXM2*": {"float32": 15.7, "tf32": 15.7},  # neither TF32 nor bfloat16 in its tensor cores
    "Tesla V100-PCIE*": {"float32": 14.0, "tf32": 14.0},
    "NVIDIA L4": {"float32": 30.3, "tf32": 60.0, "bfloat16": 121.0},
    "NVIDIA L40S": {"float32": 91.6, "tf32": 183.0, "bfloat16": 362.0},
    "NVIDIA GeForce RTX 4090": {"float32": 82.6, "tf32": 82.6, "bfloat16": 165.2},
    "NVIDIA RTX A6000": {"float32": 38.7, "tf32": 77.4, "bfloat16": 154.8},
}
COUNTED = 2  # images of each view: batch norm needs two
MEASURED_SECONDS = 0.04  # spent on measuring a rate


def step_flops(method: Method, batch_size: int, image_shape: Sequence[int]) -> int:
    """FLOPs of a step on two views of images (C, H, W), `batch_size` of each view.

    Every convolution and linear layer that the method passes through is counted forward and, where it has a gradient,
    backward: to its weights, and to its input unless that is an image. They are seen at work in a copy on the CPU, on
    two images of each view: products grow with the rows. The method itself is not touched.
    """
    twin = (
        copy.deepcopy(method, {id(method.gather): method.gather}).to("cpu").train()
    )  # it may hold a process group
    twin.gather = _stop  # what follows is the loss
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = cast(Tensor, layer.weight)
        times = 1 + (output.requires_grad * (weight.requires_grad + inputs[0].requires_grad))
        total += times * 2 * output.numel() * weight[0].numel()

    for layer in twin.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
    dtype = next(twin.parameters()).dtype
    with suppress(_LossReached):
        twin.step(*(torch.zeros(COUNTED, *image_shape, dtype=dtype) for _ in range(2)))
    return total * batch_size // COUNTED


class _LossReached(Exception):
    pass


def _stop(*outputs: Tensor) -> NoReturn:
    raise _LossReached


def peak_flops(device: torch.device, precision: str) -> float:
    """A device's highest rate in FLOP/s for matrix products in this precision (float32, bfloat16).

    Published for the GPUs of `PEAKS`, whose sources stand there; in float32 that of TF32 where torch may use it, as it
    does in convolutions unless told otherwise. For a CPU (with as many threads as torch uses), another GPU or another
    precision the best rate of a matrix product, measured once a process, which a network may exceed.
    """
    name = precision
    if device.type == "cuda":
        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]
        if precision == "float32" and "tf32" in (products.fp32_precision, convolutions.fp32_precision):
            name = "tf32"
        if (peak := _published(torch.cuda.get_device_name(device), name)) is not None:
            return peak
    return _measured(device, getattr(torch, precision), torch.get_num_threads())


def _published(gpu: str, precision: str) -> float | None:
    found = next((peaks for pattern, peaks in PEAKS.items() if fnmatchcase(gpu, pattern)), {})
    return found[precision] * 1e12 if precision in found else None


@cache
def _measured(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """The best of a matrix product's rates; `threads` only tells measurements apart."""
    n = 512 if device.type == "cpu" else 4096
    matrix = torch.ones(n, n, dtype=dtype, device=device)
    begun, best = time.perf_counter(), float("inf")
    for trial in range(1000):
        start = time.perf_counter()
        _ = (matrix @ matrix)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
        if trial and time.perf_counter() - begun > MEASURED_SECONDS:
            break
    return 2 * n**3 / best


def utilisation(flops: float, seconds: float, device: torch.device, precision: str) -> float:
    """The share of the device's peak rate that these FLOPs in this time are."""
    return flops / seconds / peak_flops(device, precision)
