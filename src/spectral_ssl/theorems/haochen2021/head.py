"""The size of the best linear head (the norm bound of Theorem 5.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import tasks
from spectral_ssl.theorems.haochen2021.logits import kernel_of, minimiser
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.search import search

SLACK = 1e-8
"""Share of the bound that rounding may take."""

POSITIVE = 1e-6
"""Eigenvalues below this are zero, or near enough for rounding to be all of ||B*||."""

SEARCHES, EVALUATIONS = 3, 250
"""Starts of the search for a violation, and evaluations of each."""

NODES, CLASSES, IMAGES = 8, 3, 12


def head_norm(F: Array, w: Array, labels: NDArray[np.int64]) -> float:
    """||B*||_F^2 of the w-weighted least squares of a minimiser's f, F (N, k), onto nodes' labels (N,)."""
    targets = np.sqrt(w.sum(axis=1))[:, None] * np.eye(int(labels.max()) + 1)[labels]
    head = np.linalg.lstsq(F, targets, rcond=None)[0]
    return float((head**2).sum())


def _labels(rng: np.random.Generator, embedding: Array) -> NDArray[np.int64]:
    """Random labels of the nodes, or by the sign of the last eigenvector, which ask most for its direction."""
    if rng.random() < 0.5:
        return (embedding[:, -1] < 0).astype(np.int64)
    return rng.integers(CLASSES, size=len(embedding))


def _searched(point: Array) -> float:
    """||B*||^2 gamma_k of a kernel's logits (IMAGES, NODES) and labels' logits (CLASSES, NODES), k = 3."""
    w = augmentation_graph(kernel_of(point[:IMAGES])).w
    F, gamma = minimiser(w, 3)
    norm = head_norm(F, w, point[IMAGES:].argmax(axis=0))
    return norm * float(gamma[2]) if gamma[2] > POSITIVE else -np.inf


@check(
    paper="haochen2021",
    statement="theorem-5.1",
    kind="bound",
    title="The best linear head has squared norm at most 1 / gamma_k",
    control="a bound that does not grow as gamma_k falls, on graphs with gamma_k near 0",
    tolerance=0.0,
    instances=90,
)
def theorem_5_1(rng: np.random.Generator, instances: int) -> Outcome:
    """||B*||_F^2 <= 1 / gamma_k for the w-weighted least-squares head on a minimiser's f, any labelling of
    the nodes, gamma_k > 0.

    The constant behind the number of labels in Theorem 5.1 (its rate: theorem-5.1-labels). Proof: F = V
    Gamma^(1/2) gives B* = Gamma^(-1/2) V^T u, and the columns of u = sqrt(w) 1[label = c] have squares that
    sum to 1. It is attained, by one label (k = 1) and by labels that are constant on k components.

    Graphs of every family of tasks, k at most 6 and the number of positive eigenvalues. Measured: violations,
    also by a search over kernels of 12 images on 8 nodes and labels in 3 classes. Control: ||B*||^2 <= 2
    instead, on graphs of nearly equal kernels whose gamma_k is below 0.02, labels by the sign of the last
    eigenvector; counted are the graphs that break it.
    """
    violations, control, tightness = 0, 0, Worst()
    for family, task in tasks(rng, instances):
        values = cf.spectral(task.w, min(6, len(task.w))).eigenvalues
        result = cf.spectral(task.w, int(rng.integers(1, 1 + (values > POSITIVE).sum())))
        ratios = [
            head_norm(result.embedding, task.w, labels) * float(result.eigenvalues[-1])
            for labels in (task.node_labels, _labels(rng, result.embedding))
        ]
        violations += int(max(ratios) > 1 + SLACK)
        tightness.see(family, *ratios)
        w = augmentation_graph(rng.dirichlet(np.full(NODES, 200.0), size=2 * NODES)).w
        flat = cf.spectral(w, 3)
        norm = head_norm(flat.embedding, w, (flat.embedding[:, -1] < 0).astype(np.int64))
        control += int(flat.eigenvalues[-1] < 0.02 and norm > 2)
    starts = [2 * rng.standard_normal((IMAGES + CLASSES, NODES)) for _ in range(SEARCHES)]
    worst = search(_searched, starts, rng, evaluations=EVALUATIONS).ratio
    violations += int(worst > 1 + SLACK)
    detail = {"tightness": tightness.value, "tightness found by search": worst} | tightness.detail()
    return Outcome(violations, {"no gamma_k": control}, detail=detail)
