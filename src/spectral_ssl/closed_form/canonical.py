"""Barlow Twins' optimum under whitening: canonical correlation analysis on the pairs of the graph.

Each edge of G is one pair (i, j) with weight G_ij, taken in both directions, so that the two views' rows give
Z_l^T Z_l = Z^T D Z and Z_l^T Z_r = Z^T G Z. Under the constraint Z^T D Z = I, 1^T D Z = 0 (Balestriero &
LeCun 2022):

    sum_k (1 - C_kk)^2 + alpha sum_{k != k'} C_kk'^2,    C = Z^T G Z.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, to_dense
from spectral_ssl.closed_form.laplacian import whitened
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import check_relation_graph, degrees
from spectral_ssl.errors import UserError


def barlow_twins_objective(Z: Array, G: validate.Graph, alpha: float = 1.0) -> float:
    """The module's objective at Z (N, K), centred by degree-weighted means and whitened here (polar factor).

    Whitening multiplies by (Z^T D Z)^(-1/2); Z of rank K after centring is required.
    """
    matrix = to_dense(check_relation_graph(G))
    degree = matrix.sum(axis=1)
    centred = Z - degree @ Z / degree.sum()
    values, vectors = scipy.linalg.eigh(centred.T @ (degree[:, None] * centred))
    white = centred @ (vectors / np.sqrt(values)) @ vectors.T
    correlation = white.T @ matrix @ white
    diagonal = np.diag(correlation)
    return float(((1 - diagonal) ** 2).sum() + alpha * ((correlation**2).sum() - (diagonal**2).sum()))


def barlow_twins(G: validate.Graph, k: int, alpha: float = 1.0, X: ArrayLike | None = None) -> Result:
    """A global minimiser for alpha >= 1, over whitened Z (N, k) or Z = X W with X (N, D).

    The k algebraically largest pairs of X^T G X w = rho X^T D X w, X centred by degree-weighted means (X = I
    for a free representation); the minimum is sum_k (1 - rho_k)^2. It is canonical correlation analysis
    exactly where no negative correlation exceeds rho_k in size. Nodes without an edge are in no pair: a free
    representation puts them at zero. UserError on a bad graph, alpha < 1, or k above the rank.
    """
    matrix = check_relation_graph(G)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    if not np.isfinite(alpha) or alpha < 1:
        raise UserError(
            f"alpha is {alpha!r}: the closed form needs alpha >= 1, below it rotations may do better"
        )
    degree = degrees(matrix)
    linked = np.flatnonzero(degree)
    if linked.size == 0:
        raise UserError("G has no edge: expected at least one pair of views")
    root = np.sqrt(degree[linked])
    block = to_dense(matrix[linked][:, linked]) / np.outer(root, root)
    if X is None:
        k = validate.dimension(k, linked.size - 1, "the centred dimensions of the nodes with an edge")
        trivial = root / np.linalg.norm(root)
        # Correlations lie in [-1, 1]: the constant direction, moved to -2, is never among the largest.
        values, vectors = extremal_eigenpairs(block - 3.0 * np.outer(trivial, trivial), k, "largest")
        embedding = np.zeros((n, k))
        embedding[linked] = vectors / root[:, None]
        return Result(embedding, values, float(((1 - values) ** 2).sum()))
    array = validate.features(X, n)
    centred = array - degree @ array / degree.sum()
    basis, inverse = whitened(root[:, None] * centred[linked])
    k = validate.dimension(k, basis.shape[1], "the rank of the centred X")
    compressed = basis.T @ block @ basis
    values, rotation = extremal_eigenpairs((compressed + compressed.T) / 2, k, "largest")
    weights = inverse @ rotation
    return Result(array @ weights, values, float(((1 - values) ** 2).sum()), weights)
