"""SimCLR's optimum in its Gram-matching form: Torgerson's factorisation with G as the Gram matrix.

||G - Z Z^T||_F^2    (Balestriero & LeCun 2022, section 4; uncentred)
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.components import Eigenpairs
from spectral_ssl.closed_form.eigen import eigenpairs, extremal_eigenpairs
from spectral_ssl.closed_form.laplacian import whitened
from spectral_ssl.closed_form.result import Array, Result


def simclr_objective(Z: ArrayLike, G: validate.Graph) -> float:
    """||G - Z Z^T||_F^2 at Z (N, K); O(nnz K + N K^2) for sparse G."""
    matrix = validate.relation_graph(G)
    return factor_objective(validate.embedding(Z, matrix.shape[0]), matrix)


def factor_objective(F: Array, A: validate.Matrix) -> float:
    """||A - F F^T||_F^2 at F (N, K); a sparse A (N, N) stays sparse.

    The sparse form is a difference of large numbers, exact to a few roundings of ||A||_F^2.
    """
    if sp.issparse(A):
        return float(squared_norm(A) - 2 * (F * (A @ F)).sum() + ((F.T @ F) ** 2).sum())
    return float(((A - F @ F.T) ** 2).sum())


def scales(eigenvalues: Array) -> Array:
    """Column lengths of the best factor: (lambda)_+^(1/2), since Z Z^T has no negative eigenvalue."""
    return np.sqrt(np.maximum(eigenvalues, 0.0))


def factor_loss(squared_norm: float, eigenvalues: Array) -> float:
    """||A||_F^2 - sum_i (lambda_i)_+^2: what the k best positive eigenpairs leave."""
    return float(squared_norm - (np.maximum(eigenvalues, 0.0) ** 2).sum())


def squared_norm(A: validate.Matrix) -> float:
    """||A||_F^2."""
    entries = A.data if sp.issparse(A) else A.ravel()
    return float(entries @ entries)


def linear_factor(A: validate.Matrix, k: int, X: Array) -> Result:
    """A global minimiser of ||A - F F^T||_F^2 over F = X W, X (N, D) and W (D, k), for symmetric A (N, N).

    With the compact X = U S V^T: W* = V S^-1 Q (Lambda)_+^(1/2) of the k largest pairs of U^T A U =
    Q Lambda Q^T; where k exceeds the rank of X the other columns are zero with eigenvalue -inf.
    """
    basis, inverse = whitened(X)
    found = min(k, basis.shape[1])
    values = np.full(k, -np.inf)
    weights = np.zeros((X.shape[1], k))
    if found:
        compressed = basis.T @ (A @ basis)
        values[:found], rotation = extremal_eigenpairs((compressed + compressed.T) / 2, found, "largest")
        weights[:, :found] = inverse @ rotation * scales(values[:found])
    return Result(X @ weights, values, factor_loss(squared_norm(A), values), weights)


def free_factor(A: validate.Matrix, pairs: Eigenpairs) -> Result:
    """A global minimiser of ||A - F F^T||_F^2 over F (N, k), from the k largest eigenpairs of A."""
    values, vectors, solver = pairs
    vectors *= scales(values)
    return Result(vectors, values, factor_loss(squared_norm(A), values), solver=solver)


def simclr(G: validate.Graph, k: int, X: ArrayLike | None = None) -> Result:
    """A global minimiser of ||G - Z Z^T||_F^2 over Z (N, k), or over Z = X W with X (N, D).

    Free: Z* = U_k (Lambda_k)_+^(1/2) of the k algebraically largest eigenpairs of G. Linear: `linear_factor`.
    Unique up to a right rotation, and a basis at a tie. UserError on a bad graph, bad features or k above N.
    """
    matrix = validate.relation_graph(G)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    if X is not None:
        return linear_factor(matrix, k, validate.features(X, n))
    return free_factor(matrix, eigenpairs(matrix, k, "largest"))
