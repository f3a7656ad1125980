"""NNCLR: SimCLR's factorisation with a graph of nearest neighbours, which is directed."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, separated
from spectral_ssl.theorems.optimise import minimise


def nearest(features: Array, count: int) -> Array:
    """A_ij = 1 where j is one of the `count` nearest neighbours of i (Euclidean), itself left out: directed,
    (N, N).
    """
    return np.asarray(NearestNeighbors(n_neighbors=count).fit(features).kneighbors_graph().toarray())


def _instance(rng: np.random.Generator) -> tuple[Array, int]:
    """A directed neighbour graph that is not symmetric, and a k of positive eigenvalues of its symmetric part,
    no near-tie at the cut.
    """
    while True:
        n = 2 * int(rng.integers(5, 8))
        A = nearest(rng.standard_normal((n, 3)), int(rng.integers(1, 4)))
        values = cf.simclr((A + A.T) / 2, n).eigenvalues
        k = int(rng.integers(1, (values > 0).sum() + 1))
        if (A != A.T).any() and separated(values, k) and values[k - 1] > 0.02 * values[0]:
            return A, k


@check(
    paper="balestriero2022",
    statement="nnclr-mds",
    kind="optimum",
    title="NNCLR's Gram-matching optimum is Torgerson's factorisation of the neighbour graph's symmetric part",
    control="neighbours in either direction, or the graph of views",
    tolerance=1e-6,
    instances=12,
)
def nnclr_mds(rng: np.random.Generator, instances: int) -> Outcome:
    """For A_ij = 1 at i's nearest neighbours j, G = (A + A^T) / 2: min over Z (N, K) of ||A - Z Z^T||_F^2 is
    ||A||^2 - sum_{i <= K} (lambda_i)_+^2, at Z* = U_K (Lambda_K)_+^(1/2) of G's largest eigenpairs.

    NNCLR is SimCLR with a sample's positives replaced by its nearest neighbours (Balestriero & LeCun 2022;
    Dwibedi et al. 2021), hence simclr-mds with another graph. Being a neighbour is not mutual, and G is not
    yet symmetric: Z Z^T sees the symmetric part only, since ||A - Z Z^T||^2 = ||G - Z Z^T||^2 + ||(A - A^T) /
    2||^2. The graph is held fixed, as in one step of the method, which looks its neighbours up in the
    embedding anew in every step; that joint problem is not checked.

    A has 1 to 3 neighbours a row (scikit-learn's NearestNeighbors). Measured: the larger of loss gap
    (relative to ||A||^2) and largest principal angle, against random restarts on A itself. Controls, as
    excess losses on A: the optimum for 1 in either direction; the optimum for the graph of two views a
    sample.
    """
    gap, angle, union, views = 0.0, 0.0, np.inf, np.inf
    for _ in range(instances):
        A, k = _instance(rng)
        n, G, size = len(A), (A + A.T) / 2, float((A**2).sum())
        directed = gram_objective(A)
        result = cf.simclr(G, k)
        least = result.loss + float(((A - A.T) ** 2).sum()) / 4
        best = minimise(directed, (n, k), rng)
        gap = max(gap, abs(best.loss - least) / size, abs(directed(result.embedding)[0] - least) / size)
        angle = max(angle, cf.largest_angle(result.embedding, best.point, 1e-4))

        union = min(union, (directed(cf.simclr(np.maximum(A, A.T), k).embedding)[0] - least) / size)
        pairs = views_graph(n // 2, 2).toarray()
        views = min(views, (directed(cf.simclr(pairs, k).embedding)[0] - least) / size)
    controls = {"either direction": union, "graph of views": views}
    return Outcome(max(gap, angle), controls, detail={"loss gap": gap, "principal angle": angle})
