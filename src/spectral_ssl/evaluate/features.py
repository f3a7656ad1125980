"""What every probe asks of its input: finite float features and whole-number labels that fit together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_ssl.errors import UserError

Array = Tensor | NDArray[np.generic]


@dataclass(frozen=True)
class Split:
    """Features (n, D) on one device, and labels numbered 0 ... C-1 among the classes of the training part."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int


def as_features(x: Array, what: str = "features") -> Tensor:
    """A detached tensor (n, D): float32, or float64 where it was; fp16, bf16 and integers become float32.

    Promotion restores no digits: features that were STORED in bf16 carry rounding noise of 0.4 % in every
    direction. Raises UserError for another number of dimensions, no rows or columns, and values that are
    not finite.
    """
    tensor = torch.as_tensor(x).detach()
    if tensor.ndim != 2 or tensor.numel() == 0:
        raise UserError(
            f"{what} must be a table (n, D) with rows and columns; found shape {tuple(tensor.shape)}"
        )
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    if not torch.isfinite(tensor).all():
        raise UserError(f"{what} hold NaN or infinity; a diverged encoder has no accuracy: leave the run out")
    return tensor


def as_split(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> Split:
    """Checks both parts against each other and renumbers their labels.

    Raises UserError where counts or dimensions differ, labels are not whole numbers, the training part has
    fewer than two classes, or the test part has a class that the training part lacks.
    """
    train, test = as_features(train_x, "training features"), as_features(test_x, "test features")
    if train.shape[1] != test.shape[1]:
        raise UserError(f"training features have {train.shape[1]} dimensions, test features {test.shape[1]}")
    dtype = torch.promote_types(train.dtype, test.dtype)
    labels = _labels(train_y, len(train), "training"), _labels(test_y, len(test), "test")
    classes = torch.unique(labels[0])
    if len(classes) < 2:
        raise UserError("a probe needs two classes or more among the training labels; found one")
    unseen = sorted(set(torch.unique(labels[1]).tolist()) - set(classes.tolist()))
    if unseen:
        raise UserError(f"the test labels hold classes that the training labels lack: {unseen[:5]}")
    train_index, test_index = (torch.searchsorted(classes, part).to(train.device) for part in labels)
    return Split(train.to(dtype), train_index, test.to(train.device, dtype), test_index, len(classes))


def _labels(y: Array, n: int, what: str) -> Tensor:
    labels = torch.as_tensor(y).detach().cpu()
    if labels.dtype.is_floating_point or labels.dtype == torch.bool or labels.shape != (n,):
        raise UserError(
            f"{what} labels must be {n} whole numbers, one a row; "
            f"found {labels.dtype} of shape {tuple(labels.shape)}"
        )
    return labels.long()


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in [0, 1] of scores (n, C); a tie goes to the lowest class."""
    return (scores.argmax(dim=1) == labels).double().mean().item()
