"""The augmentation graph and the population loss: the toy example, Lemmas 3.1 and 3.2, the best low-rank
factor.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import (
    Array,
    augmentation_weights,
    orthogonal,
    relation_graph,
    separated,
)
from spectral_ssl.theorems.optimise import Objective, disagreement, loss_gap, minimise


def _toy(rotation: float) -> tuple[Array, Array]:
    """w and the normalised adjacency of two images, each shown upright or rotated with this probability."""
    shown = np.array([[1 - rotation, rotation]])
    w = augmentation_graph(block_diag(shown, shown)).w
    return w, normalised_adjacency(w)


@check(
    paper="haochen2021",
    statement="toy-graph",
    kind="identity",
    title="The lightning-and-cloud graph has the printed weights",
    control="rotation with probability 1/2",
    tolerance=1e-14,
    instances=1,
)
def toy_graph(rng: np.random.Generator, instances: int) -> Outcome:
    """Two equally likely images, each rotated with probability 1/3 (section 3.1's example).

    w = [[2/9, 1/9], [1/9, 1/18]] in each image's block, degrees 1/3 and 1/6, normalised entries [[2/3,
    sqrt(2)/3], [sqrt(2)/3, 1/3]], and zero between images. Largest absolute error. The example has no free
    parameter, so there is one instance.
    """
    block = np.array([[2 / 9, 1 / 9], [1 / 9, 1 / 18]])
    normalised = np.array([[2 / 3, np.sqrt(2) / 3], [np.sqrt(2) / 3, 1 / 3]])

    def error(rotation: float) -> float:
        w, adjacency = _toy(rotation)
        return max(
            np.abs(w - block_diag(block, block)).max(),
            np.abs(w.sum(axis=1) - [1 / 3, 1 / 6, 1 / 3, 1 / 6]).max(),
            np.abs(adjacency - block_diag(normalised, normalised)).max(),
        )

    return Outcome(error(1 / 3), {"rotation 1/2": error(1 / 2)})


@check(
    paper="haochen2021",
    statement="lemma-3.1",
    kind="identity",
    title="A linear head's predictions survive positive row scaling and an invertible map",
    control="one row scaled by a negative number",
    tolerance=0.0,
    instances=200,
)
def lemma_3_1(rng: np.random.Generator, instances: int) -> Outcome:
    """argmax of diag(s) F Q (Q^-1 B) is argmax of F B, for s > 0, Q invertible, and a head without intercept.

    Lemma 3.1. Measured: share of nodes whose prediction changes, at the worst instance. The control flips the
    sign of one s_x, which reverses that node's scores.
    """
    worst, control = 0.0, 1.0
    for _ in range(instances):
        n, k, classes = rng.integers([5, 2, 2], [30, 8, 6])
        F, head = rng.standard_normal((n, k)), rng.standard_normal((k, classes))
        s = rng.uniform(0.1, 10.0, n)
        Q = orthogonal(rng, k) @ np.diag(rng.uniform(0.3, 3.0, k)) @ orthogonal(rng, k)
        flipped = s * np.where(np.arange(n) == rng.integers(n), -1.0, 1.0)
        before = (F @ head).argmax(axis=1)
        after = (s[:, None] * F @ Q @ np.linalg.solve(Q, head)).argmax(axis=1)
        negative = (flipped[:, None] * F @ Q @ np.linalg.solve(Q, head)).argmax(axis=1)
        worst = max(worst, float((before != after).mean()))
        control = min(control, float((before != negative).mean()))
    return Outcome(worst, {"one negative s_x": control})


@check(
    paper="haochen2021",
    statement="lemma-3.2",
    kind="identity",
    title="The spectral contrastive loss is a matrix factorisation up to a constant",
    control="the negative term without its square",
    tolerance=1e-12,
    instances=100,
)
def lemma_3_2(rng: np.random.Generator, instances: int) -> Outcome:
    """||A - F F^T||_F^2 = L(f) + sum w_xx'^2 / (w_x w_x'), F_x = sqrt(w_x) f(x), for any f.

    Lemma 3.2, with L(f) = -2 E_pos[f^T f+] + E_neg[(f^T f-)^2]; positives from w, negatives from w_x w_x',
    and x = x' included in both. Residual relative to the sum of the terms' sizes. The expectations are summed
    pair by pair here.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        n, k = int(rng.integers(4, 16)), int(rng.integers(1, 7))
        w = relation_graph(rng, n) + np.diag(rng.random(n))
        w /= w.sum()
        degree = w.sum(axis=1)
        f = rng.standard_normal((n, k)) * rng.uniform(0.1, 3.0)
        left = cf.spectral_objective(np.sqrt(degree)[:, None] * f, w)
        pairs = [(x, y, float(f[x] @ f[y])) for x in range(n) for y in range(n)]
        positive = -2 * sum(w[x, y] * product for x, y, product in pairs)
        negative = sum(degree[x] * degree[y] * product**2 for x, y, product in pairs)
        unsquared = sum(degree[x] * degree[y] * product for x, y, product in pairs)
        constant = float((w**2 / np.outer(degree, degree)).sum())
        size = left + abs(positive) + negative + constant
        worst = max(worst, abs(left - positive - negative - constant) / size)
        control = min(control, abs(left - positive - unsquared - constant) / size)
    return Outcome(worst, {"no square": control})


