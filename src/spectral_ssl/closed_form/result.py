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
    solver: who found the eigenpairs: "dense" (always so for a linear network, whose matrix is D x D),
        "shift-invert", "lanczos", "chebyshev", "lobpcg"; "components" where components were written down or
        solved one by one, and "components+lanczos" and the like where a large one was among them. The rule is
        in `closed_form.solvers`.
    """

    embedding: Array
    eigenvalues: Array
    loss: float
    weights: Array | None = None
    solver: str = "dense"
