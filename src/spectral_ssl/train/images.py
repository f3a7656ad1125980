"""The images that a run trains on and is measured on: resident on the device, or read from their files as they are
needed; the same interface, and the same bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.errors import unknown
from spectral_ssl.train.room import free_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectral_ssl.data.sources import Dataset

Mode = Literal["auto", "resident", "stream"]
MODES = ("auto", "resident", "stream")

# The rest is for networks, their gradients and whatever else the machine does.
RESIDENT_SHARE = 0.5
_COPIED = 1024  # images copied to the device at once: the host needs no second copy of them all


@dataclass(kw_only=True)
class Images(ABC):
    """A data set: images (N, C, H, W) uint8, with labels (N,) and factors (N, F) int64 that lie on the device.

    Training images without a label have -1: pretraining uses them, probes do not. A split is "train" or "test".
    """

    train_labels: Tensor
    train_factors: Tensor
    test_labels: Tensor
    test_factors: Tensor
    classes: int
    factor_names: list[str]

    @staticmethod
    def of(dataset: Dataset, device: torch.device, *, mode: Mode = "auto", workers: int = 2) -> Images:
        """A data set for a device.

        "resident": all images are copied to the device. "stream": `workers` threads read them from the data set's
        files. "auto": resident where they take less than half of the memory that is free there, else streamed.

        Raises UserError for another mode.
        """
        if mode not in MODES:
            raise unknown("way to hold images", mode, MODES)
        needed = dataset.train_images.nbytes + dataset.test_images.nbytes
        if mode == "resident" or (mode == "auto" and needed < RESIDENT_SHARE * free_memory(device)):
            return Resident.copied(dataset, device)
        from spectral_ssl.train.stream import Stream

        return Stream.reading(dataset, device, workers=workers)

    @property
    def device(self) -> torch.device:
        """Where batches, labels and factors lie."""
        return self.train_labels.device

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the training images."""

    @abstractmethod
    def get(self, split: str, index: Tensor) -> Tensor:
        """Some images of a split, (B, C, H, W) uint8 on the device."""

    @abstractmethod
    def batches(self, split: str, index: Tensor, size: int) -> Generator[Tensor, None, None]:
        """The images of `index` in its order, `size` at a time; the last batch may be smaller.

        A generator, which may be closed before its end.
        """

    def count(self, split: str) -> int:
        """How many images a split has."""
        return len(getattr(self, f"{split}_labels"))

    def factors(self, split: str, index: Tensor) -> Tensor | None:
        """The factors of some images of a split, or None where the data set has none."""
        return getattr(self, f"{split}_factors")[index] if self.factor_names else None

    def labelled(self) -> Tensor:
        """Indices of the training images that have a label."""
        return (self.train_labels >= 0).nonzero().squeeze(1)

    def spread(self, count: int) -> Tensor:
        """Indices of `count` test images, or of all if there are fewer: evenly spaced, since many data sets come in
        the order of their classes.
        """
        n = self.count("test")
        kept = min(count, n)
        return torch.arange(kept, device=self.device) * n // kept


@dataclass(kw_only=True)
class Resident(Images):
    """All images on the device: `train` and `test`, (N, C, H, W) uint8. An index that lies there too costs no wait."""

    train: Tensor
    test: Tensor

    @classmethod
    def copied(cls, dataset: Dataset, device: torch.device) -> Resident:
        """A data set's images, channels first."""
        train, test = (
            _channels_first(array, device) for array in (dataset.train_images, dataset.test_images)
        )
        return cls(train=train, test=test, **labels_and_factors(dataset, device))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the training images."""
        n, channels, height, width = self.train.shape
        return n, channels, height, width

    def get(self, split: str, index: Tensor) -> Tensor:
        """Some images of a split, (B, C, H, W) uint8 on the device."""
        images: Tensor = getattr(self, split)
        return images[index.to(self.device)]

    def batches(self, split: str, index: Tensor, size: int) -> Generator[Tensor, None, None]:
        """The images of `index` in its order, `size` at a time; the last batch may be smaller."""
        for part in index.to(self.device).split(size):
            yield self.get(split, part)


def labels_and_factors(dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """What `Images` has besides the images themselves."""

    def tensor(array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.array(array, dtype=np.int64)).to(device)

    return {
        "train_labels": tensor(dataset.train_labels),
        "train_factors": tensor(dataset.train_factors),
        "test_labels": tensor(dataset.test_labels),
        "test_factors": tensor(dataset.test_factors),
        "classes": len(dataset.classes),
        "factor_names": list(dataset.meta["factors"]),
    }


def _channels_first(array: NDArray[np.uint8], device: torch.device) -> Tensor:
    n, height, width, channels = array.shape
    images = torch.empty(n, channels, height, width, dtype=torch.uint8, device=device)
    for start in range(0, n, _COPIED):
        part = torch.from_numpy(np.array(array[start : start + _COPIED]))
        images[start : start + _COPIED] = part.permute(0, 3, 1, 2)
    return images
