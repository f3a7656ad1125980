"""Initialisation from an explicit generator, so that no network depends on a global seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from spectral_ssl.models.table import Scheme

_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


def build(
    make: Callable[[], nn.Module], *, generator: torch.Generator, convolutions: Scheme = "uniform"
) -> nn.Module:
    """Builds a network on the CPU and draws its weights from `generator`, never from the global one.

    `make` runs on torch's meta device, where building draws no number; then every parameter is drawn in the
    order of `modules()`. `convolutions="uniform"` is torch's default for convolutions and linear layers,
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases; `"fan_out"` is torchvision's ResNet,
    convolution weights N(0, 2/fan_out). Batch norm starts at scale 1, shift 0. `generator` must be a CPU
    generator, which makes the same seed give the same weights whatever device trains them.

    Raises TypeError for a layer with parameters of its own that is none of these.
    """
    with torch.device("meta"):
        network = make()
    network = network.to_empty(device="cpu")
    with torch.no_grad():
        for module in network.modules():
            _initialise(module, generator, convolutions)
    return network


def _initialise(module: nn.Module, generator: torch.Generator, convolutions: Scheme) -> None:
    if isinstance(module, _NORMALISATIONS):
        module.reset_parameters()
    elif isinstance(module, nn.Conv2d) and convolutions == "fan_out":
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d | nn.Linear):
        bound = 1.0 / math.sqrt(module.weight[0].numel())
        module.weight.uniform_(-bound, bound, generator=generator)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=generator)
    elif next(module.parameters(recurse=False), None) is not None:
        raise TypeError(f"no initialisation known for {type(module).__name__}")
