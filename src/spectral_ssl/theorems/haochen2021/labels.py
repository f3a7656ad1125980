"""The linear head's size (Theorem 5.1): what a probe from finitely many labels has to regularise."""

from __future__ import annotations

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, augmentation_weights

SLACK = 1e-9
"""Share of the bound that rounding may take."""


def _head_norm(w: Array, k: int, classes: int, rng: np.random.Generator) -> tuple[float, float]:
    """||B*||_F^2 of the w-weighted least squares onto random labels, and gamma_k."""
    result = cf.spectral(w, k)
    labels = rng.integers(classes, size=len(w))
    if rng.random() < 0.5:  # labels by the sign of the last eigenvector ask for its direction most
        labels = (result.embedding[:, -1] < 0).astype(np.int64)
    targets = np.sqrt(w.sum(axis=1))[:, None] * np.eye(classes)[labels]
    head = np.linalg.lstsq(result.embedding, targets, rcond=None)[0]
    return float((head**2).sum()), float(result.eigenvalues[-1])


@check(
    paper="haochen2021",
    statement="theorem-5.1",
    kind="bound",
    title="The best linear head has squared norm at most 1 / gamma_k",
    control="a bound that does not grow as gamma_k falls, on graphs with gamma_k near 0",
    tolerance=0.0,
    instances=200,
)
def theorem_5_1(rng: np.random.Generator, instances: int) -> Outcome:
    """||B*||_F^2 <= 1 / gamma_k for the w-weighted least-squares head on a minimiser's f, any labelling of
    the nodes.

    The constant behind the number of labels in Theorem 5.1; the theorem's rates in the number of labels are
    not measured here. Proof: F = V Gamma^(1/2) gives B* = Gamma^(-1/2) V^T u, and the columns of u = sqrt(w)
    1[label = c] have squares that sum to 1. Measured: violations; `detail` has the largest share of the
    bound. Control: ||B*||^2 <= 2 instead, on graphs whose gamma_k is below 0.02; counted are the graphs that
    break it.
    """
    violations, control, share = 0, 0, 0.0
    for _ in range(instances):
        n, k = int(rng.integers(6, 14)), int(rng.integers(1, 6))
        norm, gamma = _head_norm(augmentation_weights(rng, 2 * n, n), k, 3, rng)
        violations += int(norm > (1 + SLACK) / gamma)
        share = max(share, norm * gamma)
        # Kernels close to one distribution: all eigenvalues but the first are near 0.
        p = rng.dirichlet(np.full(n, 200.0), size=2 * n)
        norm, gamma = _head_norm(augmentation_graph(p).w, k + 1, 3, rng)
        control += int(gamma < 0.02 and norm > 2)
    return Outcome(violations, {"no gamma_k": control}, detail={"largest ||B||^2 gamma_k": share})
