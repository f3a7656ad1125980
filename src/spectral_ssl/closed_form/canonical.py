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
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, largest_centred_adjacency_pairs
from spectral_ssl.closed_form.laplacian import FEATURE_RANK_TOLERANCE, whitened
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import degrees, normalised_adjacency
from spectral_ssl.errors import UserError


def barlow_twins_objective(Z: ArrayLike, G: validate.Graph, alpha: float = 1.0) -> float:
    """The module's objective at Z (N, K), centred by degree-weighted means and whitened here (polar factor).

    Whitening multiplies by (Z^T D Z)^(-1/2); Z of rank K after centring, else UserError. Sparse G stays so.
    """
    alpha = validate.non_negative(alpha, "alpha")
    matrix = validate.relation_graph(G)
    degree = _degrees(matrix)
    rows = validate.embedding(Z, matrix.shape[0])
    centred = rows - degree @ rows / degree.sum()
    _, singular, right = scipy.linalg.svd(np.sqrt(degree)[:, None] * centred, full_matrices=False)
    rank = int((singular > FEATURE_RANK_TOLERANCE * max(singular[0], np.finfo(float).tiny)).sum())
    if rank < rows.shape[1]:
        raise UserError(
            f"Z has rank {rank} on the linked nodes after centring: whitening {rows.shape[1]} columns needs as "
            "much; drop columns"
        )
    white = centred @ (right.T / singular) @ right
    correlation = white.T @ (matrix @ white)
    diagonal = np.diag(correlation)
    return float(((1 - diagonal) ** 2).sum() + alpha * ((correlation**2).sum() - (diagonal**2).sum()))


def barlow_twins(G: validate.Graph, k: int, alpha: float = 1.0, X: ArrayLike | None = None) -> Result:
    """A global minimiser for alpha >= 1, over whitened Z (N, k) or Z = X W with X (N, D).

    The k algebraically largest pairs of X^T G X w = rho X^T D X w, X centred by degree-weighted means (X = I
    for a free representation); the minimum is sum_k (1 - rho_k)^2. It is canonical correlation analysis
    exactly where no negative correlation exceeds rho_k in size. Nodes without an edge are in no pair: a free
    representation puts them at zero. UserError on a bad graph, alpha < 1, or k above the rank.
    """
    matrix = validate.relation_graph(G)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    validate.number(alpha, "alpha", 1.0, what="a finite number, 1 or more: below it rotations may do better")
    degree = _degrees(matrix)
    linked = np.flatnonzero(degree)
    block = matrix if linked.size == n else matrix[linked][:, linked]
    root = np.sqrt(degree[linked])
    if X is None:
        k = validate.dimension(k, linked.size - 1, "the centred dimensions of the nodes with an edge")
        values, vectors, solver = largest_centred_adjacency_pairs(block, k)
        vectors /= root[:, None]
        if linked.size == n:
            return Result(vectors, values, _loss(values), solver=solver)
        embedding = np.zeros((n, k))
        embedding[linked] = vectors
        return Result(embedding, values, _loss(values), solver=solver)
    array = validate.features(X, n)
    centred = array - degree @ array / degree.sum()
    basis, inverse = whitened(root[:, None] * centred[linked])
    k = validate.dimension(k, basis.shape[1], "the rank of the centred X")
    compressed = basis.T @ (normalised_adjacency(block) @ basis)
    values, rotation = extremal_eigenpairs((compressed + compressed.T) / 2, k, "largest")
    weights = inverse @ rotation
    return Result(array @ weights, values, _loss(values), weights)


def _degrees(matrix: validate.Matrix) -> Array:
    degree = degrees(matrix)
    if not degree.any():
        raise UserError("G has no edge: expected at least one pair of views")
    return degree


def _loss(correlations: Array) -> float:
    return float(((1 - correlations) ** 2).sum())
