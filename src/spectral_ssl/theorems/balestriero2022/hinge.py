"""Laplacian eigenmaps by VICReg as it is trained: the hinge on each dimension's standard deviation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import laplacian
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, relation_graph, separated
from spectral_ssl.theorems.optimise import Objective, from_torch, loss_gap, minimise

Slack = Callable[[Array], tuple[Array, Array]]


def objective(Z: Array, G: Array, beta: float, gamma: float) -> float:
    """sum_k (1 - sqrt(Cov_kk))_+ + beta sum_{k != l} Cov_kl^2 + (gamma / N) sum_ij G_ij ||z_i - z_j||^2, n' =
    N - 1.
    """
    n = len(Z)
    covariance = np.cov(Z, rowvar=False)
    variances = np.diag(covariance)
    off = (covariance**2).sum() - (variances**2).sum()
    energy = 2 * gamma / n * np.trace(Z.T @ laplacian(G) @ Z)
    return float(np.maximum(0, 1 - np.sqrt(variances)).sum() + beta * off + energy)


def _program(G: Array, k: int, beta: float, gamma: float) -> tuple[Objective, Slack]:
    """The objective with the hinge as a variable t_k >= 1 - sqrt(Cov_kk), t >= 0, at (Z, t) flattened: the
    optimum lies on the kink, where no gradient method for the hinge itself converges.
    """
    n, matrix = len(G), laplacian(G)

    def value(point: Array) -> tuple[float, Array]:
        Z = point[: n * k].reshape(n, k)
        centred = Z - Z.mean(axis=0)
        off = centred.T @ centred / (n - 1)
        np.fill_diagonal(off, 0.0)
        energy = matrix @ Z
        total = point[n * k :].sum() + beta * (off**2).sum() + 2 * gamma / n * (Z * energy).sum()
        gradient = 4 * beta / (n - 1) * centred @ off + 4 * gamma / n * energy
        return float(total), np.concatenate([gradient.ravel(), np.ones(k)])

    def slack(point: Array) -> tuple[Array, Array]:
        Z = point[: n * k].reshape(n, k)
        centred = Z - Z.mean(axis=0)
        deviations = np.sqrt((centred**2).sum(axis=0) / (n - 1))
        slopes = np.zeros((k, n, k))
        slopes[np.arange(k), :, np.arange(k)] = (centred / ((n - 1) * deviations)).T
        return point[n * k :] - 1 + deviations, np.hstack([slopes.reshape(k, n * k), np.eye(k)])

    return value, slack


def _least_with_hinge(G: Array, k: int, beta: float, gamma: float, rng: np.random.Generator) -> float:
    """Least loss that sequential quadratic programming reaches from two random starts: close to a minimum."""
    n, losses = len(G), []
    value, slack = _program(G, k, beta, gamma)
    for _ in range(2):
        end = scipy.optimize.minimize(
            value,
            np.concatenate([rng.standard_normal(n * k), np.full(k, 0.5)]),
            jac=True,
            method="SLSQP",
            bounds=[(None, None)] * (n * k) + [(0, None)] * k,
            constraints={"type": "ineq", "fun": lambda x: slack(x)[0], "jac": lambda x: slack(x)[1]},
            options={"ftol": 1e-14, "maxiter": 300},
        )
        losses.append(objective(end.x[: n * k].reshape(n, k), G, beta, gamma))
    return min(losses)


def _unit_variance(Z: torch.Tensor) -> torch.Tensor:
    """Columns centred and scaled to variance 1, n' = N - 1."""
    return (Z - Z.mean(dim=0)) / Z.std(dim=0)


def _smooth(G: Array, beta: float, gamma: float) -> Objective:
    """The objective at Z's columns scaled to unit variance, where the hinge is zero."""
    matrix, n = torch.from_numpy(laplacian(G)), len(G)

    def loss(Z: torch.Tensor) -> torch.Tensor:
        unit = _unit_variance(Z)
        covariance = unit.T @ unit / (n - 1)
        off = covariance.square().sum() - covariance.diagonal().square().sum()
        return beta * off + 2 * gamma / n * (unit * (matrix @ unit)).sum()

    return from_torch(loss)


