"""What a network has to offer to be measured, and its outputs for many images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation


class Network(Protocol):
    """What is measured: images (B, C, H, W) to representations (B, D), and to embeddings (B, K) or the same."""

    def represent(self, images: Tensor) -> Tensor:
        """The encoder's output."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """The head's output."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Batch norm as in training."""
        ...

    def eval(self) -> Any:
        """Batch norm as in use."""
        ...


@torch.no_grad()
def represent(
    network: Network,
    images: Tensor,
    augmentation: Augmentation,
    *,
    generator: torch.Generator | None = None,
    block: int = 2048,
) -> Tensor:
    """Representations (N, D) float32 of images, in evaluation mode; a random augmentation needs a generator."""
    network.eval()
    generator = generator or torch.Generator(device=images.device)
    parts = (augmentation(part, generator=generator) for part in images.split(block))
    return torch.cat([network.represent(part) for part in parts])


@torch.no_grad()
def embed(network: Network, images: Tensor, plain: Augmentation, block: int = 2048) -> Tensor:
    """Embeddings (N, K) float32 of images, in evaluation mode, without augmentation."""
    network.eval()
    none = torch.Generator(device=images.device)
    return torch.cat([network.embed(plain(part, generator=none)) for part in images.split(block)])
