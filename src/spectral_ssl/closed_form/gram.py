"""SimCLR's optimum in its Gram-matching form: Torgerson's factorisation with G as the Gram matrix.

||G - Z Z^T||_F^2    (Balestriero & LeCun 2022, section 4; uncentred)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, to_dense
from spectral_ssl.closed_form.laplacian import whitened
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import check_relation_graph


def simclr_objective(Z: Array, G: validate.Graph) -> float:
    """||G - Z Z^T||_F^2 at Z (N, K)."""
    return float(((to_dense(check_relation_graph(G)) - Z @ Z.T) ** 2).sum())


def scales(eigenvalues: Array) -> Array:
    """Column lengths of the best factor: (lambda)_+^(1/2), since Z Z^T has no negative eigenvalue."""
    return np.sqrt(np.maximum(eigenvalues, 0.0))


def factor_loss(squared_norm: float, eigenvalues: Array) -> float:
    """||A||_F^2 - sum_i (lambda_i)_+^2: what the k best positive eigenpairs leave."""
    return float(squared_norm - (np.maximum(eigenvalues, 0.0) ** 2).sum())


def simclr(G: validate.Graph, k: int, X: ArrayLike | None = None) -> Result:
    """A global minimiser of ||G - Z Z^T||_F^2 over Z (N, k), or over Z = X W with X (N, D).

    Free: Z* = U_k (Lambda_k)_+^(1/2) of the k algebraically largest eigenpairs of G. Linear, with the compact
    X = U S V^T: W* = V S^-1 Q (Lambda)_+^(1/2) of the k largest pairs of U^T G U = Q Lambda Q^T; where k
    exceeds the rank of X the other columns are zero with eigenvalue -inf. Unique up to a right rotation.
    UserError on a bad graph.
    """
    matrix = check_relation_graph(G)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    squared_norm = float((matrix * matrix).sum())
    if X is None:
        values, vectors = extremal_eigenpairs(matrix, k, "largest")
        return Result(vectors * scales(values), values, factor_loss(squared_norm, values))
    array = validate.features(X, n)
    basis, inverse = whitened(array)
    found = min(k, basis.shape[1])
    values = np.full(k, -np.inf)
    weights = np.zeros((array.shape[1], k))
    if found:
        compressed = basis.T @ (matrix @ basis)
        values[:found], rotation = extremal_eigenpairs((compressed + compressed.T) / 2, found, "largest")
        weights[:, :found] = inverse @ rotation * scales(values[:found])
    return Result(array @ weights, values, factor_loss(squared_norm, values), weights)
