"""The spectral contrastive loss's optimum: eigenvectors of the augmentation graph (HaoChen et al. 2021, Lemma
3.2).

With degrees w_x, A = w_xx' / sqrt(w_x w_x') and F_x = sqrt(w_x) f(x):

    ||A - F F^T||_F^2 = -2 E_pos[f(x)^T f(x+)] + E_neg[(f(x)^T f(x-))^2] + sum w_xx'^2 / (w_x w_x').
"""

from __future__ import annotations

import numpy as np

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.eigen import extremal_eigenpairs, to_dense
from spectral_ssl.closed_form.gram import factor_loss, scales
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import normalised_adjacency


def spectral_objective(F: Array, w: validate.Graph) -> float:
    """||A - F F^T||_F^2 at F (N, K), rows sqrt(w_x) f(x)."""
    return float(((to_dense(normalised_adjacency(validate.augmentation_weights(w))) - F @ F.T) ** 2).sum())


def spectral_contrastive_loss(f: Array, w: validate.Graph) -> float:
    """The population loss -2 E_pos[f^T f+] + E_neg[(f^T f-)^2] at f (N, K); x = x' counts in both
    expectations.
    """
    joint = to_dense(validate.augmentation_weights(w))
    joint = joint / joint.sum()
    degree, gram = joint.sum(axis=1), f @ f.T
    return float(-2 * (joint * gram).sum() + (np.outer(degree, degree) * gram**2).sum())


def spectral(w: validate.Graph, k: int) -> Result:
    """A global minimiser F (N, k) of ||A - F F^T||_F^2, rows sqrt(w_x) f(x): divide by sqrt(w_x) for f
    itself.

    w (N, N): symmetric, non-negative, every degree positive; its sum is scaled to 1. F = V_k
    (Gamma_k)_+^(1/2) of the k largest eigenpairs of A (gamma_1 = 1; lambda = 1 - gamma). `loss` is the
    factorisation's; the spectral contrastive loss is that minus sum w_xx'^2 / (w_x w_x'). Unique up to a
    right rotation, and a basis at a tie. UserError on bad w.
    """
    matrix = normalised_adjacency(validate.augmentation_weights(w))
    k = validate.dimension(k, matrix.shape[0])
    values, vectors = extremal_eigenpairs(matrix, k, "largest")
    return Result(vectors * scales(values), values, factor_loss(float((matrix * matrix).sum()), values))
