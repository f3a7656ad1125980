"""What an augmentation is made of: stages that draw their parameters first and then apply them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]


class Stage(Protocol):
    """One step of an augmentation. Parameters are drawn before any pixel is seen, one row a sample."""

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the parameters of `n` samples, on the generator's device.

        Args:
            n: number of samples.
            source: height and width of the images that enter the augmentation, in pixels.
            generator: the only source of randomness.
        """
        ...

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Transform images (N, C, H, W), float32 in [0, 1]; may overwrite them."""
        ...


def uniform(
    n: int, low: float, high: float, generator: torch.Generator, columns: int | None = None
) -> Tensor:
    """Draw (n,) or (n, columns) float32 values uniformly from [low, high)."""
    shape = (n,) if columns is None else (n, columns)
    return torch.rand(shape, generator=generator, device=generator.device).mul_(high - low).add_(low)


def bernoulli(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw (n,) booleans that are true with the given probability."""
    return torch.rand(n, generator=generator, device=generator.device) < probability


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """These numbers as float32 (len(values),) on a device, kept: a copy from the host would wait at every step."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def per_sample(values: Tensor) -> Tensor:
    """Reshape (N,) to (N, 1, 1, 1), to broadcast over images."""
    return values.view(-1, 1, 1, 1)


def on_selected(
    images: Tensor, selected: Tensor, operation: Callable[..., Tensor], *arguments: Tensor
) -> Tensor:
    """Replace the selected samples by `operation(images, *arguments)`; may overwrite `images`.

    On a CPU the operation sees the selected samples only. On an accelerator their number is not known to the
    host without waiting for the device, so the operation sees all samples and the result is masked.

    Args:
        images: (N, C, H, W).
        selected: (N,) booleans.
        operation: maps images and per-sample arguments to images of the same shape.
        arguments: tensors with one row a sample.
    """
    if images.device.type != "cpu":
        return torch.where(per_sample(selected), operation(images.clone(), *arguments), images)
    index = selected.nonzero().squeeze(1)
    if len(index):
        chosen = images.index_select(0, index)
        images.index_copy_(0, index, operation(chosen, *(argument[index] for argument in arguments)))
    return images
