"""A network trained on samples reaches the eigenspace that the closed form has."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, separated

STEPS = 600
BATCH = 512


def _population(rng: np.random.Generator, k: int) -> tuple[Array, Array]:
    """A kernel p (40 images, 8 nodes) of unequal degrees and its w, gamma_k well apart from the next."""
    while True:
        p = rng.dirichlet(np.geomspace(0.05, 1.0, 8), size=40) * 0.98 + 0.02 / 8
        w = augmentation_graph(p).w
        gamma, _ = cf.extremal_eigenpairs(normalised_adjacency(w), 8, "largest")
        if separated(gamma, k, 0.15):
            return p, w


def _train(p: Array, k: int, rng: np.random.Generator) -> Array:
    """f (nodes, k) of a two-layer network on one-hot nodes, trained on sampled pairs with the library's
    loss.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    kernel, nodes = torch.from_numpy(p), p.shape[1]
    shapes = [(nodes, 64), (64,), (64, k)]
    parameters = [nn.Parameter(torch.randn(shape, generator=generator) * 0.3) for shape in shapes]
    optimiser = torch.optim.Adam(parameters, lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    loss = get_loss("spectral")

    def network() -> torch.Tensor:
        first, bias, second = parameters
        return torch.relu(first + bias) @ second

    for _ in range(STEPS):
        images = torch.randint(len(kernel), (BATCH,), generator=generator)
        pairs = torch.multinomial(kernel[images], 2, replacement=True, generator=generator)
        f = network()
        optimiser.zero_grad()
        loss(f[pairs[:, 0]], f[pairs[:, 1]], projection="none", mu=1.0).total.backward()
        optimiser.step()
        schedule.step()
    return network().detach().double().numpy()


@check(
    paper="haochen2021",
    statement="network-recovers-eigenspace",
    kind="optimum",
    title="A network trained on sampled pairs reaches the graph's top eigenspace",
    control="f without the factor sqrt(w_x)",
    tolerance=0.1,
    instances=2,
)
def network_recovers_eigenspace(rng: np.random.Generator, instances: int) -> Outcome:
    """sqrt(w_x) f(x) of a network trained with the SAMPLED spectral loss spans the top k eigenvectors of A.

    For gamma_k > max(0, gamma_{k+1}). A two-layer network on 8 one-hot nodes, batches of 512 images with two
    augmentations each, Adam with a cosine schedule. Measured: the larger of the largest principal angle
    (radians) and the excess population loss relative to its minimum's size; what is left is sampling noise,
    hence the tolerance. Control: the angle of f itself, node weights being unequal.
    """
    worst, excess, control, k = 0.0, 0.0, np.inf, 3
    for _ in range(instances):
        p, w = _population(rng, k)
        f = _train(p, k, rng)
        result, root = cf.spectral(w, k), np.sqrt(w.sum(axis=1))[:, None]
        least = cf.spectral_contrastive_loss(result.embedding / root, w)
        excess = max(excess, (cf.spectral_contrastive_loss(f, w) - least) / abs(least))
        worst = max(worst, cf.largest_angle(root * f, result.embedding))
        control = min(control, cf.largest_angle(f, result.embedding))
    detail = {"principal angle": worst, "excess loss": excess}
    return Outcome(max(worst, excess), {"without sqrt(w_x)": control}, detail=detail)
