"""Do embeddings tell two views of one image from views of two images?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.evaluate.features import Array, as_features


def agreement(z1: Array, z2: Array) -> tuple[Tensor, Tensor]:
    """Cosines (N,) of view 1 with view 2 of the same image, and with view 2 of the next image, float32.

    z1, z2: embeddings (N, K) of two views, row i of both the same image.
    """
    first, second = (functional.normalize(as_features(z, "embeddings").float(), dim=1) for z in (z1, z2))
    return (first * second).sum(dim=1), (first * second.roll(1, dims=0)).sum(dim=1)


def separation(positive: Tensor, random: Tensor) -> float:
    """The chance that a positive pair agrees more than a random one: the area under the ROC curve, in [0, 1].

    Equal values count half, so that 0.5 is what a constant embedding has.
    """
    below = torch.searchsorted(random.sort().values, positive)
    not_above = torch.searchsorted(random.sort().values, positive, right=True)
    return ((below + not_above).double().mean() / (2 * len(random))).item()
