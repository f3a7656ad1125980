"""The accuracy that hyperparameters are chosen by: never of a test image."""

from __future__ import annotations

import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate import check_validation, evaluate_features

SHARE = 0.2  # of each class's training images, at least one


def validation_accuracy(x: Tensor, y: Tensor, *, accuracy: str, draws: int, seed: int) -> float:
    """The probe `accuracy` (knn, lbfgs, few<labels a class>) fitted to four fifths of the training features x (n, D)
    and labels y (n,), on the last fifth; in [0, 1].

    Pretraining saw all these images, none of their labels. `seed` decides which fifth of each class is held out, the
    same for every encoder, and the probe's draws of labels. Raises UserError for a class of a single image.
    """
    check_validation(accuracy)
    held = held_out(y.cpu(), generator=torch.Generator().manual_seed(seed))
    data = (x[~held], y[~held], x[held], y[held])
    return evaluate_features(*data, probes=[accuracy], draws=draws, seed=seed)[accuracy]


def held_out(y: Tensor, *, generator: torch.Generator) -> Tensor:
    """Which rows (n,), bool, are held out of the labels y (n,): a fifth of each class, rounded, at least one of two."""
    held = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        rows = torch.nonzero(y == label).flatten()
        if len(rows) < 2:
            raise UserError(
                f"class {int(label)} has {len(rows)} labelled training image, expected 2 or more to choose "
                "hyperparameters on; raise data.train_limit, or set probes.validation to null"
            )
        order = rows[torch.randperm(len(rows), generator=generator)]
        held[order[: max(1, round(SHARE * len(rows)))]] = True
    return held