def _factor_objective(matrix: Array) -> Objective:
    def objective(F: Array) -> tuple[float, Array]:
        residual = matrix - F @ F.T
        return float((residual**2).sum()), -4 * residual @ F

    return objective


def _separated_instance(rng: np.random.Generator) -> tuple[Array, Array, int]:
    """w of a random kernel, its eigenvalues gamma, and a k with no near-tie at the cut."""
    while True:
        n, k = int(rng.integers(8, 14)), int(rng.integers(1, 5))
        w = augmentation_weights(rng, 2 * n, n)
        gamma, _ = cf.extremal_eigenpairs(normalised_adjacency(w), n, "largest")
        if separated(gamma, k):
            return w, gamma, k


@check(
    paper="haochen2021",
    statement="eckart-young",
    kind="optimum",
    title="The best rank-k factor of the augmentation graph is its top k eigenvectors",
    control="a graph with zero diagonal and k above its number of positive eigenvalues",
    tolerance=1e-6,
    instances=12,
)
def eckart_young(rng: np.random.Generator, instances: int) -> Outcome:
    """The minimum of ||A - F F^T||_F^2 over (N, k) is sum_{i > k} gamma_i^2, reached at V_k diag(sqrt(gamma))
    R.

    A = D^-1/2 w D^-1/2 of an augmentation kernel is positive semidefinite (its smallest eigenvalue is in
    `detail`), which the formula needs: with negative eigenvalues the minimum is sum gamma^2 - sum_{i <= k}
    (gamma_i)_+^2, and the control, a graph without self-loops, shows the plain formula too low. Measured: the
    larger of the loss gap (relative to ||A||^2) and the largest principal angle between closed form and the
    best of random restarts.
    """
    worst, control, gap, angle, lowest = 0.0, np.inf, 0.0, 0.0, np.inf
    for _ in range(instances):
        w, gamma, k = _separated_instance(rng)
        n, adjacency = gamma.size, normalised_adjacency(w)
        lowest = min(lowest, gamma[-1])
        best = minimise(_factor_objective(adjacency), (n, k), rng)
        result = cf.spectral(w, k)
        itself = abs(cf.spectral_objective(result.embedding, w) - result.loss) / float((gamma**2).sum())
        one_gap, one_angle = disagreement(result, best, (gamma**2).sum(), centre=False)
        one_gap = max(one_gap, itself, loss_gap(float((gamma[k:] ** 2).sum()), best, (gamma**2).sum()))
        gap, angle = max(gap, one_gap), max(angle, one_angle)

        hollow = normalised_adjacency(relation_graph(rng, n))
        gamma = np.linalg.eigvalsh(hollow)[::-1]
        beyond = int((gamma > 0).sum()) + 2
        best = minimise(_factor_objective(hollow), (n, beyond), rng, restarts=2)
        control = min(control, loss_gap(float((gamma[beyond:] ** 2).sum()), best, (gamma**2).sum()))
    worst = max(gap, angle, 0.0 if lowest > -1e-12 else -lowest)
    detail = {"loss gap": gap, "principal angle": angle, "smallest eigenvalue of A": lowest}
    return Outcome(worst, {"zero diagonal": control}, detail=detail)
