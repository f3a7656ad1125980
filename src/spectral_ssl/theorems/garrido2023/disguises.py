"""Named losses that are L_c or L_nc, or lie between bounds of one of them (Proposition 3.2)."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive
from spectral_ssl.losses.tcr import coding_rate
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.garrido2023.bounds import Bounds, ratio, unit
from spectral_ssl.theorems.garrido2023.criteria import contrastive, fourth_powers, non_contrastive
from spectral_ssl.theorems.garrido2023.embeddings import embeddings, tight_frame
from spectral_ssl.theorems.instances import Array, orthogonal, unit_columns

VARIANTS = ("sq", "abs")

TEMPERATURES = (0.2, 1.0)
"""Of the searches for a violation."""


def term(loss: str, name: str, z1: Array, z2: Array, **hyperparameters: float | str | bool) -> float:
    """One weighted term of a library loss at two views (N, K)."""
    return float(get_loss(loss)(torch.from_numpy(z1), torch.from_numpy(z2), **hyperparameters)[name])


def excess(loss: str, z: Tensor, temperature: float) -> Tensor:
    """R - N log(N - 1), R the summed repulsion of unit embeddings z (N, K), negatives of the sample's own view.

    0 where all similarities vanish.
    """
    mean = get_loss(loss)(z, z, temperature=temperature, negatives="same_view")["repulsion"]
    return len(z) * (mean - math.log(len(z) - 1))


def rate_gap(matrix: Tensor, c: float) -> Tensor:
    """(1/2) [log det diag A - log det A], A = I + c K K^T, by the library's coding rate."""
    m, n = matrix.shape
    return 0.5 * torch.log1p(c * matrix.square().sum(dim=1)).sum() - coding_rate(matrix.T, m / (n * c))


def sample_sides(matrix: Tensor, variant: str, temperature: float) -> dict[str, Tensor]:
    """Ratios of the bounds on DCL's and SimCLR's "sq" or "abs" variants, at columns scaled to norm 1."""
    z, n = unit(matrix, 0).T, matrix.shape[1]
    l_c, growth = sample_contrastive(z), math.expm1(1 / temperature)
    lower = l_c / (temperature * (n - 1))
    upper = growth * (l_c / (n - 1) if variant == "sq" else (n * l_c / (n - 1)).sqrt())
    dcl, simclr = (excess(f"{name}_{variant}", z, temperature) for name in ("dcl", "simclr"))
    size = n * math.log(n) + n / temperature
    most = n * math.log1p(math.exp(1 / temperature) / (n - 1))
    return {
        f"DCL-{variant}, lower": ratio(lower, dcl, size),
        f"DCL-{variant}, upper": ratio(dcl, upper, size + upper),
        f"SimCLR-{variant}, lower": ratio(dcl, simclr, size),
        f"SimCLR-{variant}, upper": ratio(simclr, dcl + most, size),
    }


def rate_sides(matrix: Tensor, c: float) -> dict[str, Tensor]:
    """Ratios of the bounds on the total coding rate's gap, at columns scaled to norm 1."""
    columns = unit(matrix, 0)
    gap, l_nc = rate_gap(columns, c), dimension_contrastive(columns.T)
    largest = 1 + c * torch.linalg.matrix_norm(columns, 2) ** 2
    lower, upper, size = c**2 * l_nc / (4 * largest**2), c**2 * l_nc / 4, 1 + c * matrix.shape[1]
    return {"TCR, lower": ratio(lower, gap, size), "TCR, upper": ratio(gap, upper, size + upper)}


def _error(found: float, expected: float, diagonal: float) -> float:
    """Relative to the two and to the diagonal that they leave out, which they may be nothing beside."""
    return abs(found - expected) / (abs(found) + abs(expected) + diagonal)


def exact_errors(z: Array, other: Array) -> dict[str, float]:
    """Relative residuals of the losses that ARE a criterion, at two views (N, K)."""
    n, k = z.shape
    units, others, centred = unit_columns(z), unit_columns(other), (z - z.mean(axis=0)).T
    cross = (units.T @ others)[~np.eye(k, dtype=bool)]
    spectral = term("spectral", "repulsion", z, z, projection="none", mu=1.0)
    same = term("barlow_twins", "redundancy", z, z, lambda_=1.0, center=False)
    twins = term("barlow_twins", "redundancy", z, other, lambda_=1.0, center=False)
    vicreg = (n - 1) ** 2 * term("vicreg", "covariance", z, z, covariance=0.5, reduction="sum")
    return {
        "spectral": _error(n * (n - 1) * spectral, contrastive(z.T), fourth_powers(z.T, 0)),
        "Barlow Twins, K' = K": _error(same, non_contrastive(units.T), k),
        "Barlow Twins": _error(twins, float((cross**2).sum()), k),
        "VICReg": _error(vicreg, non_contrastive(centred), fourth_powers(centred, 1)),
    }


