"""Augmentation kernels made for the checks: of free parameters, that a search may move, and of few nodes."""

from __future__ import annotations

import numpy as np
import scipy.special
from numpy.typing import NDArray

from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.theorems.families import Task
from spectral_ssl.theorems.instances import Array


def kernel_of(logits: Array) -> Array:
    """p (images, nodes), each row the softmax of a row of logits."""
    return np.asarray(scipy.special.softmax(logits, axis=1))


def task_of(logits: Array, labels: NDArray[np.int64]) -> Task:
    """The task of that kernel, images in the classes `labels`."""
    return Task.of(kernel_of(logits), labels)


def minimiser(w: Array, k: int) -> tuple[Array, Array]:
    """F (nodes, k) = V_k Gamma_k^(1/2) and all eigenvalues gamma, descending, by one dense decomposition.

    As `closed_form.spectral`, without its care for large graphs: a search asks for a thousand small ones.
    """
    gamma, vectors = np.linalg.eigh(normalised_adjacency(w))
    leading = vectors[:, ::-1][:, :k]
    return np.asarray(leading * np.sqrt(np.maximum(gamma[::-1][:k], 0.0))), gamma[::-1]


def random_logits(rng: np.random.Generator, labels: NDArray[np.int64], nodes: int) -> Array:
    """Logits (images, nodes) of images that prefer the nodes of their class, more or less."""
    own = labels[:, None] == np.arange(nodes) * (int(labels.max()) + 1) // nodes
    return rng.standard_normal(own.shape) + rng.uniform(1.0, 5.0) * own


def commonest(p: Array, nodes: int) -> Array:
    """The kernel restricted to its most frequent nodes; images that reach none of them are left out."""
    order = np.argsort(-p.sum(axis=0), kind="stable")[:nodes]
    kept = p[:, order]
    mass = kept.sum(axis=1, keepdims=True)
    return np.asarray(kept[mass[:, 0] > 0] / mass[mass[:, 0] > 0])
