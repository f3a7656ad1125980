"""The augmentation graph and the population loss: the toy example, Lemmas 3.1 and 3.2, the best low-rank
factor.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.sparse import csr_array

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.families import dimension, relation_graphs, tasks
from spectral_ssl.theorems.instances import Array, orthogonal, separated
from spectral_ssl.theorems.optimise import RESTARTS, Objective, loss_gap, minimise


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
    instances=90,
)
def lemma_3_1(rng: np.random.Generator, instances: int) -> Outcome:
    """argmax of diag(s) F Q (Q^-1 B) is argmax of F B, for s > 0, Q invertible, and a head without intercept.

    Lemma 3.1. F (N, k) Gaussian with N below, equal to and above k, and the minimisers of every family of
    tasks. Measured: share of nodes whose prediction changes, at the worst instance. The control flips the sign
    of one s_x, which reverses that node's scores.
    """
    worst, control = Worst(), 1.0
    graphs = tasks(rng, instances)
    for index, (family, task) in enumerate(graphs):
        k, classes = (int(size) for size in rng.integers([2, 2], [8, 6]))
        shape, n = list(_shapes(rng, k).items())[index % 3]
        minimal = cf.spectral(task.w, min(k, int(task.labels.max()) + 1)).embedding
        for name, F in ((shape, rng.standard_normal((n, k))), (family, minimal)):
            nodes, width = int(F.shape[0]), int(F.shape[1])
            head, s = rng.standard_normal((width, classes)), rng.uniform(0.1, 10.0, nodes)
            Q = orthogonal(rng, width) @ np.diag(rng.uniform(0.3, 3.0, width)) @ orthogonal(rng, width)
            before = _clear(F @ head)
            clear = np.flatnonzero(before >= 0)
            flipped = s * np.where(np.arange(nodes) == rng.choice(clear), -1.0, 1.0)
            after = (s[:, None] * F @ Q @ np.linalg.solve(Q, head)).argmax(axis=1)
            negative = (flipped[:, None] * F @ Q @ np.linalg.solve(Q, head)).argmax(axis=1)
            worst.see(name, float(((before != after) & (before >= 0)).mean()))
            control = min(control, float(((before != negative) & (before >= 0)).mean()))
    return Outcome(worst.value, {"one negative s_x": control}, detail=worst.detail())


def _shapes(rng: np.random.Generator, k: int) -> dict[str, int]:
    """Numbers of rows below, equal to and above k."""
    return {"N < K": int(rng.integers(1, k)), "N = K": k, "N > K": int(rng.integers(k + 1, 30))}


def _clear(scores: Array) -> NDArray[np.int64]:
    """Predictions (N,), -1 where rounding could choose between the two highest scores."""
    ordered = np.sort(scores, axis=1)
    return np.where(ordered[:, -1] - ordered[:, -2] > 1e-9 * np.abs(scores).max(), scores.argmax(axis=1), -1)


@check(
    paper="haochen2021",
    statement="lemma-3.2",
    kind="identity",
    title="The spectral contrastive loss is a matrix factorisation up to a constant",
    control="the negative term without its square; x = x' left out of the negatives",
    tolerance=1e-12,
    instances=60,
)
def lemma_3_2(rng: np.random.Generator, instances: int) -> Outcome:
    """||A - F F^T||_F^2 = L(f) + sum w_xx'^2 / (w_x w_x'), F_x = sqrt(w_x) f(x), for any f.

    Lemma 3.2, with L(f) = -2 E_pos[f^T f+] + E_neg[(f^T f-)^2]; positives from w, negatives from w_x w_x',
    and x = x' included in both. Any symmetric non-negative w of sum 1 and positive degrees will do: relation
    graphs of every family with random self-loops, k below, equal to and above N. Residual relative to the
    sum of the terms' sizes. The expectations are summed pair by pair here.

    Two readings of the loss that circulate are compared in `detail`: the negatives' products without their
    square (least residual), and embeddings scaled to the sphere of radius sqrt(mu), as the text has it, where
    the authors' code clips them to the ball of that radius (the sampled loss differs by so much, at its largest,
    on Gaussian embeddings, mu = 1).
    """
    worst, unsquared, distinct, sphere = Worst(), np.inf, np.inf, 0.0
    for index, (family, G) in enumerate(relation_graphs(rng, instances, (4, 13))):
        n = len(G)
        k = (int(rng.integers(1, n)), n, n + int(rng.integers(1, 4)))[index % 3]
        w = G / G.max() + np.diag(rng.random(n))
        w /= w.sum()
        degree = w.sum(axis=1)
        f = rng.standard_normal((n, k)) * rng.uniform(0.1, 3.0)
        left = cf.spectral_objective(np.sqrt(degree)[:, None] * f, w)
        pairs = [(x, y, float(f[x] @ f[y])) for x in range(n) for y in range(n)]
        positive = -2 * sum(w[x, y] * product for x, y, product in pairs)
        negative = sum(degree[x] * degree[y] * product**2 for x, y, product in pairs)
        plain = sum(degree[x] * degree[y] * product for x, y, product in pairs)
        itself = sum(degree[x] ** 2 * product**2 for x, y, product in pairs if x == y)
        constant = float((w**2 / np.outer(degree, degree)).sum())
        size = left + abs(positive) + negative + constant
        worst.see(family, abs(left - positive - negative - constant) / size)
        for graph in (3 * w, csr_array(3 * w)):  # the library normalises w
            library = cf.spectral_contrastive_loss(f, graph)
            worst.see(family, abs(library - positive - negative) / size)
        unsquared = min(unsquared, abs(left - positive - plain - constant) / size)
        distinct = min(distinct, abs(left - positive - (negative - itself) - constant) / size)
        sphere = max(sphere, _sphere_or_ball(f))
    detail = {"misprint: no square": unsquared, "misprint: sphere for ball": sphere}
    controls = {"no square": unsquared, "x = x' left out": distinct}
    return Outcome(worst.value, controls, detail=detail | worst.detail())


def _sphere_or_ball(f: Array) -> float:
    """|difference| of the sampled loss between both projections, the views being f (N, k) and itself."""
    views, loss = torch.from_numpy(f), get_loss("spectral")
    sphere, ball = (float(loss(views, views, projection=name).total) for name in ("sphere", "ball"))
    return abs(sphere - ball)


def _factor_objective(matrix: Array) -> Objective:
    def objective(F: Array) -> tuple[float, Array]:
        residual = matrix - F @ F.T
        return float((residual**2).sum()), -4 * residual @ F

    return objective


def _linear_gap(w: Array, adjacency: Array, k: int, rng: np.random.Generator) -> float:
    """|claimed - found| for f = X W, X of four random features; w need not sum to 1, and the features' size is free."""
    k = min(k, 4)
    X = rng.standard_normal((len(w), 4)) * 10.0 ** rng.uniform(-3, 3)
    degree = w.sum(axis=1)
    rows = cf.span(np.sqrt(degree)[:, None] * X, 1e-10)
    inside = _factor_objective(rows.T @ adjacency @ rows)
    outside = float((adjacency**2).sum() - ((rows.T @ adjacency @ rows) ** 2).sum())
    best = minimise(inside, (rows.shape[1], k), rng, restarts=1)
    result = cf.spectral(3 * w, k, X=X)
    assert result.weights is not None
    embedded = np.sqrt(degree / degree.sum())[:, None] * (X @ result.weights)
    at = abs(cf.spectral_objective(embedded, w) - result.loss)
    return max(abs(best.loss + outside - result.loss), at)


