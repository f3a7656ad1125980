"""What an optimal representation is worth: the downstream least-squares error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.cases import graphs
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.instances import Array


def _probe_residual(Z: Array, Y: Array) -> float:
    """min_W ||Z W - Y||_F^2, by least squares."""
    return float(((Z @ np.linalg.lstsq(Z, Y, rcond=1e-10)[0] - Y) ** 2).sum())


def _representations(rng: np.random.Generator, instances: int) -> Iterator[tuple[str, Array]]:
    """Random Z (N, K) of full rank and of one less, N above, at and below K, and the losses' optima by family."""
    for index, (family, G) in enumerate(graphs(rng, instances)):
        n, k = len(G), int(rng.integers(2, 7))
        shape = (k + int(rng.integers(2, 20)), k, max(1, k - 2))[index % 3]
        name = ("N > K", "N = K", "N < K")[index % 3]
        yield name, rng.standard_normal((shape, k))
        yield f"{name}, deficient", rng.standard_normal((shape, k - 1)) @ rng.standard_normal((k - 1, k))
        yield family, cf.vicreg(G, k, invariance=0.5 / G.sum(axis=1).max()).embedding
        yield family, cf.simclr(G, n).embedding  # negative eigenvalues make it deficient
        yield family, cf.barlow_twins(G, min(k, n - 1)).embedding


@check(
    paper="balestriero2022",
    statement="downstream",
    kind="identity",
    title="The best linear read-out misses what of Y lies outside the span of Z",
    control="a rank-deficient Z with all K of its singular vectors",
    tolerance=1e-10,
    instances=30,
)
def downstream(rng: np.random.Generator, instances: int) -> Outcome:
    """min_W ||Z W - Y||_F^2 = ||Y||^2 - ||U^T Y||^2, U the left singular vectors of Z; zero exactly when Y is
    in their span.

    U has as many columns as Z has rank. Relative to ||Y||^2: the identity for Y outside the span, Gaussian or one
    column a class; and for Y inside the residual itself, expected zero. Z random, of N above, at and below K, full
    and deficient, and the optimum of VICReg, of SimCLR at K = N and of Barlow Twins on graphs of all families. The
    other direction of "exactly": where Y leaves the span by a share s of its norm, the residual is s^2, which the
    identity measures (`detail`: the least residual over Y outside). Control: all K singular vectors of a deficient
    Z, the last ones being arbitrary.
    """
    worst, control, outside = Worst(), np.inf, np.inf
    for family, Z in _representations(rng, instances):
        n, k = Z.shape
        U = cf.span(Z, 1e-10)
        for Y in (rng.standard_normal((n, 3)), np.eye(3)[rng.integers(0, 3, n)]):
            size, residual = float((Y**2).sum()), _probe_residual(Z, Y)
            worst.see(family, abs(residual - size + float(((U.T @ Y) ** 2).sum())) / size)
            if U.shape[1] < n:
                outside = min(outside, residual / size)
        inside = Z @ rng.standard_normal((k, 3))
        worst.see(family, _probe_residual(Z, inside) / float((inside**2).sum()))
        if family == "N > K, deficient":
            everything = np.linalg.svd(Z, full_matrices=False)[0]
            Y = rng.standard_normal((n, 3))
            claimed = float((Y**2).sum() - ((everything.T @ Y) ** 2).sum())
            control = min(control, abs(_probe_residual(Z, Y) - claimed) / float((Y**2).sum()))
    detail = {"least residual outside": outside} | worst.detail()
    return Outcome(worst.value, {"all K columns": control}, detail=detail)
