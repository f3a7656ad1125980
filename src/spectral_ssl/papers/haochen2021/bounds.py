"""Theorem 3.8 on a given augmentation graph: the bound and the error that it bounds, for every k."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spectral_ssl.closed_form.eigen import fix_signs, to_dense
from spectral_ssl.data.augmentation_graph import label_error, probe_bound
from spectral_ssl.data.graph import as_matrix

RANK = 1e-10
"""An eigenvalue gamma below this is a zero of w, whose rank is at most the number of images."""

TIE = 10  # decimals of a score: classes nearer than that tie, and the lower one is predicted


class Bounds(NamedTuple):
    """For k = 1 .. rank of w: `gamma` (r,), the k-th eigenvalue; `lambda_next` (r,), lambda_{k+1}; `bound` (r,) on the
    error; `error` (r,), the probe's; `vote` (r,), that of the majority over an image's augmentations, which twice the
    bound bounds. `alpha`: the label error.
    """

    alpha: float
    gamma: NDArray[np.float64]
    lambda_next: NDArray[np.float64]
    bound: NDArray[np.float64]
    error: NDArray[np.float64]
    vote: NDArray[np.float64]


def bounds(kernel: Any, labels: ArrayLike) -> Bounds:
    """Bound and error of the w-weighted least squares on the minimiser's k features (HaoChen et al. 2021, Thm 3.8).

    Images are equally likely. The features are the first k eigenvectors of the normalised adjacency, the targets the
    labelling that attains alpha; both sides of w = p^T p / n being small where there are few images, its eigenvectors
    are the right singular vectors of p_ix / sqrt(n w_x). Where gamma_k = gamma_{k+1} the minimiser is not unique, and
    the error is that of one.

    Args:
        kernel: p(x | image), (images, points), rows summing to 1.
        labels: classes of the images (images,), integers from 0.

    Raises:
        UserError: the kernel is no distribution, or the labels are not one class an image.
    """
    found = label_error(kernel, None, labels)
    p = as_matrix(kernel)
    n = p.shape[0]
    degree = np.asarray(p.sum(axis=0)).ravel() / n
    reached = degree > 0
    root = np.sqrt(degree[reached])
    p = sparse.csr_array(p)[:, reached]
    _, singular, right = np.linalg.svd(to_dense(p) / (np.sqrt(n) * root), full_matrices=False)
    gamma = singular[singular**2 > RANK] ** 2
    vectors = fix_signs(right[: gamma.size].T)
    classes, index = np.unique(np.asarray(labels), return_inverse=True)
    mass = np.asarray(p.T @ np.eye(classes.size)[index]) / n
    targets = root[:, None] * (found.labels[reached][:, None] == classes)
    lambda_next = np.maximum(1 - np.append(gamma[1:], 0.0), 0.0)  # below zero by rounding only
    errors = [_errors(scores, mass, p, index) for scores in _scores(vectors, targets)]
    bound = [probe_bound(found.alpha, float(value)).augmentation for value in lambda_next]
    error, vote = np.array(errors).T
    return Bounds(found.alpha, gamma, lambda_next, np.array(bound), error, vote)


def _scores(vectors: NDArray[np.float64], targets: NDArray[np.float64]) -> Any:
    """The least squares' predictions (points, classes) times sqrt(w_x), for k = 1, 2, ...: projections."""
    scores = np.zeros_like(targets)
    for vector in vectors.T:
        scores = scores + np.outer(vector, vector @ targets)
        yield scores


def _errors(
    scores: NDArray[np.float64],
    mass: NDArray[np.float64],
    kernel: sparse.csr_array,
    index: NDArray[np.intp],
) -> tuple[float, float]:
    predicted = scores.round(TIE).argmax(axis=1)
    wrong = mass.sum(axis=1) - mass[np.arange(len(mass)), predicted]
    votes = kernel @ np.eye(mass.shape[1])[predicted]
    return float(max(wrong.sum(), 0.0)), float((votes.round(TIE).argmax(axis=1) != index).mean())
