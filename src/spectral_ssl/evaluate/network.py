"""What a network has to offer to be measured, and its outputs for many images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation
    from spectral_ssl.train.images import Images

# float32: 256 MiB, of which a wide network's first layers make some twenty times as much.
_BLOCK_NUMBERS = 2**26


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
    images: Images,
    split: str,
    augmentation: Augmentation,
    *,
    index: Tensor | None = None,
    generator: torch.Generator | None = None,
    block: int | None = None,
    to: torch.device | str | None = None,
) -> Tensor:
    """Representations (N, D) float32 of a split's images, in evaluation mode.

    index: which images, in this order; by default all. generator: for a random augmentation. block: images at a time,
    by default `largest_block`. to: where the table lies, by default the images' device; each block goes there at once.
    """
    network.eval()
    return _outputs(network.represent, images, split, augmentation, index, generator, block, to)


@torch.no_grad()
def embed(
    network: Network,
    images: Images,
    split: str,
    plain: Augmentation,
    *,
    index: Tensor | None = None,
    block: int | None = None,
    to: torch.device | str | None = None,
) -> Tensor:
    """Embeddings (N, K) float32 of a split's images, without augmentation; all else as `represent`."""
    network.eval()
    return _outputs(network.embed, images, split, plain, index, None, block, to)


def largest_block(shape: Sequence[int]) -> int:
    """Images (N, C, H, W) that a network is given at once: 2048, or fewer of a side above 100 pixels."""
    return max(1, min(2048, _BLOCK_NUMBERS // math.prod(shape[1:])))


def _outputs(
    apply: Callable[[Tensor], Tensor],
    images: Images,
    split: str,
    augmentation: Augmentation,
    index: Tensor | None,
    generator: torch.Generator | None,
    block: int | None,
    to: torch.device | str | None,
) -> Tensor:
    if index is None:
        index = torch.arange(images.count(split), device=images.device)
    generator = generator or torch.Generator(device=images.device)
    batches = images.batches(split, index, block or largest_block(images.shape))
    return torch.cat(
        [apply(augmentation(part, generator=generator)).to(to or part.device) for part in batches]
    )
