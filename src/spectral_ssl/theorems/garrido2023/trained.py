"""Unit embeddings trained to the optimum with the library's losses: free vectors, and a small network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.garrido2023.bounds import unit
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.search import climb

SIZES = ((7, 2), (5, 4), (8, 4), (12, 3), (12, 8), (20, 8))
"""Samples N and dimensions M of the vectors: a polygon, a simplex, a cross-polytope, and N between and above."""

STARTS, STEPS = 5, 500

INPUTS, HIDDEN, JITTER = 16, 32, 0.1
"""Of the network: numbers an input has, width, and the standard deviation between an input's two views."""

NETWORK_SIZES = ((8, 4), (12, 3))

TEMPERATURE = 1.0
"""At lower ones, and for some N and M at this one, the optimum is another: it need not be a tight frame (see
`moment_errors`).
"""


def moment_errors(first: Array, second: Array) -> tuple[float, float]:
    """Relative errors of the mean, -1/(N - 1), and the second moment, (N/M - 1)/(N - 1), of all similarities of the
    unit embeddings (N, M) of two views, different samples.
    """
    n, m = first.shape
    products = (first @ second.T)[~np.eye(n, dtype=bool)]
    return (
        abs(float(products.mean()) * (n - 1) + 1),
        abs(float((products**2).mean()) * (n - 1) / (n / m - 1) - 1),
    )


def _repulsion(loss: str, options: Mapping[str, float | str], points: Tensor) -> Tensor:
    """Minus the repulsion between unit rows."""
    z = unit(points, 1)
    return -get_loss(loss)(z, z, **options)["repulsion"]


def vectors(
    rng: np.random.Generator,
    n: int,
    m: int,
    *,
    loss: str = "dcl",
    temperature: float = TEMPERATURE,
    kept: int | None = None,
) -> Array:
    """Unit vectors (n, m) of least repulsion, the best of several starts.

    loss: "dcl" or "simclr", negatives of the own view, or "spectral". kept: only that many dimensions are trained,
    the others being 0.
    """
    options: dict[str, float | str] = {"temperature": temperature, "negatives": "same_view"}
    if loss == "spectral":
        options = {"projection": "none"}
    width = m if kept is None else kept
    starts = [rng.standard_normal((n, width)) for _ in range(STARTS)]
    end = climb(partial(_repulsion, loss, options), starts, steps=STEPS)
    found = np.zeros((n, m))
    found[:, :width] = end.point / np.linalg.norm(end.point, axis=1, keepdims=True)
    return found


def _network(weights: Tensor, inputs: Tensor, m: int) -> Tensor:
    """Unit outputs (N, m) of a network with one hidden layer, weights in one vector."""
    first = weights[: (INPUTS + 1) * HIDDEN].view(INPUTS + 1, HIDDEN)
    second = weights[(INPUTS + 1) * HIDDEN :].view(HIDDEN, m)
    return unit(torch.tanh(inputs @ first[:-1] + first[-1]) @ second, 1)


def network(rng: np.random.Generator, n: int, m: int) -> Callable[[bool], tuple[Array, Array]]:
    """Unit embeddings (n, m) of two views by a network: untrained (False), or trained with SimCLR's whole loss.

    n random inputs, two noisy views of each, full batch, negatives of both views.
    """
    base = rng.standard_normal((n, INPUTS))
    views = [torch.from_numpy(base + JITTER * rng.standard_normal(base.shape)) for _ in range(2)]
    start = rng.standard_normal((INPUTS + 1) * HIDDEN + HIDDEN * m) / INPUTS**0.5
    loss = get_loss("simclr")

    def downhill(weights: Tensor) -> Tensor:
        return -loss(*(_network(weights, view, m) for view in views), temperature=TEMPERATURE).total

    def embed(trained: bool) -> tuple[Array, Array]:
        weights = torch.from_numpy(climb(downhill, [start], steps=STEPS).point if trained else start)
        first, second = (_network(weights, view, m).numpy() for view in views)
        return first, second

    return embed
