"""The augmentation graph of HaoChen et al. 2021 (section 3): its weights, spectrum, label error and bound.

`w_xx' = E_image[p(x | image) p(x' | image)]` joins augmented points x (M of them) that come from one image; a
kernel p (images, M) is given by hand or by `data.families`. `lambda_m = 1 - gamma_m` are the eigenvalues of I -
A ascending, gamma those of the normalised adjacency A.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs
from spectral_ssl.data.graph import TOLERANCE, Graph, as_matrix, degrees, normalised_adjacency, refuse
from spectral_ssl.errors import UserError

EIGENVALUE_ROUNDING = 1e-10
"""A lambda below this is taken for zero: the rounding of a computed gamma = 1 is no gap to divide by."""

COUNT_TOLERANCE = 1e-6
"""How far counts / draws * draws may be from whole numbers."""


class AugmentationGraph(NamedTuple):
    """Weights `w` (M, M) of the augmented points that occur; `kept` (M,): their columns in the kernel."""

    w: Graph
    kept: NDArray[np.intp]


class Spectrum(NamedTuple):
    """`gamma` (k,) descending, of the normalised adjacency; `lambda_` (k,) = 1 - gamma, ascending."""

    gamma: NDArray[np.float64]
    lambda_: NDArray[np.float64]


class LabelError(NamedTuple):
    """`alpha`: the labelling's chance to err; `labels` (points,): the labelling, -1 where no image reaches."""

    alpha: float
    labels: NDArray[np.int64]


class ProbeBound(NamedTuple):
    """Bounds on the probe's error: of one augmentation, of the vote over an image's augmentations.

    `vacuous`: the first is 1 or more, so that neither says anything.
    """

    augmentation: float
    vote: float
    vacuous: bool


def augmentation_graph(
    kernel: Any, prior: ArrayLike | None = None, *, draws: int | None = None
) -> AugmentationGraph:
    """HaoChen et al. 2021, section 3.1: `w_xx' = sum_i prior_i p(x | i) p(x' | i)`; `sum w = 1`.

    Points that no image of positive prior reaches have degree zero and are dropped; `kept` lists the others.

    A kernel of frequencies in n draws an image (`families.sampled_kernel`) put in the place of p is biased,
    since a draw is paired with itself too: its mean is `(1 - 1/n) w + diag(w_x) / n`, which shrinks every
    lambda by the factor 1 - 1/n. With `draws=n` the pairs of one draw with itself are left out, and the mean
    is w; degrees are the same either way, but the estimate need not be positive semidefinite.

    Args:
        kernel: p(x | image), (images, points), non-negative, rows summing to 1.
        prior: probability of each image (images,); uniform by default.
        draws: number of draws an image, at least 2, where the kernel holds frequencies.

    Raises:
        UserError: the kernel or the prior is no probability distribution, or their sizes disagree; the kernel
            does not hold frequencies in so many draws.
    """
    p, weights = _distributions(kernel, prior)
    column = weights[:, None]
    w = p.T @ (sparse.csr_array(p.multiply(column)) if sparse.issparse(p) else p * column)
    w = (w + w.T) / 2  # symmetric to the last bit, whatever the order of summation
    if draws is not None:
        _check_counts(p, draws)
        w = _without_diagonal_pairs(w, np.asarray(p.T @ weights).ravel(), draws)
    kept = np.flatnonzero(degrees(w) > 0)
    return AugmentationGraph(as_matrix(w[kept][:, kept]), kept)


def _without_diagonal_pairs(w: Graph, degree: NDArray[np.float64], draws: int) -> Graph:
    """(n w - diag(degree)) / (n - 1): with counts c, c_x c_x' / n^2 becomes (c_x c_x' - [x = x'] c_x) / (n (n - 1))."""
    inflated = w * (draws / (draws - 1))
    diagonal = inflated.diagonal()
    # The difference is a count times a positive number; where the count is zero, rounding may leave it below.
    change = np.maximum(diagonal - degree / (draws - 1), 0.0) - diagonal
    return inflated + (sparse.diags_array(change, format="csr") if sparse.issparse(w) else np.diag(change))


