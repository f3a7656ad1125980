"""A network trained on samples reaches the eigenspace that the closed form has."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import TASKS
from spectral_ssl.theorems.haochen2021.logits import commonest
from spectral_ssl.theorems.instances import Array

STEPS, BATCH, WIDTH, NODES = 300, 192, 64, 12

FAMILIES = ("block", "weighted", "digits")

GAP, UNEQUAL = 0.15, 0.18
"""gamma_k is farther than this above gamma_{k+1}: how far sampling noise turns the subspace is its inverse. The
control's angle (radians) in exact arithmetic.
"""

DECAY, SQUARES = 0.9, 0.999

RATES = {"Adam": 0.02, "momentum": 0.06}
"""Step sizes at the start, by optimiser; both fall to 0 as a cosine."""


def _direction(optimiser: str, gradient: torch.Tensor, memory: torch.Tensor, step: int) -> torch.Tensor:
    """The step to take at a rate of 1; `memory` (2, ...) holds running means and is updated in place.

    Momentum is clipped to norm 1: a rare node's f is large, and plain steps diverge there.
    """
    if optimiser == "momentum":
        memory[0].mul_(DECAY).add_(gradient)
        return memory[0] / torch.linalg.vector_norm(memory[0]).clamp_min(1.0)
    memory[0].lerp_(gradient, 1 - DECAY)
    memory[1].lerp_(gradient.square(), 1 - SQUARES)
    mean, square = memory[0] / (1 - DECAY ** (step + 1)), memory[1] / (1 - SQUARES ** (step + 1))
    return mean / (square.sqrt() + 1e-8)


def _cut(w: Array) -> int:
    """k from 2 to 5 with the widest gap between gamma_k and gamma_{k+1}."""
    gamma = cf.extremal_eigenpairs(normalised_adjacency(w), 6, "largest")[0]
    return 2 + int((gamma[1:5] - gamma[2:6]).argmax())


def _population(rng: np.random.Generator, family: str) -> tuple[Array, Array, int]:
    """A kernel p (images, nodes) of the family's commonest nodes, its w, and k.

    gamma_k is apart from the next, and f without sqrt(w_x) spans another subspace, node weights being unequal.
    """
    while True:
        p = commonest(TASKS[family](rng).p, NODES)
        w = augmentation_graph(p).w
        k = _cut(w)
        result, after = cf.spectral(w, k), cf.spectral(w, k + 1).eigenvalues[-1]
        unequal = cf.largest_angle(result.embedding / np.sqrt(w.sum(axis=1))[:, None], result.embedding)
        if result.eigenvalues[-1] - after > GAP and unequal > UNEQUAL:
            return p, w, k


def _pairs(p: Array, rng: np.random.Generator) -> torch.Tensor:
    """(STEPS, 2, BATCH) nodes: two augmentations of each of BATCH images drawn, by inversion."""
    images = rng.integers(len(p), size=(STEPS, 1, BATCH))
    steps = (p.cumsum(axis=1) / p.sum(axis=1, keepdims=True) + np.arange(len(p))[:, None]).ravel()
    drawn = np.searchsorted(steps, images + rng.random((STEPS, 2, BATCH)), side="right")
    return torch.from_numpy(np.minimum(drawn, p.size - 1) % p.shape[1])


def _train(p: Array, k: int, rng: np.random.Generator, optimiser: str) -> Array:
    """f (nodes, k) of a two-layer network on one-hot nodes, trained on sampled pairs with the library's
    loss.
    """
    shapes = [(p.shape[1], WIDTH), (WIDTH,), (WIDTH, k)]
    parameters = [torch.from_numpy(0.3 * rng.standard_normal(shape)).requires_grad_() for shape in shapes]
    memories = [torch.zeros(2, *one.shape, dtype=one.dtype) for one in parameters]
    loss = get_loss("spectral")

    def network() -> torch.Tensor:
        first, bias, second = parameters
        return torch.relu(first + bias) @ second

    for step, (first, second) in enumerate(_pairs(p, rng)):
        f, rate = network(), RATES[optimiser] * (1 + np.cos(np.pi * step / STEPS)) / 2
        total = loss(f[first], f[second], projection="none", mu=1.0).total
        with torch.no_grad():
            for one, gradient, memory in zip(
                parameters, torch.autograd.grad(total, parameters), memories, strict=True
            ):
                one -= rate * _direction(optimiser, gradient, memory, step)
    return network().detach().numpy()


@check(
    paper="haochen2021",
    statement="network-recovers-eigenspace",
    kind="optimum",
    title="A network trained on sampled pairs reaches the graph's top eigenspace",
    control="f without the factor sqrt(w_x)",
    tolerance=0.1,
    instances=6,
)
def network_recovers_eigenspace(rng: np.random.Generator, instances: int) -> Outcome:
    """sqrt(w_x) f(x) of a network trained with the SAMPLED spectral loss spans the top k eigenvectors of A.

    For gamma_k > max(0, gamma_{k+1}). A two-layer network on one-hot nodes, batches of 192 images with two
    augmentations each, from a start and sample of its own each time, by Adam and by gradient descent with
    momentum, on graphs of blocks, of distinct eigenvalues and of real digits (their 12 commonest nodes), in turn;
    k from 2 to 5, at the widest gap. Measured: the larger of the largest principal angle (radians) and the excess
    population loss relative to its minimum's size; what is left is sampling noise, hence the tolerance. `detail`
    has the angle by family and optimiser. Control: the angle of f itself, node weights being unequal (by so much
    that the minimiser's own is above 0.18).
    """
    angle, optimisers, excess, control = Worst(), Worst(), Worst(), np.inf
    routes = itertools.cycle(itertools.product(FAMILIES, RATES))
    for family, optimiser in itertools.islice(routes, instances):
        p, w, k = _population(rng, family)
        f = _train(p, k, rng, optimiser)
        result, root = cf.spectral(w, k), np.sqrt(w.sum(axis=1))[:, None]
        least = cf.spectral_contrastive_loss(result.embedding / root, w)
        away = cf.largest_angle(root * f, result.embedding)
        excess.see(family, (cf.spectral_contrastive_loss(f, w) - least) / abs(least))
        angle.see(family, away)
        optimisers.see(optimiser, away)
        control = min(control, cf.largest_angle(f, result.embedding))
    detail = {"principal angle": angle.value, "excess loss": excess.value} | angle.detail()
    detail |= {f"principal angle by {name}": value for name, value in optimisers.by_family.items()}
    return Outcome(max(angle.value, excess.value), {"without sqrt(w_x)": control}, detail=detail)
