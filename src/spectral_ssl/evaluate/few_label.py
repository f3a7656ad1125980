"""The few-label probe: how well a handful of labelled samples a class does, over many draws of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.features import Array, Split, accuracy, as_split

# Times the mean squared norm of the centred features. On encoders of digits 0.1 to 1 differ by under 0.02.
RIDGE = 0.3
# Draws are fitted together as long as their largest tensor stays below this: 128 MiB of float32.
_NUMBERS_AT_ONCE = 2**25


@dataclass(frozen=True)
class FewLabel:
    """Test accuracy with k labels a class: each draw, their mean and deviation (divisor draws - 1)."""

    mean: float
    std: float
    draws: tuple[float, ...]


def few_label(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    labels_per_class: Sequence[int] = (1, 5, 10),
    draws: int = 20,
    seed: int,
    ridge: float = RIDGE,
) -> dict[int, FewLabel]:
    """Accuracy of a ridge classifier with k labelled samples a class, for each k in `labels_per_class`.

    The classifier is least squares on one-hot targets with penalty `ridge`. Features are centred
    by the mean of ALL training features and divided by one number, the root of their mean squared norm:
    this uses no label, and makes the probe invariant to rotations and scale of the representation. Ridge
    because its optimum is one linear solve, taken in the smaller of n and D for all draws at once; on
    trained encoders of digits it is as accurate as logistic regression at its best penalty (within 0.01, or
    better with one label a class).

    The draws depend on the training labels and `seed` only, so that encoders are compared on the same
    labels; those of a smaller k are contained in those of a larger.

    Raises UserError for unfit features or labels, for fewer than k samples in a class, and for fewer than
    two draws.
    """
    split = as_split(train_x, train_y, test_x, test_y)
    if min(labels_per_class, default=0) < 1 or not ridge > 0.0:
        raise UserError(
            f"expected 1 label a class or more and a positive ridge; found {labels_per_class}, {ridge}"
        )
    rows = draw_labels(split.train_y.cpu().numpy(), max(labels_per_class), draws=draws, seed=seed)
    mean = split.train_x.mean(dim=0)
    scale = (split.train_x - mean).square().sum(dim=1).mean().sqrt().clamp_min(torch.finfo(mean.dtype).tiny)
    train, test = (split.train_x - mean) / scale, (split.test_x - mean) / scale
    results = {}
    for k in labels_per_class:
        chosen = torch.from_numpy(rows[:, :, :k].reshape(draws, -1)).to(train.device)
        found = _accuracies(split, train, test, chosen, ridge)
        results[k] = FewLabel(float(np.mean(found)), float(np.std(found, ddof=1)), tuple(found))
    return results


def draw_labels(labels: NDArray[np.integer], k: int, *, draws: int, seed: int) -> NDArray[np.int64]:
    """Row numbers (draws, C, k) of k samples of each class, without repetition within a draw.

    Raises UserError for a class with fewer than k samples, and for fewer than two draws, which have no
    spread.
    """
    if draws < 2:
        raise UserError(f"the few-label probe needs 2 draws or more to have a spread; found {draws}")
    classes, counts = np.unique(labels, return_counts=True)
    if k > counts.min():
        scarce = int(counts.argmin())
        raise UserError(
            f"{k} labels a class asked for; class number {scarce} has {counts[scarce]} training samples"
        )
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rows = np.empty((draws, len(classes), k), dtype=np.int64)
    for draw in rows:
        order = rng.permutation(len(labels))
        grouped = order[np.argsort(labels[order], kind="stable")]
        draw[:] = grouped[starts[:, None] + np.arange(k)]
    return rows


def _accuracies(split: Split, train: Tensor, test: Tensor, chosen: Tensor, ridge: float) -> list[float]:
    """Test accuracy of each draw; `chosen` is (draws, n) row numbers."""
    n, dimension = chosen.shape[1], train.shape[1]
    largest = max(n * dimension, min(n, dimension) ** 2)
    found: list[float] = []
    for part in chosen.split(max(1, _NUMBERS_AT_ONCE // largest)):
        targets = functional.one_hot(split.train_y[part], split.classes).to(train.dtype)
        weights = ridge_weights(train[part], targets, ridge)
        found += [accuracy(test @ weight, split.test_y) for weight in weights]
    return found


def ridge_weights(x: Tensor, targets: Tensor, ridge: float) -> Tensor:
    """argmin_W |xW - targets|^2 + ridge |W|^2 for x (..., n, D) and targets (..., n, C).

    Solved in the smaller of n and D.
    """
    n, dimension = x.shape[-2:]
    if n <= dimension:
        return x.mT @ _solve(x @ x.mT, targets, ridge)
    return _solve(x.mT @ x, x.mT @ targets, ridge)


def _solve(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    gram.diagonal(dim1=-2, dim2=-1).add_(ridge)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram))
