"""A data set on the device that trains on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from spectral_ssl.data.sources import Dataset


@dataclass
class Images:
    """A data set resident on a device: images (N, C, H, W) uint8, labels (N,) and factors (N, F) int64.

    Training images without a label have -1: pretraining uses them, probes do not.
    """

    train: Tensor
    train_labels: Tensor
    train_factors: Tensor
    test: Tensor
    test_labels: Tensor
    test_factors: Tensor
    classes: int
    factor_names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: Dataset, device: torch.device) -> Images:
        """Copy a data set's arrays to the device, channels first."""

        def images(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.transpose(0, 3, 1, 2).copy()).to(device)

        def labels(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array, dtype=np.int64)).to(device)

        return cls(
            images(dataset.train_images),
            labels(dataset.train_labels),
            labels(dataset.train_factors),
            images(dataset.test_images),
            labels(dataset.test_labels),
            labels(dataset.test_factors),
            len(dataset.classes),
            list(dataset.meta["factors"]),
        )

    def labelled(self) -> Tensor:
        """Indices of the training images that have a label."""
        return (self.train_labels >= 0).nonzero().squeeze(1)

    def spread(self, count: int) -> Tensor:
        """Indices of `count` test images, or of all if there are fewer: evenly spaced, since many data sets come in
        the order of their classes.
        """
        n = len(self.test)
        kept = min(count, n)
        return torch.arange(kept, device=self.test.device) * n // kept

    def factors(self, split: str, index: Tensor) -> Tensor | None:
        """The factors of some images of a split, or None where the data set has none."""
        return getattr(self, f"{split}_factors")[index] if self.factor_names else None
