"""The spectral contrastive loss's optimum: eigenvectors of the augmentation graph (HaoChen et al. 2021, Lemma
3.2).

With degrees w_x, A = w_xx' / sqrt(w_x w_x') and F_x = sqrt(w_x) f(x):

    ||A - F F^T||_F^2 = -2 E_pos[f(x)^T f(x+)] + E_neg[(f(x)^T f(x-))^2] + sum w_xx'^2 / (w_x w_x').
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import largest_adjacency_pairs
from spectral_ssl.closed_form.gram import factor_objective, free_factor, linear_factor
from spectral_ssl.closed_form.result import Result
from spectral_ssl.data.graph import degrees, normalised_adjacency


def spectral_objective(F: ArrayLike, w: validate.Graph) -> float:
    """||A - F F^T||_F^2 at F (N, K), rows sqrt(w_x) f(x); O(nnz K + N K^2) for sparse w."""
    matrix = normalised_adjacency(validate.augmentation_weights(w))
    return factor_objective(validate.embedding(F, matrix.shape[0]), matrix)


def spectral_contrastive_loss(f: ArrayLike, w: validate.Graph) -> float:
    """The population loss -2 E_pos[f^T f+] + E_neg[(f^T f-)^2] at f (N, K); x = x' counts in both
    expectations.
    """
    joint = validate.augmentation_weights(w)
    joint = joint / joint.sum()
    degree, points = degrees(joint), validate.embedding(f, joint.shape[0])
    if sp.issparse(joint):
        second = points.T @ (degree[:, None] * points)
        return float(-2 * (points * (joint @ points)).sum() + (second**2).sum())
    gram = points @ points.T
    return float(-2 * (joint * gram).sum() + (np.outer(degree, degree) * gram**2).sum())


def spectral(w: validate.Graph, k: int, X: ArrayLike | None = None) -> Result:
    """A global minimiser F (N, k) of ||A - F F^T||_F^2, rows sqrt(w_x) f(x): divide by sqrt(w_x) for f
    itself.

    w (N, N): symmetric, non-negative, every degree positive; its sum is scaled to 1. F = V_k
    (Gamma_k)_+^(1/2) of the k largest eigenpairs of A (gamma_1 = 1; lambda = 1 - gamma). With X (N, D) the
    network is linear, f(x) = W^T x, and F = diag(sqrt(w_x)) X W, as in `gram.linear_factor`: `weights` is W and
    X @ weights is f, not the embedding. `loss` is the factorisation's; the spectral contrastive loss is that
    minus sum w_xx'^2 / (w_x w_x'). Unique up to a right rotation, and a basis at a tie. UserError on bad w,
    bad features or k above N.
    """
    weights = validate.augmentation_weights(w)
    matrix = normalised_adjacency(weights)
    n = matrix.shape[0]
    k = validate.dimension(k, n)
    if X is not None:
        root = np.sqrt(degrees(weights) / weights.sum())[:, None]
        return linear_factor(matrix, k, root * validate.features(X, n))
    return free_factor(matrix, largest_adjacency_pairs(weights, k))