@check(
    paper="balestriero2022",
    statement="laplacian-eigenmaps-hinge",
    kind="optimum",
    title="VICReg with its hinge spans what Laplacian eigenmaps embed, in a basis that is not free",
    control="the eigenvectors themselves at unit variance",
    tolerance=1e-6,
    instances=5,
)
def laplacian_eigenmaps_hinge(rng: np.random.Generator, instances: int) -> Outcome:
    """Connected G, lambda_K < lambda_{K+1}, 0 < gamma <= alpha N / (4 n' lambda_K), beta >= alpha / 4: span(H
    Z*) is span(u_1 .. u_K), Cov has unit diagonal and off-diagonal entries of order gamma / beta.

    Hinge variance alpha sum_k (1 - sqrt(Cov_kk))_+, beta on the off-diagonal, alpha = 1, n' = N - 1. With e =
    2 gamma n' / N and m the mean of lambda_1 .. lambda_K, the least loss is

        e sum lambda_i - e^2 / (4 beta) sum (lambda_i - m)^2,

    where Cov has the eigenvalues 1 + e (m - lambda_i) / (2 beta): the smoother direction gets MORE variance,
    and the plain eigenvectors at unit variance, Cov = I, exceed the least loss by the second term. So the
    right rotation Q is not free, as it is under the quadratic variance: Q^T Lambda Q has a constant diagonal.

    Proof for a unit diagonal: beta (tr M^2 - K) + e tr(Lambda M), M similar to Cov and of trace K, is least
    on the K smallest eigenvectors (von Neumann) at a diagonal M, one parabola each; a rotation with unit
    diagonal exists for any such spectrum (Schur and Horn). More variance only costs energy; less costs
    alpha / 2 a unit to first order against e m <= alpha / 2 saved, whence the bound on gamma. That nothing far
    from there does better is what the restarts find.

    Measured: the largest of loss gap (over K), principal angle and error of Cov's eigenvalues at the best of
    random restarts over embeddings of unit variances, and of how far the restarts on the hinge loss itself
    get below the claim (how far they stop above it is in `detail`); gamma 0.3 to 1 of its bound. Control: the
    plain eigenvectors' excess over K.
    """
    gap, angle, spread, plain, short = 0.0, 0.0, 0.0, np.inf, 0.0
    for _ in range(instances):
        n, k = int(rng.integers(7, 9)), int(rng.integers(2, 4))
        G, values = relation_graph(rng, n), np.zeros(0)
        while not (values.size and separated(values, k)):
            G = relation_graph(rng, n)
            values = cf.vicreg(G, n - 1).eigenvalues
        values, beta = values[:k], float(rng.choice([0.5, 1.0, 2.0]))
        gamma = float(rng.uniform(0.3, 1.0)) * n / (4 * (n - 1) * values[-1])
        rate = 2 * gamma * (n - 1) / n
        below = rate**2 / (4 * beta) * float(((values - values.mean()) ** 2).sum())
        claimed = float(rate * values.sum()) - below
        best = minimise(_smooth(G, beta, gamma), (n, k), rng, restarts=3)
        unit = _unit_variance(torch.from_numpy(best.point)).numpy()
        gap = max(gap, loss_gap(claimed, best, k), abs(objective(unit, G, beta, gamma) - claimed) / k)
        hinge = (_least_with_hinge(G, k, beta, gamma, rng) - claimed) / k
        gap, short = max(gap, -hinge), max(short, hinge)

        eigenvectors = cf.vicreg(G, k, invariance=0.0).embedding
        angle = max(angle, cf.largest_angle(unit, eigenvectors, 1e-4))
        found = np.linalg.eigvalsh(np.cov(unit, rowvar=False))[::-1]
        expected = 1 + rate / (2 * beta) * (values.mean() - values)
        spread = max(spread, float(np.abs(found - expected).max()))
        plain = min(plain, (objective(eigenvectors, G, beta, gamma) - claimed) / k)
    detail = {
        "loss gap": gap,
        "principal angle": angle,
        "error of Cov's eigenvalues": spread,
        "restarts on the hinge loss stop above by": short,
    }
    return Outcome(max(gap, angle, spread), {"plain eigenvectors": plain}, detail=detail)