def misprints(rng: np.random.Generator) -> dict[str, float]:
    """What the misprinted forms are off by, relative, at two correlated Gaussian views (9, 4) with a mean."""
    n, k = 9, 4
    z = rng.standard_normal((n, k)) + rng.standard_normal(k)
    other, centred = z + rng.standard_normal((n, k)), (z - z.mean(axis=0)).T
    correlation = unit_columns(z).T @ unit_columns(other)
    twins = term("barlow_twins", "redundancy", z, other, lambda_=1.0, center=False)
    vicreg = term("vicreg", "covariance", z, z, covariance=0.5, reduction="sum")
    squares = np.cov(z, rowvar=False) ** 2
    return {
        "Barlow Twins' off-diagonal C_kk": _error(
            twins, (k - 1) * float((np.diag(correlation) ** 2).sum()), 0
        ),
        "VICReg's covariance over one index": _error(vicreg, float(squares[0, 1:].sum()), 0),
        "Cov^2 as L_nc": _error(vicreg, non_contrastive(z.T), 0),
        "Cov^2 as L_nc, no centring": _error((n - 1) ** 2 * vicreg, non_contrastive(z.T), 0),
        "Cov^2 as L_nc, no (N - 1)^2": _error(vicreg, non_contrastive(centred), 0),
    }


@check(
    paper="garrido2023",
    statement="proposition-3.2",
    kind="bound",
    title="Each repulsion is L_c or L_nc, or is bounded by one of them on both sides",
    control="the other criterion for each side; VICReg's covariance equated with L_nc",
    tolerance=0.0,
    instances=90,
)
def proposition_3_2(rng: np.random.Generator, instances: int) -> Outcome:
    """What can be proved of Proposition 3.2, s = K^T K, R the summed repulsion, same-view negatives.

    Exactly: the spectral loss's repulsion is L_c / (N (N - 1)); Barlow Twins' off-diagonal is ||off(K
    K'^T)||^2 of unit rows, L_nc where K' = K; VICReg's covariance term is L_nc(K centred) / (N - 1)^2, not
    L_nc. For unit columns: DCL-sq, L_c / (tau (N - 1)) <= R - N log(N - 1) <= (e^(1/tau) - 1) L_c / (N - 1);
    DCL-abs, the same lower end and (e^(1/tau) - 1) sqrt(N L_c / (N - 1)) above; SimCLR-sq and -abs, DCL <= SimCLR
    <= DCL + N log(1 + e^(1/tau) / (N - 1)). TCR, for any K, A = I + c K K^T, Lambda = 1 + c ||K||_2^2: c^2 L_nc / (4
    Lambda^2) <= (1/2) [log det diag A - log det A] <= c^2 L_nc / 4.

    Proof. With phi = s^2 or |s| in [0, 1], R - N log(N - 1) is sum_i log mean_j e^(phi/tau). Below: Jensen, and
    |s| >= s^2. Above: e^(x/tau) <= 1 + (e^(1/tau) - 1) x on [0, 1], log(1 + y) <= y, and for |s|
    Cauchy-Schwarz. SimCLR adds at most e^(1/tau) to a sum that is at least N - 1. TCR: along A(t) = D + t O, D
    the diagonal of A and O = c off(K K^T), tr D^-1 O = 0, so that the gap is the integral from 0 to 1 of (1 -
    t) (1/2) tr (A(t)^-1 O)^2; and A(t), a mean of D and A, has eigenvalues between 1 and Lambda.

    Measured: violations of a bound, over all families and shapes and in a search by gradient at two temperatures
    and one c, and identities off by more than 1e-12. Controls: were DCL-sq's excess bounded by a multiple of
    L_nc, a tight frame with N > M (L_nc = 0) would have none; were TCR's bounded by L_c, orthonormal columns (L_c
    = 0) would have no gap; and VICReg's covariance equated with L_nc. Counted: instances that break them.
    """
    bounds, exact, broken = Bounds(), Worst(), 0
    controls = {"L_nc for samples": 0, "L_c for dimensions": 0, "VICReg's covariance as L_nc": 0}
    least: dict[str, float] = {}
    for one in embeddings(rng, instances, scaled=False):
        temperature, c = float(rng.uniform(0.1, 1.0)), 10.0 ** float(rng.uniform(-2, 0.3))
        point = torch.from_numpy(one.matrix)
        for variant in VARIANTS:
            bounds.see(one, sample_sides(point, variant, temperature))
        bounds.see(one, rate_sides(point, c))
        z = one.matrix.T.copy()
        errors = exact_errors(z, z + z.std() * rng.standard_normal(z.shape))
        broken += sum(not value <= 1e-12 for value in errors.values())
        for name, value in errors.items():
            exact.see(name, value)
        wrong = misprints(rng)
        least = {name: min(value, least.get(name, math.inf)) for name, value in wrong.items()}

        few, many = sorted(one.matrix.shape)
        frame, columns = tight_frame(rng, few, many + 1), orthogonal(rng, many + 1)[:, :few]
        more = float(excess("dcl_sq", torch.from_numpy(frame.T.copy()), temperature))
        controls["L_nc for samples"] += int(more > 1e-6 + non_contrastive(frame))
        gap = float(rate_gap(torch.from_numpy(columns), c))
        controls["L_c for dimensions"] += int(gap > 1e-9 + contrastive(columns))
        controls["VICReg's covariance as L_nc"] += int(wrong["Cov^2 as L_nc"] > 1e-12)
    for variant in VARIANTS:
        for temperature in TEMPERATURES:
            bounds.climb(partial(sample_sides, variant=variant, temperature=temperature), rng)
    bounds.climb(partial(rate_sides, c=0.3), rng)
    detail = {f"exact: {name}": value for name, value in exact.by_family.items()}
    detail |= {f"misprint: {name}": value for name, value in least.items()}
    return Outcome(bounds.violations + broken, controls, detail=bounds.detail() | detail)
