"""Near-minimisers of the spectral loss: Theorem 4.2."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import normalised_adjacency
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import Task, tasks
from spectral_ssl.theorems.haochen2021.logits import minimiser, random_logits, task_of
from spectral_ssl.theorems.haochen2021.probe import EVALUATIONS, REAL, SLACK, errors, share
from spectral_ssl.theorems.instances import Array, augmentation_weights, orthogonal
from spectral_ssl.theorems.search import search

LEAST = 1e-6
"""Excess losses below this are rounding's, and no ratio is formed of them."""


def _near_minimiser(rng: np.random.Generator, best: Array, vectors: Array, k: int) -> Array:
    """A perturbed minimiser: noise of any size, or one leading eigenvector turned towards the next
    outside.
    """
    if rng.random() < 0.5:
        return best + rng.standard_normal(best.shape) * 10.0 ** rng.uniform(-4, 0.5)
    angle, column = rng.uniform(0, np.pi / 2), int(rng.integers(k))
    turned = best.copy()
    length = np.linalg.norm(best[:, column])
    turned[:, column] = length * (np.cos(angle) * vectors[:, column] + np.sin(angle) * vectors[:, k])
    return turned @ orthogonal(rng, k)


def _projection_defects(F: Array, vectors: Array) -> Array:
    """1 - ||P_F v||^2 for each column v, P_F the projection on the span of F."""
    basis = cf.span(F, 1e-12)
    return 1 - (np.asarray(basis.T @ vectors) ** 2).sum(axis=0)


class _Sides:
    """Both inequalities for near-minimisers F (N, k) of one task's graph, k fixed."""

    def __init__(self, task: Task, k: int) -> None:
        self.task, self.k, self.adjacency = task, k, normalised_adjacency(task.w)
        self.values, self.vectors = cf.extremal_eigenpairs(self.adjacency, len(task.w), "largest")
        self.best = minimiser(task.w, k)[0]
        self.least = float((self.values[k:] ** 2).sum())

    def excess(self, F: Array) -> float:
        """eps = ||A - F F^T||^2 less its minimum."""
        return max(float(((self.adjacency - F @ F.T) ** 2).sum()) - self.least, 0.0)

    def captured(self, F: Array) -> tuple[float, float]:
        """sum (gamma_i^2 - gamma_{k+1}^2) (1 - ||P_F v_i||^2), and eps."""
        weights = self.values[: self.k] ** 2 - self.values[self.k] ** 2
        return float(weights @ _projection_defects(F, self.vectors[:, : self.k])), self.excess(F)

    def probe(self, F: Array) -> tuple[float, float]:
        """The error per augmentation, and the least of its bounds over k' <= k."""
        gaps = self.values[: self.k] ** 2 - self.values[self.k] ** 2
        inner = 1 - self.values[1 : self.k + 1]
        usable = (gaps > SLACK) & (inner > SLACK)
        bounds = 8 * self.task.alpha / inner[usable] + 4 * self.excess(F) / gaps[usable] + self.task.alpha
        return errors(self.task, F, self.task.node_labels)[0], float(bounds.min(initial=np.inf))


def _search(rng: np.random.Generator) -> tuple[float, float]:
    """Largest ratios found: of the captured eigenspace over F, of the probe's error over kernel and F."""
    labels, k = np.repeat(np.arange(2), 6), 2
    fixed = _Sides(task_of(random_logits(rng, labels, 8), labels), k)

    def captured(F: Array) -> float:
        left, right = fixed.captured(F)
        return left / right if right > LEAST else -np.inf

    def probe(point: Array) -> float:
        one = _Sides(task_of(point[:, :8], labels), k)
        return share(*one.probe(one.best + point[:8, 8:]))

    turned = [_near_minimiser(rng, fixed.best, fixed.vectors, k) for _ in range(2)]
    starts = [
        np.hstack([random_logits(rng, labels, 8), 0.1 * rng.standard_normal((12, k))]) for _ in range(2)
    ]
    first = search(captured, turned, rng, evaluations=EVALUATIONS, step=0.1).ratio
    return first, search(probe, starts, rng, evaluations=EVALUATIONS).ratio


