"""What a closed form returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """An optimal representation.

    embedding: (N, k) float64, one minimiser of the objective.
    eigenvalues: (k,) of the problem's matrix, in the order of the columns: ascending for VICReg's Laplacian
        (infinite where k exceeds the dimensions there are), descending otherwise.
    loss: the objective at the embedding, by the formula in the eigenvalues.
    weights: (D, k) of the linear network, embedding = X @ weights, for the spectral loss
        diag(sqrt(w_x)) @ X @ weights; None for a free representation.
    """

    embedding: Array
    eigenvalues: Array
    loss: float
    weights: Array | None = None
