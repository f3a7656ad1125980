"""Conductance in the augmentation graph, where self-loops count."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl.data.graph import augmentation_graph, conductance
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array


def _leaving(p: Array, node: int) -> float:
    """Pr[x+ != x | x = node] for x, x+ drawn from one image, by the kernel itself: the conductance of
    {node}.
    """
    here = p[:, node]
    return float((here * (1 - here)).sum() / here.sum())


@check(
    paper="haochen2021",
    statement="singleton-conductance",
    kind="identity",
    title="A singleton's conductance is 1 - w_xx / w_x",
    control="the printed value, 1",
    tolerance=1e-12,
    instances=100,
)
def singleton_conductance(rng: np.random.Generator, instances: int) -> Outcome:
    """The conductance of {x} is 1 - w_xx / w_x, so rho_N = max_x (1 - w_xx / w_x).

    Printed beside Definition 3.4: singletons have conductance 1, hence rho_N = 1. That forgets the self-loops
    which the augmentation graph has, an image's augmentation being paired with itself too. In the toy graph
    (rotation with probability 1/3) the values are 1/3 and 2/3. Measured: largest error of formula and cut
    weights against the chance that a second augmentation of the same image differs, from the kernel. rho_N is
    the largest, all N nodes being apart in the only N-partition.
    """
    shown = np.array([[2 / 3, 1 / 3]])
    toy = block_diag(shown, shown)
    w = augmentation_graph(toy).w
    values = 1 - np.diag(w) / w.sum(axis=1)
    worst, printed = float(np.abs(values - [1 / 3, 2 / 3, 1 / 3, 2 / 3]).max()), np.inf
    for _ in range(instances):
        images, nodes = int(rng.integers(2, 20)), int(rng.integers(2, 12))
        p = rng.dirichlet(np.full(nodes, 0.7), size=images) * 0.99 + 0.01 / nodes
        w = augmentation_graph(p).w
        exact = np.array([_leaving(p, node) for node in range(nodes)])
        values = 1 - np.diag(w) / w.sum(axis=1)
        cut = np.array([conductance(w, [node]) for node in range(nodes)])
        worst = max(worst, float(np.abs(cut - exact).max()))
        worst = max(worst, float(np.abs(values - exact).max()), abs(float(values.max() - exact.max())))
        printed = min(printed, float(np.abs(1 - exact).max()), 1 - float(exact.max()))
    return Outcome(worst, {"printed value": printed}, printed=printed, detail={"toy graph's rho_N": 2 / 3})
