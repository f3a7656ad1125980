"""What an optimal representation is worth: the downstream least-squares error, and the rank."""

from __future__ import annotations

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph
from spectral_ssl.theorems.optimise import minimise


def _probe_residual(Z: Array, Y: Array) -> float:
    """min_W ||Z W - Y||_F^2, by least squares."""
    return float(((Z @ np.linalg.lstsq(Z, Y, rcond=1e-10)[0] - Y) ** 2).sum())


@check(
    paper="balestriero2022",
    statement="downstream",
    kind="identity",
    title="The best linear read-out misses what of Y lies outside the span of Z",
    control="a rank-deficient Z with all K of its singular vectors",
    tolerance=1e-10,
    instances=120,
)
def downstream(rng: np.random.Generator, instances: int) -> Outcome:
    """min_W ||Z W - Y||_F^2 = ||Y||^2 - ||U^T Y||^2, U the left singular vectors of Z; zero exactly when Y is
    in their span.

    U has as many columns as Z has rank. Relative to ||Y||^2, for full and deficient Z, Y outside and
    (residual expected zero) inside the span. Control: all K singular vectors of a deficient Z, the last ones
    being arbitrary.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        n, k, outputs = int(rng.integers(10, 25)), int(rng.integers(2, 7)), int(rng.integers(1, 5))
        Y = rng.standard_normal((n, outputs))
        size = float((Y**2).sum())
        for rank in (k, k - 1):
            Z = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, k))
            U = cf.span(Z, 1e-10)
            residual = _probe_residual(Z, Y)
            worst = max(worst, abs(residual - size + float(((U.T @ Y) ** 2).sum())) / size)
            inside = Z @ rng.standard_normal((k, outputs))
            worst = max(worst, _probe_residual(Z, inside) / float((inside**2).sum()))
        everything = np.linalg.svd(Z, full_matrices=False)[0]
        control = min(control, abs(residual - size + float(((everything.T @ Y) ** 2).sum())) / size)
    return Outcome(worst, {"all K columns": control})


def _rank(Z: Array) -> int:
    """Singular values above a thousandth of the largest."""
    singular = np.linalg.svd(Z, compute_uv=False)
    return int((singular > 1e-3 * singular[0]).sum())


def _graph(rng: np.random.Generator, index: int) -> Array:
    """Seven pairs first, then random graphs none of whose eigenvalues is near zero."""
    if index == 0:
        return np.asarray(views_graph(7, 2).toarray())
    while True:
        G = relation_graph(rng, int(rng.integers(7, 11)))
        if np.abs(np.linalg.eigvalsh(G)).min() > 0.02:
            return G


@check(
    paper="balestriero2022",
    statement="rank",
    kind="identity",
    title="SimCLR's rank is G's positive eigenvalues, Barlow Twins' is K, VICReg's a matter of weights",
    control="the printed rank(Z) = rank(G)",
    tolerance=0.0,
    instances=10,
)
def rank(rng: np.random.Generator, instances: int) -> Outcome:
    """SimCLR: min(K, #positive eigenvalues of G); Barlow Twins, whitened: K; VICReg: by its invariance
    weight.

    Printed: SimCLR and Barlow Twins force rank(Z) = rank(G). G has trace zero, so some eigenvalues are
    negative and Z Z^T cannot reach them: on 7 pairs the rank is 7 while rank(G) is 14. Measured: wrong ranks
    at K = N for SimCLR (the best of random restarts, Gram-matching form), at a small K for the whitened
    Barlow Twins (whitening forces it) and at two invariance weights for VICReg. Control, and printed form:
    the number of graphs on which SimCLR's rank is rank(G).
    """
    wrong, printed_right = 0, 0
    for index in range(instances):
        G = _graph(rng, index)
        n = G.shape[0]
        values = np.linalg.eigvalsh(G)
        found = _rank(minimise(gram_objective(G), (n, n), rng, restarts=2).point)
        wrong += int(found != (values > 1e-9).sum()) + int(_rank(cf.simclr(G, n).embedding) != found)
        printed_right += int(found == (np.abs(values) > 1e-9).sum())
        k = 3
        wrong += int(_rank(cf.barlow_twins(G, k).embedding) != k)
        wrong += int(_rank(cf.vicreg(G, k, invariance=1e-6).embedding) != k)
        largest = cf.vicreg(G, n - 1).eigenvalues[-1]
        collapsed = cf.vicreg(G, n - 1, invariance=1.5 / largest).embedding
        wrong += int(_rank(collapsed) == n - 1)
    misses = instances - printed_right
    return Outcome(wrong, {"rank(G)": misses}, printed=misses, detail={"graphs": instances})