def spectrum(w: Any, k: int) -> Spectrum:
    """The k largest eigenvalues gamma of the normalised adjacency of w (M, M), and lambda = 1 - gamma.

    gamma = 1 once for each connected component.

    Raises:
        UserError: w is not symmetric, non-negative and of positive degrees, or k is not in 1..M.
    """
    matrix = normalised_adjacency(validate.augmentation_weights(w))
    k = validate.dimension(k, matrix.shape[0], "the number of points")
    gamma = extremal_eigenpairs(matrix, k, "largest")[0]
    return Spectrum(gamma, 1 - gamma)


def label_error(kernel: Any, prior: ArrayLike | None, image_labels: ArrayLike) -> LabelError:
    """The least Pr[labelling(x) != y(image)] over all labellings of the points: alpha of Assumption 3.5.

    The Bayes labelling, the class of most mass at each point, attains it; at a tie the lowest class.

    Args:
        kernel: p(x | image), (images, points).
        prior: probability of each image (images,); None for the uniform one.
        image_labels: classes y (images,), integers from 0.

    Raises:
        UserError: kernel or prior is no distribution, or the labels are not one class for each image.
    """
    p, weights = _distributions(kernel, prior)
    images = p.shape[0]
    labels = np.asarray(image_labels)
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise UserError(
            f"image labels of shape {labels.shape} and type {labels.dtype}: expected a class, an integer from 0, "
            f"for each of {images} images"
        )
    classes, index = np.unique(labels, return_inverse=True)
    mass = np.asarray(p.T @ (weights[:, None] * np.eye(classes.size)[index]))  # (points, classes)
    best = mass.argmax(axis=1)
    found = np.where(mass.max(axis=1) > 0, classes[best], -1).astype(np.int64)
    mass[np.arange(best.size), best] = 0  # summing what is lost keeps alpha = 0 exact
    return LabelError(float(mass.sum()), found)


def probe_bound(alpha: float, lambda_next: float) -> ProbeBound:
    """Theorem 3.8 with its constants: the linear probe's error is at most `4 alpha / lambda_{k+1} + alpha`.

    The probe is the weighted least squares on a minimiser's k features onto a labelling that errs with
    probability alpha; the majority vote over an image's augmentations errs with at most twice the bound. A
    `lambda_next` of zero (k below the number of components) bounds nothing, whatever alpha: infinity.

    Raises:
        UserError: alpha is outside [0, 1], or lambda_{k+1} outside [0, 2].
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha is {alpha:g}: expected a probability, from label_error")
    if not -EIGENVALUE_ROUNDING <= lambda_next <= 2 + EIGENVALUE_ROUNDING:
        raise UserError(
            f"lambda_{{k+1}} is {lambda_next:g}: expected an eigenvalue of I - A, from 0 to 2; see spectrum"
        )
    bound = 4 * alpha / lambda_next + alpha if lambda_next > EIGENVALUE_ROUNDING else np.inf
    return ProbeBound(float(bound), float(2 * bound), bool(bound >= 1))


def _distributions(kernel: Any, prior: ArrayLike | None) -> tuple[Graph, NDArray[np.float64]]:
    """The kernel (images, points) and the prior (images,) as float64, if they are probabilities."""
    p = as_matrix(kernel)
    images = p.shape[0]
    weights = np.full(images, 1 / images) if prior is None else np.asarray(prior, dtype=np.float64)
    if weights.shape != (images,):
        raise UserError(
            f"prior has shape {weights.shape}, expected one probability for each of {images} images"
        )
    entries = sparse.csr_array(p).tocoo()
    refuse(entries, ~np.isfinite(entries.data), "is not finite", name="p")
    refuse(entries, entries.data < 0, "is negative", name="p")
    sums = np.asarray(p.sum(axis=1)).ravel()
    wrong = np.abs(sums - 1) > TOLERANCE * p.shape[1]
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"row {row} of p sums to {sums[row]:.12g}: expected a distribution over points; normalise it"
        )
    if not np.all(weights >= 0) or abs(weights.sum() - 1) > TOLERANCE * images:
        raise UserError(f"prior sums to {weights.sum():.12g} or has negative entries: expected probabilities")
    return p, weights


def _check_counts(p: Graph, draws: int) -> None:
    if draws < 2:
        raise UserError(f"{draws} draws an image make no pair: draw at least 2, or leave draws out")
    counts = (p.data if sparse.issparse(p) else p) * draws
    if np.abs(counts - np.rint(counts)).max() > COUNT_TOLERANCE:
        raise UserError(
            f"p does not hold frequencies in {draws} draws: pass the draws of sampled_kernel, or leave them out"
        )
