"""VICReg's optimum: Laplacian eigenmaps with shrunken scales, or their linear form.

The objective is the one with the quadratic variance term and equal weight alpha on variance and covariance
(Balestriero & LeCun 2022, section 3):

alpha ||Cov(Z) - I||_F^2 + (gamma / N) sum_ij G_ij ||z_i - z_j||^2,    Cov(Z) = Z^T H Z / n',  H = I - 1 1^T /
N.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, smallest_centred_laplacian_pairs
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import degrees, laplacian
from spectral_ssl.errors import UserError

FEATURE_RANK_TOLERANCE = 1e-10
"""Singular values of X below this share of the largest are directions that X does not have."""

RESOLVED = 1e11
"""Largest gamma ||L|| / alpha at which eigenvalues are known well enough: to 1e-5 in the scales c_k."""


def vicreg_objective(
    Z: ArrayLike,
    G: validate.Graph,
    variance: float = 1.0,
    invariance: float = 0.3,
    divisor: str = "n-1",
) -> float:
    """The module's objective at Z (N, K): alpha = `variance`, gamma = `invariance`, n' by `divisor`."""
    variance, invariance = (
        validate.positive(variance, "variance"),
        validate.non_negative(invariance, "invariance"),
    )
    pairs = sp.coo_array(validate.relation_graph(G))
    Z = validate.embedding(Z, pairs.shape[0])
    n, k = Z.shape
    centred = Z - Z.mean(axis=0)
    covariance = centred.T @ centred / validate.covariance_divisor(divisor, n)
    squared_distances = ((Z[pairs.row] - Z[pairs.col]) ** 2).sum(axis=1)
    spread = ((covariance - np.eye(k)) ** 2).sum()
    return float(variance * spread + invariance / n * (pairs.data @ squared_distances))


def shrinkage(eigenvalues: Array, n: int, scale: float, variance: float, invariance: float) -> Array:
    """Optimal variances c_k = max(0, 1 - gamma n' lambda_k / (alpha N)); `scale` is n'. Zero at lambda =
    inf.
    """
    if invariance == 0:
        return np.where(np.isfinite(eigenvalues), 1.0, 0.0)
    return np.maximum(0.0, 1.0 - invariance * scale * eigenvalues / (variance * n))


def _resolved(G: validate.Matrix, ratio: float) -> None:
    """Refuse a graph whose largest eigenvalues' rounding, times gamma / alpha, would move the shrinkage."""
    # The Laplacian's norm is at most twice the largest degree, and float64 knows its eigenvalues to 1e-16 of it.
    degree = float(degrees(G).max())
    if 2 * degree * ratio > RESOLVED:
        raise UserError(
            f"G's largest degree ({degree:g}) times invariance / variance ({ratio:g}) is beyond float64: expected at "
            f"most {RESOLVED / 2:g}; scale G or the invariance weight down"
        )


def vicreg(
    G: validate.Graph,
    k: int,
    variance: float = 1.0,
    invariance: float = 0.3,
    divisor: str = "n-1",
    X: ArrayLike | None = None,
) -> Result:
    """A global minimiser of the module's objective over Z (N, k), or over Z = X W.

    Z* = [u_k sqrt(n' c_k)], (lambda_k, u_k) the k smallest eigenpairs of L = D - G in the centred subspace,
    or, with X (N, D), of its compression to range(H X): X^T L X w = lambda X^T H X w. c_k as in `shrinkage`.
    Every other minimiser is Z* Q + 1 b^T, Q orthogonal, b any. Dimensions that do not exist have lambda = inf
    and c = 0. A free representation is returned centred; a linear one is X W, not centred. Raises UserError
    on a bad graph.
    """
    matrix = validate.relation_graph(G)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    alpha, gamma = validate.positive(variance, "variance"), validate.non_negative(invariance, "invariance")
    scale = validate.covariance_divisor(divisor, n)
    _resolved(matrix, gamma / alpha)
    values = np.full(k, np.inf)
    vectors = np.zeros((n, k))
    directions: Array | None = None
    solver = "dense"
    if X is None:
        found = min(k, n - 1)
        if found:
            values[:found], embedded, solver = smallest_centred_laplacian_pairs(matrix, found)
            vectors = embedded if found == k else np.pad(embedded, ((0, 0), (0, k - found)))
    else:
        array = validate.features(X, n)
        basis, inverse = whitened(array - array.mean(axis=0))
        found = min(k, basis.shape[1])
        directions = np.zeros((array.shape[1], k))
        if found:
            compressed = basis.T @ (laplacian(matrix) @ basis)
            values[:found], rotation = extremal_eigenpairs((compressed + compressed.T) / 2, found, "smallest")
            vectors[:, :found] = basis @ rotation
            directions[:, :found] = inverse @ rotation
    # L is positive semidefinite: what is below zero is rounding.
    values = np.maximum(values, 0.0)
    variances = shrinkage(values, n, scale, alpha, gamma)
    lengths = np.sqrt(scale * variances)
    finite = np.where(np.isfinite(values), values, 0.0)
    loss = alpha * ((variances - 1) ** 2).sum() + 2 * gamma / n * scale * (finite * variances).sum()
    if directions is None:
        vectors *= lengths
        return Result(vectors, values, float(loss), solver=solver)
    weights = directions * lengths
    return Result(np.asarray(X, dtype=np.float64) @ weights, values, float(loss), weights)


def whitened(array: Array) -> tuple[Array, Array]:
    """Orthonormal basis U (N, r) of the range of `array` (N, D) = U S V^T, and V S^-1 (D, r), so that U =
    array V S^-1.
    """
    left, singular, right = scipy.linalg.svd(array, full_matrices=False)
    keep = singular > FEATURE_RANK_TOLERANCE * max(singular[0], np.finfo(float).tiny)
    return left[:, keep], right[keep].T / singular[keep]
