"""Optima of the three losses on one graph, in closed form beside embeddings found by descent: the paper's synthetic
setting of N = 256 samples and K = 32 dimensions on a graph of our own, and VICReg's staircase on real images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form.eigen import to_dense
from spectral_ssl.closed_form.result import Array, Result
from spectral_ssl.data.graph import connected_components, degrees
from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.data.sources import load
from spectral_ssl.losses.graph.edges import relation_edges
from spectral_ssl.losses.graph.gram import gram
from spectral_ssl.losses.graph.vicreg import vicreg
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.stages.views import subset

SAMPLES, DIMENSION = 256, 32  # of the paper's Figures 4 and 5, as far as they are known
NEIGHBOURS = 6
DIMENSIONS = (1, 2, 4, 8, 16, 24, 32, 48, 64)
DESCENDED = (8, DIMENSION)  # of which descent is tried
STEPS = (5, 10, 20, 40, 80, 160, 320)  # of L-BFGS
IMAGE_NEIGHBOURS, STAIRS, LANDING = 5, 7, 32  # K of VICReg's staircase, and of what has none
ROUNDING = 1e-13  # of a loss: gaps below it are its own
VANISHED = 1e-2
"""A singular value of HZ / sqrt(n') below this is a direction that descent has given up: what is left of one after
some hundred steps is far below, and one that survives far above, halfway between two thresholds.
"""


Path = list[tuple[float, Array]]
"""Loss and point after each of so many steps."""


class Problem(NamedTuple):
    """A loss of embeddings of one graph: `loss` of Z (N, K), and `closed`, its minimiser, which share no code.

    `spectrum`: what each of K dimensions holds, descending: singular values of HZ / sqrt(n') (VICReg) or of Z
    (SimCLR), correlations of the whitened Z (Barlow Twins). `size`: what the loss, and gaps, are relative to. `start`:
    the deviation of a random start.
    """

    name: str
    closed: Callable[[int], Result]
    loss: Callable[[Tensor], Tensor]
    spectrum: Callable[[Array], Array]
    size: Callable[[int], float]
    start: float


def problems(graph: Any, invariance: float) -> list[Problem]:
    """VICReg with the quadratic variance (n' = N - 1), SimCLR's Gram form, and Barlow Twins whitened (alpha = 1)."""
    edges = relation_edges(graph)
    n, squared = edges.nodes, float(edges.weights.square().sum())
    degree = torch.from_numpy(degrees(graph))
    joined = torch.from_numpy(to_dense(graph))

    def whiten(z: Tensor) -> Tensor:
        centred = z - degree @ z / degree.sum()
        lower = torch.linalg.cholesky(centred.T @ (degree[:, None] * centred))
        return torch.linalg.solve_triangular(lower, centred.T, upper=False).T

    def correlation(z: Tensor) -> Tensor:
        white = whiten(z)
        return white.T @ (joined @ white)

    def correlations(z: Array) -> Array:
        return np.asarray(
            np.linalg.eigvalsh(correlation(torch.from_numpy(z)).numpy())[::-1], dtype=np.float64
        )

    def singular(z: Array) -> Array:
        return np.asarray(np.linalg.svd(z, compute_uv=False), dtype=np.float64)

    return [
        Problem(
            "VICReg",
            lambda k: cf.vicreg(graph, k, 1.0, invariance),
            lambda z: vicreg(z, edges, invariance=invariance, variance_kind="quadratic").total,
            lambda z: singular((z - z.mean(axis=0)) / np.sqrt(n - 1)),
            float,
            1.0,
        ),
        Problem(
            "SimCLR (Gram form)",
            lambda k: cf.simclr(graph, k),
            lambda z: gram(z, edges).total,
            singular,
            lambda k: squared,
            0.3,
        ),
        Problem(
            "Barlow Twins (whitened)",
            lambda k: cf.barlow_twins(graph, k),
            lambda z: (correlation(z) - torch.eye(z.shape[1], dtype=z.dtype)).square().sum(),
            correlations,
            float,
            1.0,
        ),
    ]


def descend(loss: Callable[[Tensor], Tensor], start: Array, checkpoints: tuple[int, ...]) -> Path:
    """Loss and point after each of so many steps of L-BFGS (ascending) from `start` (N, K); fewer where it ends."""
    shape, found = start.shape, []

    def at(flat: Array) -> tuple[float, Array]:
        z = torch.from_numpy(flat.reshape(shape).copy()).requires_grad_()
        value = loss(z)
        (gradient,) = torch.autograd.grad(value, z)
        return float(value.detach()), gradient.numpy().ravel()

    path: list[Array] = []
    scipy.optimize.minimize(
        at,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=lambda point: path.append(point.copy()),
        options={
            "maxiter": checkpoints[-1],
            "maxfun": 3 * checkpoints[-1],
            "ftol": 0.0,
            "gtol": 1e-10,
            "maxcor": 20,
        },
    )
    for steps in checkpoints:
        point = path[min(steps, len(path)) - 1]
        found.append((at(point)[0], point.reshape(shape)))
    return found


def synthetic(inputs: Inputs) -> Table:
    """Points scattered in a square, joined to their nearest: the three optima at several K, and descent towards them.

    The tidy table has a row a measurement, `closed` and `descent` its two values: the `loss` at each K; at K = 32 the
    `spectrum` and the `eigenvalue` of each dimension (`index`), and the `gap` to the least loss after so many steps
    (`index`).
    """
    rng = np.random.default_rng(0)
    graph = neighbours_graph(rng.uniform(size=(SAMPLES, 2)), NEIGHBOURS)
    values = cf.vicreg(graph, DIMENSION).eigenvalues
    half = DIMENSION // 2
    invariance = float(SAMPLES / (SAMPLES - 1) / np.sqrt(values[half - 1] * values[half]))
    rows, shown = [], []
    for problem in problems(graph, invariance):
        for k in DIMENSIONS:
            exact = problem.closed(k)
            rows.append(_row(problem, k, "loss", k, closed=exact.loss / problem.size(k)))
            if k in DESCENDED:
                start = problem.start * rng.standard_normal((SAMPLES, k))
                path = descend(problem.loss, start, STEPS)
                rows += _descent(problem, k, exact, path)
                shown.append(_compared(problem, k, exact, path))
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def _row(problem: Problem, k: int, what: str, index: int, **values: float) -> dict[str, Any]:
    return {"method": problem.name, "k": k, "what": what, "index": index} | values


def _descent(problem: Problem, k: int, exact: Result, path: Path) -> list[dict[str, Any]]:
    """Descent's loss, what is left of it at each number of steps and, at the paper's K, its spectrum."""
    size = problem.size(k)
    rows = [_row(problem, k, "loss", k, descent=path[-1][0] / size)]
    if k != DIMENSION:
        return rows
    for steps, (loss, _) in zip(STEPS, path, strict=True):
        rows.append(_row(problem, k, "gap", steps, descent=max((loss - exact.loss) / size, ROUNDING)))
    spectra = problem.spectrum(exact.embedding), problem.spectrum(path[-1][1])
    for i, (closed, descent, eigenvalue) in enumerate(zip(*spectra, exact.eigenvalues, strict=True), start=1):
        rows.append(_row(problem, k, "spectrum", i, closed=closed, descent=descent))
        rows.append(_row(problem, k, "eigenvalue", i, closed=eigenvalue))
    return rows


def _compared(problem: Problem, k: int, exact: Result, path: Path) -> dict[str, Any]:
    loss, point = path[-1]
    size, gap = problem.size(k), (loss - exact.loss) / problem.size(k)
    angle = cf.largest_angle(_centred(problem, exact.embedding), _centred(problem, point), VANISHED)
    return {
        "loss": problem.name,
        "K": k,
        "rank of the optimum": _rank(problem.spectrum(exact.embedding)),
        "rank found": _rank(problem.spectrum(point)),
        "least loss": f"{exact.loss / size:.6f}",
        "found above it": f"{gap:.0e}" if abs(gap) > ROUNDING else f"below {ROUNDING:.0e}",
        "angle of the subspaces (rad)": f"{angle:.0e}",
    }


def _centred(problem: Problem, z: Array) -> Array:
    """Embeddings less what the loss does not see: the mean, for the losses that centre."""
    return z if problem.name.startswith("SimCLR") else z - z.mean(axis=0)


def _rank(spectrum: Array) -> int:
    return int((spectrum > VANISHED).sum())


def staircase(inputs: Inputs) -> Table:
    """Singular values of the optima on the tier's images joined to their nearest: VICReg's fall as gamma grows.

    c_k = max(0, 1 - gamma n' lambda_k / (alpha N)) of the smallest STAIRS eigenvalues; beside it SimCLR's and Barlow
    Twins', which no weight changes. The tidy table has a row a singular value: of VICReg at each gamma, by the closed
    form on a fine grid and by descent halfway between two thresholds; `rank` is the number above zero.
    """
    tier, rng = inputs.context.tier, np.random.default_rng(0)
    dataset = load(inputs.context.layout.data(tier.data.slug))
    index = subset(dataset, tier.views.images)
    pixels = np.asarray(dataset.train_images[index], dtype=np.float64).reshape(len(index), -1)
    graph = neighbours_graph(pixels, min(IMAGE_NEIGHBOURS, len(index) - 1))
    n = len(index)
    k = min(max(STAIRS, connected_components(graph)[0] + 1), n - 1)  # with two thresholds or more
    values = cf.vicreg(graph, k).eigenvalues
    thresholds = n / ((n - 1) * values[values > 1e-9])
    ends = np.array([thresholds[-1] / 4, *thresholds[::-1], 4 * thresholds[0]])
    halfway = np.sqrt(ends[:-1] * ends[1:])
    rows: list[dict[str, Any]] = []
    for gamma in np.unique(np.concatenate([np.geomspace(ends[0], ends[-1], 60), thresholds])):
        lengths = np.sqrt(np.maximum(0, 1 - gamma * (n - 1) / n * values[:k]))
        rows += _rows("VICReg", "closed form", lengths, gamma=gamma, rank=int((lengths > 0).sum()))
    shown = []
    for gamma in halfway:
        vicreg_problem, *others = problems(graph, float(gamma))
        expected = vicreg_problem.spectrum(vicreg_problem.closed(k).embedding)
        found = vicreg_problem.spectrum(_found(vicreg_problem, n, k, rng))
        rows += _rows("VICReg", "descent", found, gamma=gamma, rank=_rank(found))
        shown.append(_words(f"VICReg, gamma = {gamma:.3g}", expected, found))
    wide = max(k, min(LANDING, n - 2))
    for problem in others:
        expected = problem.spectrum(problem.closed(wide).embedding)
        found = problem.spectrum(_found(problem, n, wide, rng))
        for source, spectrum in (("closed form", expected), ("descent", found)):
            rows += _rows(problem.name, source, spectrum, rank=_rank(spectrum))
        shown.append(_words(problem.name, expected, found))
    return Table(pd.DataFrame(rows).assign(samples=n), pd.DataFrame(shown))


def _found(problem: Problem, n: int, k: int, rng: np.random.Generator) -> Array:
    start = problem.start * rng.standard_normal((n, k))
    return descend(problem.loss, start, STEPS)[-1][1]


def _rows(method: str, source: str, spectrum: NDArray[np.float64], **common: Any) -> list[dict[str, Any]]:
    return [
        {"method": method, "source": source, "index": i + 1, "value": value} | common
        for i, value in enumerate(spectrum)
    ]


def _words(name: str, expected: Array, found: Array) -> dict[str, Any]:
    return {
        "loss": name,
        "predicted rank": _rank(expected),
        "rank found": _rank(found),
        "largest value": f"{expected[0]:.4f}",
        "largest found": f"{found[0]:.4f}",
        "least value": f"{expected[-1]:.4f}",
        "least found": f"{found[-1]:.4f}",
        "largest difference": f"{np.abs(expected - found).max():.0e}",
    }
