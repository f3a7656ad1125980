"""Tables of augmentation graphs: the two-image example, and the training images under small finite families."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from spectral_ssl.closed_form.eigen import to_dense
from spectral_ssl.data.augmentation_graph import (
    augmentation_graph as build,
)
from spectral_ssl.data.augmentation_graph import label_error, probe_bound, spectrum
from spectral_ssl.data.families import coarsen, compose, family_kernel, shifts
from spectral_ssl.data.graph import connected_components, normalised_adjacency
from spectral_ssl.data.partitions import spectral_partition
from spectral_ssl.data.sources import load
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.stages.views import subset

TOY_POINTS = ("lightning", "lightning, rotated", "cloud", "cloud, rotated")
TOY_ROTATION = 1 / 3
LEVELS = (2, 3, 4)  # grey levels that are told apart: the more, the fewer augmentations of two images meet
BLOCKS = 4  # blocks across the image, whose mean grey is what is seen
EIGENVALUES = 100
DRAWN_CLASSES, DRAWN_IMAGES = 3, 15  # what a picture shows
FEATURES = 10  # k of Theorem 3.8's bound


def toy_graph(inputs: Inputs) -> Table:
    """Weights of the lightning and the cloud, a row an entry; fractions as the source prints them."""
    keep, turn = 1 - TOY_ROTATION, TOY_ROTATION
    w = to_dense(build(np.array([[keep, turn, 0, 0], [0, 0, keep, turn]])).w)
    normalised = to_dense(normalised_adjacency(w))
    rows = [
        {"row": a, "column": b, "w": w[i, j], "normalised": normalised[i, j]}
        for i, a in enumerate(TOY_POINTS)
        for j, b in enumerate(TOY_POINTS)
    ]
    shown = pd.DataFrame(
        [
            {"point": a} | {b: f"{w[i, j]:.4f} / {normalised[i, j]:.4f}" for j, b in enumerate(TOY_POINTS)}
            for i, a in enumerate(TOY_POINTS)
        ]
    )
    return Table(pd.DataFrame(rows), shown)


def augmentation_graph(inputs: Inputs) -> Table:
    """Shifts by a pixel of the views stage's images, seen as a few blocks of a few grey levels, enumerated exactly.

    The tidy table has a row an eigenvalue; label error, components and bounds are repeated in each.
    """
    images, labels = _images(inputs)
    rows: list[dict[str, Any]] = []
    shown = []
    for levels in LEVELS:
        family = compose(shifts(1), coarsen(levels, pooling=_pooling(images.shape[1])))
        kernel = family_kernel(images, family).kernel
        w = build(kernel).w
        found = spectrum(
            w, min(EIGENVALUES, *kernel.shape)
        )  # the rest are zeros: w's rank is at most the images'
        gaps = np.maximum(found.lambda_, 0.0)  # below zero by rounding only
        k = min(FEATURES, len(gaps) - 1)
        alpha = label_error(kernel, None, labels).alpha
        bound = probe_bound(alpha, float(gaps[k]))
        classes = min(len(np.unique(labels)), w.shape[0])
        partition = spectral_partition(w, classes, generator=np.random.default_rng(0), restarts=3)
        facts = {
            "graph": f"{levels} grey levels",
            "points": w.shape[0],
            "components": connected_components(w)[0],
            "alpha": alpha,
            "k": k,
            "lambda_next": float(gaps[k]),
            "bound": bound.augmentation,
            "rho_lower": float(gaps[classes - 1]) / 2,
            "rho_upper": partition.conductance,
        }
        rows += [{**facts, "index": i + 1, "eigenvalue": value} for i, value in enumerate(found.gamma)]
        shown.append(
            {
                "graph": facts["graph"],
                "points": facts["points"],
                "components": facts["components"],
                "alpha": f"{alpha:.3f}",
                f"lambda_{k + 1}": f"{facts['lambda_next']:.3f}",
                "error at most": f"{bound.augmentation:.3g}" + (" (vacuous)" if bound.vacuous else ""),
                f"rho_{classes}": f"{facts['rho_lower']:.3f} to {facts['rho_upper']:.3f}",
            }
        )
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def augmentation_matrix(inputs: Inputs) -> Table:
    """Normalised adjacency of the augmentations of a few images of a few classes, at the fewest grey levels.

    A row an entry above zero; points in the order of their Bayes labels.
    """
    images, labels = _images(inputs)
    few = [np.flatnonzero(labels == c)[:DRAWN_IMAGES] for c in np.unique(labels)[:DRAWN_CLASSES]]
    chosen = np.concatenate(few)
    family = compose(shifts(1), coarsen(LEVELS[0], pooling=_pooling(images.shape[1])))
    kernel = family_kernel(images[chosen], family).kernel
    order = np.argsort(label_error(kernel, None, labels[chosen]).labels, kind="stable")
    w = build(kernel[:, order]).w
    entries = sparse.coo_array(normalised_adjacency(w))
    tidy = pd.DataFrame(
        {"row": entries.row, "column": entries.col, "weight": entries.data, "points": w.shape[0]}
    )
    inside = label_error(kernel[:, order], None, labels[chosen]).labels
    same = inside[entries.row] == inside[entries.col]
    shown = {
        "images": len(chosen),
        "points": w.shape[0],
        "entries": entries.nnz,
        "weight between points of one class": f"{100 * entries.data[same].sum() / entries.data.sum():.0f} %",
    }
    return Table(tidy, pd.DataFrame([shown]))


def _pooling(size: int) -> int:
    """A block's side for images of this size, px."""
    return max(1, size // BLOCKS)


def _images(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """The views stage's training images that have a class, in grey (n, H, W) uint8, and their classes; a margin that
    the blocks would not cover is cut off.
    """
    tier = inputs.context.tier
    dataset = load(inputs.context.layout.data(tier.data.slug))
    index = subset(dataset, tier.views.images)
    labels = np.asarray(dataset.train_labels)[index]
    grey = np.asarray(dataset.train_images[index[labels >= 0]]).mean(axis=-1)
    side = grey.shape[1] - grey.shape[1] % _pooling(grey.shape[1])
    return np.rint(grey[:, :side, :side]).astype(np.uint8), labels[labels >= 0]
