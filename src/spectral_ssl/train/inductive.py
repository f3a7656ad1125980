"""A graph on which the loss alone cannot tell its minimisers apart, and what labels say of the one that is found.

Views of different images are not joined, so that each of n images is a component: of the spectral loss any K of the
n eigenvectors of eigenvalue 1 are a minimiser, and any embedding that maps each image's views to a point, these points
orthonormal enough, is as good as another (HaoChen et al. 2021 call for a function class that forbids most of them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.evaluate import evaluate_features

Array = NDArray[np.float64]
PROBES = ("few5", "knn")
DRAWS = 20  # of labels, for the few-label probe
RESTARTS = 3  # of k-means


@dataclass(frozen=True)
class ViewsOfImages:
    """V views of n images: `features` (V n, C, H, W) float32, weights `w` (V n, V n), labels and images (V n,).

    w joins an image's views with each other and with themselves, each pair as often: n components. `known` (V n,):
    whose labels probes may use, every second image of each class with all its views.
    """

    features: Tensor
    w: Any
    labels: NDArray[np.int64]
    image: NDArray[np.int64]
    known: NDArray[np.bool_]


def views_of_images(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    views: int,
    augmentation: str,
    generator: torch.Generator,
) -> ViewsOfImages:
    """Views of images (n, H, W, C) uint8 with labels (n,), drawn from the generator, row v n + i view v of image i."""
    n, side, _, channels = images.shape
    augment = get_augmentation(augmentation, side, channels)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    features = torch.cat([augment(pixels, generator=generator) for _ in range(views)])
    rank = np.array([np.sum(labels[:i] == label) for i, label in enumerate(labels)])
    return ViewsOfImages(
        features,
        sparse.csr_array(views_graph(n, views) + sparse.eye_array(n * views)),
        np.tile(labels, views),
        np.tile(np.arange(n), views),
        np.tile(rank % 2 == 0, views),
    )


def probe(z: Array, data: ViewsOfImages) -> dict[str, float]:
    """What labels say of an embedding (N, K), on the images whose labels are not used.

    `few5`: five labels a class; `knn`: all known labels; `clusters`: adjusted Rand index of k-means with the classes,
    no label used, 0 by chance; of one view an image, since views that meet would be pairs found.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    known, hidden = data.known, ~data.known
    parts = (z[known], data.labels[known], z[hidden], data.labels[hidden])
    found = evaluate_features(*parts, probes=PROBES, draws=DRAWS, seed=0)
    once = np.unique(data.image, return_index=True)[1]
    lengths = np.linalg.norm(z[once], axis=1, keepdims=True)
    directions = z[once] / np.maximum(lengths, np.finfo(float).tiny)
    means = KMeans(len(np.unique(data.labels)), n_init=RESTARTS, random_state=0).fit_predict(directions)
    clusters = float(adjusted_rand_score(data.labels[once], means))
    return {**{name: found[name] for name in PROBES}, "clusters": clusters}


def overlaps(embeddings: list[Array]) -> list[float]:
    """Of each embedding's column span the mean share that others' spans hold, |U^T V|_F^2 / K; NaN without others.

    1 if all seeds find one subspace; K/n for random ones of n dimensions.
    """
    spans = [cf.span(z) for z in embeddings]
    shares = [
        [float(((one.T @ other) ** 2).sum() / max(one.shape[1], 1)) for other in spans if other is not one]
        for one in spans
    ]
    return [float(np.mean(share)) if share else float("nan") for share in shares]
