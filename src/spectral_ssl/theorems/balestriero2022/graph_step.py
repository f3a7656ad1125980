"""SimCLR's graph step: the softmax over an embedding's similarities as the solution of an entropic problem."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.optimise import REACHED, Best, Objective, minimise

DIRECTIONS = 20
OPTIMISED = 12
"""Instances, the first ones, that the optimisers of random starts are run on."""

MIRROR_STEPS = 60


def graph_step(Z: Array, temperature: float) -> tuple[Array, Array]:
    """Distances -CoSim (N, N), and the row-wise softmax of off-diagonal similarities over the temperature."""
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    similarity = unit @ unit.T
    logits = np.where(np.eye(len(Z), dtype=bool), -np.inf, similarity / temperature)
    return -similarity, softmax(logits, axis=1)


def _printed_step(Z: Array, temperature: float) -> Array:
    """The same with the indicator 1{i = j} in the numerator."""
    distance, _ = graph_step(Z, temperature)
    weights = np.exp(-distance / temperature)
    own = np.diag(np.diag(weights))
    return np.asarray(own / (weights - own).sum(axis=1, keepdims=True))


def _off_diagonal(matrix: Array) -> Array:
    """The entries (N, N - 1) off the diagonal."""
    n = len(matrix)
    return matrix[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def _infeasibility(P: Array) -> float:
    """The largest error of a row sum, diagonal entry, or negative entry."""
    return float(max(np.abs(P.sum(axis=1) - 1).max(), np.abs(np.diag(P)).max(), -P.min()))


def _stationarity(P: Array, distance: Array, temperature: float) -> float:
    """Distance of P from a point where d + tau log P is one number along each row, off the diagonal (KKT)."""
    multipliers = _off_diagonal(distance) + temperature * np.log(_off_diagonal(P))
    return float(np.ptp(multipliers, axis=1).max())


def _value(p: Array, d: Array, temperature: float) -> float:
    return float((p * d).sum() + temperature * (p * (np.log(p) - 1)).sum())


def _by_logits(d: Array, temperature: float) -> Objective:
    """The problem over logits (N, N - 1), every row a softmax: all feasible P of positive entries, no
    constraint left.
    """

    def at(logits: Array) -> tuple[float, Array]:
        p = softmax(logits, axis=1)
        slope = d + temperature * np.log(np.maximum(p, np.finfo(float).tiny))
        value = float((p * (slope - temperature)).sum())
        return value, p * (slope - (p * slope).sum(axis=1, keepdims=True))

    return at


def _mirror_descent(d: Array, temperature: float, rng: np.random.Generator) -> Array:
    """P (N, N - 1) by entropic mirror descent (Beck & Teboulle 2003) of half the step that would solve it at once."""
    p = rng.dirichlet(np.ones(d.shape[1]), size=len(d)) + 1e-12
    for _ in range(MIRROR_STEPS):
        p = p * np.exp(-(d + temperature * np.log(p)) / (2 * temperature))
        p /= p.sum(axis=1, keepdims=True)
    return p


def _embedding(rng: np.random.Generator, index: int) -> tuple[str, Array]:
    """Z (N, K) of each shape in turn, then one with repeated rows, and a collapsed one."""
    n = int(rng.integers(4, 10))
    shapes = {"N > K": n // 2, "N = K": n, "N < K": n + 4}
    names = [*shapes, "repeated rows", "collapsed"]
    name = names[index % len(names)]
    Z = rng.standard_normal((n, shapes.get(name, 3)))
    if name == "repeated rows":
        Z[1::2] = Z[: n // 2]
    return name, np.tile(Z[:1], (n, 1)) if name == "collapsed" else Z


@check(
    paper="balestriero2022",
    statement="simclr-graph-step",
    kind="optimum",
    title="SimCLR's softmax is the entropic graph nearest to the embedding's similarities",
    control="a softmax at twice the temperature; the indicator 1{i = j}",
    tolerance=1e-9,
    instances=60,
)
def simclr_graph_step(rng: np.random.Generator, instances: int) -> Outcome:
    """Ghat(Z), the softmax over off-diagonal cosine similarities, minimises <P, d> + tau sum P (log P - 1), d
    = -CoSim.

    Over right-stochastic P with zero diagonal, and it alone: the problem is strictly convex, so that feasibility
    and one multiplier a row (KKT) prove the unique minimum. The excluded index is i = j; the paper prints the
    indicator 1{i = j} for 1{i != j}, with which Ghat is diagonal and not stochastic (`detail`: its least
    infeasibility, which cannot be below 1/2, a diagonal
    entry d making row sum d).

    Measured: the largest of row sums' error, diagonal, KKT residual, how far any of 20 random feasible
    directions goes down, and two independent routes to the minimum: entropic mirror descent (error of P), and,
    on the first instances, three optimisers over logits from random starts (loss gap; their error of P, of the
    order of its root, is in `detail`). Z of N
    above, at and below K, with repeated rows, and collapsed to a point; tau 0.1 to 1. Controls: KKT residual of
    the softmax at 2 tau (not where all distances are equal, where tau is immaterial); the printed indicator's
    infeasibility.
    """
    worst, mirror, error, gap, control, printed = Worst(), 0.0, 0.0, 0.0, np.inf, np.inf
    starts: dict[str, list[bool]] = {}
    for index in range(instances):
        family, Z = _embedding(rng, index)
        temperature = float(rng.uniform(0.1, 1.0))
        distance, P = graph_step(Z, temperature)
        p, d = _off_diagonal(P), _off_diagonal(distance)
        worst.see(family, _infeasibility(P), _stationarity(P, distance, temperature))
        for _ in range(DIRECTIONS):
            other = rng.dirichlet(np.ones(p.shape[1]), size=len(p)) + 1e-9
            other /= other.sum(axis=1, keepdims=True)
            step = 10.0 ** rng.uniform(-4, 0)
            down = _value(p, d, temperature) - _value((1 - step) * p + step * other, d, temperature)
            worst.see(family, down)
        mirror = max(mirror, float(np.abs(_mirror_descent(d, temperature, rng) - p).max()))
        if index < OPTIMISED:
            best = minimise(_by_logits(d, temperature), p.shape, rng, restarts=1)
            gap = max(gap, abs(best.loss - _value(p, d, temperature)) / len(Z))
            error = max(error, float(np.abs(softmax(best.point, axis=1) - p).max()))
            _count(starts, best, len(Z))
        if family != "collapsed":
            halved = _stationarity(graph_step(Z, 2 * temperature)[1], distance, temperature)
            control = min(control, halved)
        printed = min(printed, _infeasibility(_printed_step(Z, temperature)))
    detail = {"error of P by mirror descent": mirror, "error of P by optimisers": error, "loss gap": gap}
    detail |= {f"reached by {name}": float(np.mean(ends)) for name, ends in starts.items()}
    detail |= worst.detail() | {"misprint: diagonal indicator": printed}
    controls = {"softmax at 2 tau": control, "diagonal indicator": printed}
    return Outcome(max(worst.value, mirror, gap), controls, detail=detail)


def _count(starts: dict[str, list[bool]], best: Best, size: float) -> None:
    for name, losses in best.losses.items():
        starts.setdefault(name, []).extend(loss - best.loss <= REACHED * size for loss in losses)
