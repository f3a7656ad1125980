"""NNCLR: SimCLR's factorisation with a graph of nearest neighbours, which is directed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.neighbors import NearestNeighbors

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.theorems import real
from spectral_ssl.theorems.balestriero2022.cases import REAL, tied
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum
from spectral_ssl.theorems.families import dimension
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.optimise import minimise


def nearest(features: Array, count: int) -> Array:
    """A_ij = 1 where j is one of the `count` nearest neighbours of i (Euclidean), itself left out: directed,
    (N, N).
    """
    return np.asarray(NearestNeighbors(n_neighbors=count).fit(features).kneighbors_graph().toarray())


FAMILIES = ("Gaussian", "line", "digits", "clusters", "circle", "factors")
"""Of the points whose neighbours are looked up."""


def _points(rng: np.random.Generator, family: str, n: int) -> Array:
    """n points (n, D): on a circle, evenly (neighbours are mutual), in clusters far apart (several components), on a
    line, pixels of two views of each of n // 2 images, or Gaussian.
    """
    if family in REAL:
        return real.viewed(family, n, generator=rng)[0].reshape(n, -1)
    if family == "circle":
        angles = 2 * np.pi * np.arange(n) / n
        return np.column_stack([np.cos(angles), np.sin(angles)])
    points = rng.standard_normal((n, 1 if family == "line" else 3))
    return points + 100 * (np.arange(n) % 2)[:, None] if family == "clusters" else points


def _excess(G: Array, k: int, A: Array, least: float) -> float:
    """What the optimum for another graph G costs more on A, relative to ||A||^2."""
    return (gram_objective(A)(cf.simclr(G, k).embedding)[0] - least) / float((A**2).sum())


@check(
    paper="balestriero2022",
    statement="nnclr-mds",
    kind="optimum",
    title="NNCLR's Gram-matching optimum is Torgerson's factorisation of the neighbour graph's symmetric part",
    control="neighbours in either direction, or the graph of views",
    tolerance=1e-6,
    instances=24,
)
def nnclr_mds(rng: np.random.Generator, instances: int) -> Outcome:
    """For A_ij = 1 at i's nearest neighbours j, G = (A + A^T) / 2: min over Z (N, K) of ||A - Z Z^T||_F^2 is
    ||A||^2 - sum_{i <= K} (lambda_i)_+^2, at Z* = U_K (Lambda_K)_+^(1/2) of G's largest eigenpairs.

    NNCLR is SimCLR with a sample's positives replaced by its nearest neighbours (Balestriero & LeCun 2022;
    Dwibedi et al. 2021), hence simclr-mds with another graph. Being a neighbour is not mutual, and G is not
    yet symmetric: Z Z^T sees the symmetric part only, since ||A - Z Z^T||^2 = ||G - Z Z^T||^2 + ||(A - A^T) /
    2||^2. The graph is held fixed, as in one step of the method, which looks its neighbours up in the
    embedding anew in every step; that joint problem is not checked.

    A has 1 to 3 neighbours a row (scikit-learn's NearestNeighbors), of points by family: Gaussian, on a line, in
    clusters far apart, evenly on a circle (there neighbours are mutual and eigenvalues tie), pixels of digits and of
    factors images; K up to N. Measured: the larger of loss gap (relative to ||A||^2) and largest principal angle,
    against random restarts of three optimisers on A itself; the loss alone where the eigenvalue at the cut ties.
    Controls, as excess losses on A of Gaussian points, K = 2: the optimum for 1 in either direction; the optimum for
    the graph of two views a sample.
    """
    found, union, views = Optimum(), np.inf, np.inf
    for index in range(instances):
        family, n = FAMILIES[index % len(FAMILIES)], 2 * int(rng.integers(5, 8))
        A = nearest(_points(rng, family, n), 2 if family == "circle" else int(rng.integers(1, 4)))
        G, k, size = (A + A.T) / 2, dimension(rng, n), float((A**2).sum())
        result = cf.simclr(G, k)
        result = replace(result, loss=result.loss + float(((A - A.T) ** 2).sum()) / 4)
        best = minimise(gram_objective(A), (n, k), rng, restarts=2)
        itself = abs(gram_objective(A)(result.embedding)[0] - result.loss) / size
        ties = tied(np.linalg.eigvalsh(G)[::-1], k, 0.0)
        found.see(family, result, best, size, centre=False, tied=ties, itself=itself)
        if family == "Gaussian":
            k = 2
            least = cf.simclr(G, k).loss + float(((A - A.T) ** 2).sum()) / 4
            union = min(union, _excess(np.maximum(A, A.T), k, A, least))
            views = min(views, _excess(views_graph(n // 2, 2).toarray(), k, A, least))
    controls = {"either direction": union, "graph of views": views}
    return Outcome(found.value, controls, detail=found.detail())