@check(
    paper="haochen2021",
    statement="theorem-4.2",
    kind="bound",
    title="A near-minimiser of the loss captures the leading eigenspace and probes nearly as well",
    control="a tie at the cut, with the bound's gap replaced by gamma_k^2",
    tolerance=0.0,
    instances=90,
)
def theorem_4_2(rng: np.random.Generator, instances: int) -> Outcome:
    """If ||A - F F^T||^2 <= min + eps then sum_{i <= k} (gamma_i^2 - gamma_{k+1}^2) (1 - ||P_F v_i||^2) <=
    eps.

    And the error per augmentation is <= 8 alpha / lambda_{k'+1} + 4 eps / (gamma_k'^2 - gamma_{k+1}^2) +
    alpha for every k' <= k. Theorem 4.2 with its constants worked out: the loss is at least ||A||^2 - ||P A
    P||^2 >= ||A||^2 - sum gamma_i^2 ||P v_i||^2, and the weights ||P v_i||^2 in [0, 1] sum to at most k. A is
    positive semidefinite. The probe is least squares on the span of F: sum_c ||(I - P_F) u_c||^2 is at most twice
    what is outside the top k' eigenspace (2 alpha / lambda_{k'+1}) and twice what F misses of that
    (eps / gap), and a wrong argmax costs at least 1/2.

    Measured: violations of either, over noisy minimisers and ones turned towards v_{k+1}, on graphs of every
    family of tasks; and by a search over F, then over F and the kernel of 12 images on 8 nodes. The first bound
    is attained: v_{k+1} in place of v_k makes both sides gamma_k^2 - gamma_{k+1}^2. The probe's is loose, by a
    factor of six or more here. Control: two copies of one graph, so that gamma_k = gamma_{k+1}: F with v_{k+1}
    in place of v_k has eps = 0, and "||(I - P_F) v_k||^2 <= eps / gamma_k^2" fails.
    """
    violations, control, first, second = 0, 0, Worst(), Worst()
    real: dict[str, tuple[float, float]] = {}
    for family, task in tasks(rng, instances):
        classes = int(task.labels.max()) + 1
        sides = _Sides(task, int(rng.integers(classes, min(10, len(task.w)))))
        F = _near_minimiser(rng, sides.best, sides.vectors, sides.k)
        lost, excess = sides.captured(F)
        error, bound = sides.probe(F)
        violations += int(lost > excess + SLACK) + int(share(error, bound) > 1 + SLACK)
        first.see(family, lost / excess if excess > LEAST else 0.0)
        second.see(family, share(error, bound))
        if family in REAL:
            real[family] = min(real.get(family, (np.inf, 0.0)), (bound, error))
        control += int(_tied_claim_fails(rng))
    by_search = _search(rng)
    violations += sum(int(ratio > 1 + LEAST) for ratio in by_search)
    detail = {
        "tightness": first.value,
        "tightness found by search": by_search[0],
        "tightness of the probe's bound": second.value,
        "the same found by search": by_search[1],
    }
    for family, (bound, error) in real.items():
        detail |= {f"bound on {family}": bound, f"error on {family}": error}
    probes = {f"probe, {name}": value for name, value in second.detail().items()}
    return Outcome(violations, {"tie at the cut": control}, detail=detail | first.detail() | probes)


def _tied_claim_fails(rng: np.random.Generator) -> bool:
    """Whether ||(I - P_F) v_k||^2 <= eps / gamma_k^2 fails at a tie gamma_k = gamma_{k+1}, F with v_{k+1}
    swapped in.
    """
    w = augmentation_weights(rng, 8, 5)
    double = block_diag(w, w) / 2
    values, vectors = cf.extremal_eigenpairs(normalised_adjacency(double), 4, "largest")
    k = int(rng.choice([1, 3]))
    columns = [*range(k - 1), k]
    F = vectors[:, columns] * np.sqrt(values[columns])
    excess = max(cf.spectral_objective(F, double) - cf.spectral(double, k).loss, 0.0)
    return bool(_projection_defects(F, vectors[:, [k - 1]])[0] > excess / values[k - 1] ** 2 + SLACK)
