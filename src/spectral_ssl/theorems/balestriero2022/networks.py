"""Networks trained on a graph's loss, for statements about what training reaches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.losses.graph.edges import relation_edges
from spectral_ssl.theorems.instances import Array

HIDDEN = 32
ADAM_STEPS = 60
NEWTON_STEPS = 200


def _layer(d: int, k: int) -> nn.Module:
    """A linear layer of float64 whose weights are yet to be drawn: torch would draw them from its global state."""
    return nn.utils.skip_init(nn.Linear, d, k, bias=False, dtype=torch.float64)


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear network": _layer,
    "MLP": lambda d, k: nn.Sequential(_layer(d, HIDDEN), nn.Tanh(), _layer(HIDDEN, k)),
}
"""Networks from D inputs to K outputs; with D = N independent inputs both reach every embedding."""


def trained(
    kind: str, G: Array, k: int, rng: np.random.Generator, loss: str, **hyperparameters: object
) -> Array:
    """Embedding (N, k) by a network of `NETWORKS` trained on a graph loss of G, its inputs Gaussian (N, N).

    The whole graph is one batch: Adam first, then quasi-Newton steps to a gradient of 1e-7.
    """
    n, edges, compute = len(G), relation_edges(G), get_graph_loss(loss)
    inputs = torch.from_numpy(np.linalg.qr(rng.standard_normal((n, n)))[0]) * np.sqrt(n)
    network = NETWORKS[kind](n, k)
    with torch.no_grad():
        for weight in network.parameters():
            drawn = rng.standard_normal(tuple(weight.shape)) / np.sqrt(weight.shape[1])
            weight.copy_(torch.from_numpy(drawn))

    def step() -> float:
        optimiser.zero_grad()
        total = compute(network(inputs), edges, **hyperparameters).total
        total.backward()
        return float(total.detach())

    optimiser: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(ADAM_STEPS):
        optimiser.step(step)
    optimiser = torch.optim.LBFGS(
        network.parameters(),
        max_iter=NEWTON_STEPS,
        tolerance_grad=1e-7,
        tolerance_change=0.0,
        history_size=30,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(step)
    return np.asarray(network(inputs).detach().numpy())


def rank_of(Z: Array, share: float = 1e-2) -> int:
    """Singular values above this share of the largest."""
    singular = np.linalg.svd(Z, compute_uv=False)
    return int((singular > share * singular[0]).sum())
