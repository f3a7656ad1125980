"""What every method is: an encoder, a head, and the terms that two views give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.options import Option, resolve_options
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


@dataclass
class Step:
    """What one forward pass gives: the loss terms, and both views' outputs.

    representations: (B, D), the encoder's output; embeddings: (B, K), the head's; both float32.
    """

    terms: Terms
    representations: tuple[Tensor, Tensor]
    embeddings: tuple[Tensor, Tensor]


class Method(nn.Module, ABC):
    """Base class. The two views go through the networks separately, each with its own batch-norm statistics
    (as in the papers' code), in `precision` under autocast; losses see float32 or wider.

    OPTIONS: the names that a run's `options` may have; `self.options` holds a value for each of them.
    LOSS: the loss that the method is defined by; None if it takes any.
    Raises UserError, when built, for an unknown or impossible option and for another loss than LOSS.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {}
    LOSS: ClassVar[str | None] = None

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        if self.LOSS not in (None, run.loss):
            raise UserError(
                f"method {run.method} is defined by the loss {self.LOSS}; found {run.loss}; set {self.LOSS}"
            )
        self.options = resolve_options(run.method, self.OPTIONS, run.options)
        self.encoder = get_encoder(run.encoder, image_size, channels, generator=generator)
        self.representation_dim = int(self.encoder.output_dim)  # type: ignore[arg-type]
        self.head = get_head(run.projector, self.representation_dim, run.embedding_dim, generator=generator)
        self.loss = get_loss(run.loss)
        self.hyperparameters: dict[str, Any] = dict(run.hyperparameters)
        self.mixed = run.precision == "bfloat16"

    def autocast(self, device: torch.device) -> torch.autocast:
        """The trunk's precision; the identity in float32."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.mixed)

    def represent(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to representations (B, D), float32."""
        with self.autocast(images.device):
            return self.encoder(images).float()

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to embeddings (B, K), the head's output, float32."""
        with self.autocast(images.device):
            return self.head(self.encoder(images)).float()

    @abstractmethod
    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """The loss terms of a batch of two views, each (B, C, H, W)."""

    def update(self, progress: float) -> None:
        """What follows an optimiser's step, without gradient, such as moving a momentum target.

        progress: the share of all training steps that are done, in (0, 1].
        """

    def constant_rate(self) -> nn.Module | None:
        """The part whose learning rate stays at its peak; None if all of it follows the schedule."""
        return None
