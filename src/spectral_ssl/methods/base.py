"""What every method is: an encoder, a head, and the terms that two views give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.terms import Terms, promote
from spectral_ssl.methods.options import Option, resolve_options
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


@dataclass
class Step:
    """What one forward pass gives: the loss terms, and both views' outputs.

    representations: (B, D), the encoder's output; embeddings: (B, K), the head's; float32 or wider.
    """

    terms: Terms
    representations: tuple[Tensor, Tensor]
    embeddings: tuple[Tensor, Tensor]


# A step as a conversation: it asks for networks' outputs one after the other, and ends in what they give.
Passes = Generator[tuple[nn.Module, Tensor], Tensor, Step]
Gather = Callable[..., tuple[Tensor, ...]]


def wide(*outputs: Tensor) -> tuple[Tensor, ...]:
    """Networks' outputs, each in float32 or wider, as losses see them."""
    return tuple(promote(output)[0] for output in outputs)


def through(
    views: tuple[Tensor, ...], *networks: nn.Module
) -> Generator[tuple[nn.Module, Tensor], Tensor, tuple[Tensor, ...]]:
    """The passes of every view through networks one after the other; returns all outputs as losses see them, the first
    network's of each view first.
    """
    outputs: list[Tensor] = []
    for network in networks:
        passed = []
        for view in views:
            passed.append((yield network, view))
        views = tuple(passed)
        outputs += passed
    return wide(*outputs)


def alone(*outputs: Tensor) -> tuple[Tensor, ...]:
    """What one process gathers: its own rows."""
    return outputs


class Method(nn.Module, ABC):
    """Base class. The two views go through the networks separately, each with its own batch-norm statistics
    (as in the papers' code), in `precision` under autocast; losses see float32 or wider.

    gather: maps rows (B, K) of this process to the rows of all, with gradient, before a loss sees them; one process
    has all of them (`alone`).
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
        self.gather: Gather = alone

    def autocast(self, device: torch.device) -> torch.autocast:
        """The trunk's precision; the identity in float32."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.mixed)

    def represent(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to representations (B, D), float32 or wider."""
        with self.autocast(images.device):
            return wide(self.encoder(images))[0]

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to embeddings (B, K), the head's output, float32 or wider."""
        return self.project(self.represent(images))

    def project(self, representations: Tensor) -> Tensor:
        """Representations (B, D) to embeddings (B, K), float32 or wider."""
        with self.autocast(representations.device):
            return wide(self.head(representations))[0]

    @abstractmethod
    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """A step on two views, each (B, C, H, W): yields (network, input), is sent the output, returns the `Step`.

        Whoever drives it decides how a network is applied: by itself, as `step` does, or together with the same
        network of other runs.
        """

    def step(self, view1: Tensor, view2: Tensor) -> Step:
        """The loss terms of a batch of two views, each (B, C, H, W)."""
        passes = self.passes(view1, view2)
        with self.autocast(view1.device):
            network, images = next(passes)
            while True:
                try:
                    network, images = passes.send(network(images))
                except StopIteration as end:
                    step: Step = end.value
                    return step

    def update(self, progress: float) -> None:
        """What follows an optimiser's step, without gradient, such as moving a momentum target.

        progress: the share of all training steps that are done, in (0, 1].
        """

    def constant_rate(self) -> nn.Module | None:
        """The part whose learning rate stays at its peak; None if all of it follows the schedule."""
        return None
