"""What a seed's training sees: batches of views, in the order and with the augmentation that the seed draws."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spectral_ssl.data.views import get_augmentation
from spectral_ssl.train.partners import partners

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation
    from spectral_ssl.papers.manifest import RunSettings
    from spectral_ssl.train.distributed import World
    from spectral_ssl.train.images import Images


@dataclass(frozen=True)
class Batch:
    """Two views (B, C, H, W) of a batch, row i of both a positive pair, and the labels (B,) of the first ones."""

    view1: Tensor
    view2: Tensor
    labels: Tensor


def generator_for(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """An independent random stream for a purpose ("weights", "order", "views") of a run's seed.

    No stream depends on the loss: runs of one network and seed start equal and see the same views.
    """
    word = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7]
    return torch.Generator(device=device).manual_seed(int.from_bytes(word, "big"))


class Feed:
    """The batches of one seed. Everything is drawn on the device that trains, and nothing waits for it.

    Order and positive pairs are drawn for a whole epoch, so that images can be read ahead; views as they are used.
    Several processes draw the same numbers, for the whole batch, and keep their own rows: their number changes no
    view. An epoch leaves out the images that do not fill its last batch.
    """

    def __init__(self, run: RunSettings, images: Images, world: World) -> None:
        _, channels, size, _ = images.shape
        self.images = images
        self.augmentations: tuple[Augmentation, ...] = tuple(
            get_augmentation(run.augmentation, size, channels, view=view) for view in (0, 1)
        )
        self.partners = partners(run.relation, images)
        self.batch_size = run.batch_size
        self.steps = images.shape[0] // run.batch_size
        self.rows = world.rows(run.batch_size)
        self._order = generator_for(run.seed, "order", images.device)
        self._views = generator_for(run.seed, "views", images.device)
        self._epoch = self._order.get_state()

    def epoch(self, done: int = 0) -> Generator[Batch, None, None]:
        """The batches of the next epoch; after `restore`, of the interrupted one from step `done` on."""
        if done:
            self._order.set_state(self._epoch)
        else:
            self._epoch = self._order.get_state()
        device = self.images.device
        order = torch.randperm(self.images.shape[0], generator=self._order, device=device)
        first = order[: self.steps * self.batch_size]
        related = first if self.partners is None else self.partners.sample(first, generator=self._order)
        index, others = (self._mine(drawn, done) for drawn in (first, related))
        size = self.rows.stop - self.rows.start
        ones = self.images.batches("train", index, size)
        twos = ones if self.partners is None else self.images.batches("train", others, size)
        for of, to in zip(index.split(size), others.split(size), strict=True):
            pixels = next(ones)
            view1 = self._view(0, pixels, of)
            view2 = self._view(1, pixels if twos is ones else next(twos), to)
            yield Batch(view1, view2, self.images.train_labels[of])

    def state(self) -> dict[str, Any]:
        """The generators: of orders as it was when the epoch began, of views as it is."""
        return {"order": self._order.get_state(), "epoch": self._epoch, "views": self._views.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._order.set_state(state["order"].cpu())
        self._views.set_state(state["views"].cpu())
        self._epoch = state["epoch"].cpu()

    def _mine(self, drawn: Tensor, done: int) -> Tensor:
        """This process's rows of every batch from step `done` on, in order."""
        return drawn.view(self.steps, self.batch_size)[done:, self.rows].reshape(-1)

    def _view(self, which: int, pixels: Tensor, index: Tensor) -> Tensor:
        augmentation = self.augmentations[which]
        source = (pixels.shape[2], pixels.shape[3])
        drawn = augmentation.sample(self.batch_size, generator=self._views, source=source)
        mine = {name: value[self.rows] for name, value in drawn.items()}
        return augmentation.apply(pixels, mine, factors=self.images.factors("train", index))
