"""The k-nearest-neighbour probe: no training, no choice of optimiser."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError, unknown
from spectral_ssl.evaluate.features import Array, accuracy, as_split


def knn(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    k: int = 20,
    temperature: float = 0.07,
    vote: str = "weighted",
    block: int = 2048,
) -> float:
    """Test accuracy, in [0, 1], of the k most similar training features by cosine.

    `vote="weighted"` adds exp(cosine / temperature) of each neighbour to its class (Wu et al. 2018,
    equation 6, temperature 0.07; they take k = 200); `"majority"` counts neighbours, a tie going to the
    class with the larger sum of cosines. A feature of norm zero has cosine 0 with everything. Similarities
    are made `block` test rows at a time.

    Raises UserError for k outside 1 ... n, a temperature that is not positive, and unfit features or labels.
    """
    split = as_split(train_x, train_y, test_x, test_y)
    if not 1 <= k <= len(split.train_x):
        raise UserError(f"k must lie between 1 and the {len(split.train_x)} training features; found {k}")
    if not temperature > 0.0:
        raise UserError(f"the temperature of the vote must be positive; found {temperature}")
    if vote not in ("weighted", "majority"):
        raise unknown("vote", vote, ("weighted", "majority"))
    train, test = functional.normalize(split.train_x, dim=1), functional.normalize(split.test_x, dim=1)
    scores = [
        _scores(part @ train.T, split.train_y, split.classes, k, temperature, vote)
        for part in test.split(block)
    ]
    return accuracy(torch.cat(scores), split.test_y)


def _scores(
    similarity: Tensor, labels: Tensor, classes: int, k: int, temperature: float, vote: str
) -> Tensor:
    near, rows = similarity.topk(k, dim=1)
    # Weighted: less the largest cosine, which changes no vote and keeps small temperatures finite.
    # Majority: the sum of k cosines over 4 k stays within a quarter of a vote and decides ties only.
    weighted = vote == "weighted"
    votes = ((near - near[:, :1]) / temperature).exp() if weighted else 1.0 + near / (4.0 * k)
    return torch.zeros(len(near), classes, dtype=near.dtype, device=near.device).scatter_add_(
        1, labels[rows], votes
    )