@check(
    paper="haochen2021",
    statement="eckart-young",
    kind="optimum",
    title="The best rank-k factor of the augmentation graph is its top k eigenvectors",
    control="a graph with zero diagonal and k above its number of positive eigenvalues",
    tolerance=1e-6,
    instances=18,
)
def eckart_young(rng: np.random.Generator, instances: int) -> Outcome:
    """The minimum of ||A - F F^T||_F^2 over (N, k) is sum_{i > k} gamma_i^2, reached at V_k diag(sqrt(gamma))
    R.

    A = D^-1/2 w D^-1/2 of an augmentation kernel is positive semidefinite (its smallest eigenvalue is in
    `detail`), which the formula needs: with negative eigenvalues the minimum is sum gamma^2 - sum_{i <= k}
    (gamma_i)_+^2, and the control, relation graphs without self-loops, shows the plain formula too low. Graphs
    of every family of tasks, k below N and, one time in six, N. Measured: the larger of the loss gap (relative to
    ||A||^2) and the largest principal angle between closed form and the best of random restarts of three
    optimisers; the angle only where gamma_k is apart from gamma_{k+1}. The least loss of linear f = X W, that of
    A compressed to the range of D^1/2 X, is compared with optimisers too.
    """
    found, control, lowest = Optimum(), np.inf, np.inf
    for index, (family, task) in enumerate(tasks(rng, instances)):
        n, adjacency = len(task.w), normalised_adjacency(task.w)
        gamma = cf.extremal_eigenpairs(adjacency, n, "largest")[0]
        k, total = (n if n < 30 and index % 6 == 1 else dimension(rng, min(n, 9))), float((gamma**2).sum())
        lowest = min(lowest, gamma[-1])
        best = minimise(_factor_objective(adjacency), (n, k), rng, restarts=RESTARTS if n < 30 else 2)
        result = cf.spectral(task.w, k)
        values = [cf.spectral_objective(result.embedding, w) for w in (task.w, csr_array(task.w))]
        itself = max(abs(value - result.loss) for value in values) / total
        formula = loss_gap(float((gamma[k:] ** 2).sum()), best, total)
        tied = k == n or not separated(gamma, k)
        itself = max(itself, formula, _linear_gap(task.w, adjacency, k, rng) / total)
        found.see(family, result, best, total, centre=False, tied=tied, itself=itself)

    for _, G in relation_graphs(rng, min(instances, 4)):
        hollow = normalised_adjacency(G)
        gamma = np.linalg.eigvalsh(hollow)[::-1]
        beyond = int((gamma > 0).sum()) + 2
        best = minimise(_factor_objective(hollow), (len(G), beyond), rng, restarts=2)
        control = min(control, loss_gap(float((gamma[beyond:] ** 2).sum()), best, (gamma**2).sum()))
    worst = max(found.value, 0.0 if lowest > -1e-12 else -lowest)
    detail = found.detail() | {"smallest eigenvalue of A": lowest}
    return Outcome(worst, {"zero diagonal": control}, detail=detail)
