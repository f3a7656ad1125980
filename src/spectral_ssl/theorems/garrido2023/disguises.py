"""Named losses between bounds of L_c or L_nc (Proposition 3.2), and the exponential criterion (equations
11-13).
"""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.losses.tcr import coding_rate
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.criteria import contrastive, non_contrastive, shape, unequal_shape
from spectral_ssl.theorems.instances import Array, harmonic_frame, orthogonal, unit_columns

SLACK = 1e-10
"""Share of a bound that rounding may take."""


def _term(loss: str, term: str, z1: Array, z2: Array, **hyperparameters: float | str | bool) -> float:
    """One weighted term of a library loss at two views (N, K)."""
    return float(get_loss(loss)(torch.from_numpy(z1), torch.from_numpy(z2), **hyperparameters)[term])


def _repulsion(loss: str, z: Array, temperature: float) -> float:
    """Sum over the N samples of a contrastive loss's repulsion, negatives from the sample's own view."""
    return len(z) * _term(loss, "repulsion", z, z, temperature=temperature, negatives="same_view")


def _relative(found: float, expected: float) -> float:
    return abs(found - expected) / (abs(found) + abs(expected))


def _exact_side(rng: np.random.Generator) -> tuple[float, float]:
    """Largest relative residual of the losses that ARE a criterion, and that of the misprinted one."""
    k, n = unequal_shape(rng)
    z = rng.standard_normal((n, k)) + rng.standard_normal(k)
    found = _term("spectral", "repulsion", z, z, projection="none", mu=1.0)
    residuals = [_relative(found, contrastive(z.T) / (n * (n - 1)))]
    unit, other = unit_columns(z), unit_columns(z + rng.standard_normal((n, k)))
    cross = (unit.T @ other)[~np.eye(k, dtype=bool)]
    found = _term("barlow_twins", "redundancy", z, z, lambda_=1.0, center=False)
    residuals.append(_relative(found, non_contrastive(unit.T)))
    found = _term("barlow_twins", "redundancy", unit, other, lambda_=1.0, center=False)
    residuals.append(_relative(found, float((cross**2).sum())))
    found = _term("vicreg", "covariance", z, z, covariance=0.5, reduction="sum")
    residuals.append(_relative(found, non_contrastive((z - z.mean(axis=0)).T) / (n - 1) ** 2))
    return max(residuals), _relative(found, non_contrastive(z.T))


def _excess(loss: str, z: Array, temperature: float) -> float:
    """R - N log(N - 1): 0 where all similarities vanish."""
    return _repulsion(loss, z, temperature) - len(z) * float(np.log(len(z) - 1))


def _sample_side(z: Array, temperature: float) -> int:
    """Violations of the DCL and SimCLR bounds at unit embeddings z (N, K)."""
    n, violations = len(z), 0
    l_c, base = contrastive(z.T), n * float(np.log(n - 1))
    growth = float(np.expm1(1 / temperature))
    lower = l_c / (temperature * (n - 1))
    uppers = {"sq": growth * l_c / (n - 1), "abs": growth * float(np.sqrt(n * l_c / (n - 1)))}
    for variant, upper in uppers.items():
        dcl = _repulsion(f"dcl_{variant}", z, temperature)
        simclr = _repulsion(f"simclr_{variant}", z, temperature)
        slack = SLACK * (abs(dcl) + base + upper)
        violations += int(not lower - slack <= dcl - base <= upper + slack)
        most = n * float(np.log1p(np.exp(1 / temperature) / (n - 1)))
        violations += int(not dcl - slack <= simclr <= dcl + most + slack)
    return violations


def _rate_gap(matrix: Array, c: float) -> float:
    """(1/2) [log det diag A - log det A], A = I + c K K^T, by the library's coding rate."""
    m, n = matrix.shape
    whole = float(coding_rate(torch.from_numpy(matrix.T.copy()), m / (n * c)))
    return 0.5 * float(np.log1p(c * (matrix**2).sum(axis=1)).sum()) - whole


@check(
    paper="garrido2023",
    statement="proposition-3.2",
    kind="bound",
    title="Every loss is L_c or L_nc, or lies between multiples of one of them",
    control="the other criterion for each side; VICReg's covariance equated with L_nc",
    tolerance=0.0,
    instances=100,
)
def proposition_3_2(rng: np.random.Generator, instances: int) -> Outcome:
    """What can be proved of Proposition 3.2, s = K^T K, R the summed repulsion, same-view negatives.

    Exactly: the spectral loss's repulsion is L_c / (N (N - 1)); Barlow Twins' off-diagonal is ||off(K
    K'^T)||^2 of unit rows, L_nc where K' = K; VICReg's covariance term is L_nc(K centred) / (N - 1)^2, not
    L_nc. For unit columns, by Jensen and by convexity of exp on [0, 1/tau]: DCL-sq, L_c / (tau (N - 1)) <= R
    - N log(N - 1) <= (e^(1/tau) - 1) L_c / (N - 1); DCL-abs, the same lower end and (e^(1/tau) - 1) sqrt(N
    L_c / (N - 1)) above; SimCLR variants, DCL <= SimCLR <= DCL + N log(1 + e^(1/tau) / (N - 1)). TCR, A = I +
    c K K^T, Lambda = 1 + c ||K||_2^2: c^2 L_nc / (4 Lambda^2) <= (1/2) [log det diag A - log det A] <= c^2
    L_nc / 4.

    Measured: violations of a bound, and identities off by more than 1e-12. Controls: were DCL-sq's excess
    bounded by a multiple of L_nc, a tight frame with N > M (L_nc = 0) would have none; were TCR's bounded by
    L_c, orthonormal columns (L_c = 0) would have no gap; and VICReg's covariance equated with L_nc. Counted:
    instances that break them.
    """
    violations, sample_control, dimension_control, misprint = 0, 0, 0, 0
    for _ in range(instances):
        m, n = shape(rng)
        n += 1
        temperature, c = float(rng.uniform(0.1, 1.0)), 10.0 ** float(rng.uniform(-2, 0.3))
        matrix = unit_columns(rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-2, 0, (m, 1)))
        violations += _sample_side(matrix.T.copy(), temperature)
        l_nc, gap = non_contrastive(matrix), _rate_gap(matrix, c)
        largest = 1 + c * float(np.linalg.norm(matrix, 2)) ** 2
        slack = SLACK * (1 + c * n + c**2 * l_nc)
        violations += int(not c**2 * l_nc / (4 * largest**2) - slack <= gap <= c**2 * l_nc / 4 + slack)

        residual, misprinted = _exact_side(rng)
        violations += int(residual > 1e-12)
        misprint += int(misprinted > 1e-12)

        frame = harmonic_frame(4, 5 + n)
        sample_control += int(_excess("dcl_sq", frame.T.copy(), temperature) > 1e-6 + non_contrastive(frame))
        orthonormal = orthogonal(rng, m + 1)[:, :m]
        dimension_control += int(_rate_gap(orthonormal, c) > 1e-9 + contrastive(orthonormal))
    controls = {"L_nc for samples": sample_control, "L_c for dimensions": dimension_control}
    controls["VICReg's covariance as L_nc"] = misprint
    return Outcome(violations, controls)


@check(
    paper="garrido2023",
    statement="equations-11-13",
    kind="identity",
    title="The exponential criterion of the transposed embeddings is DCL's repulsion",
    control="one log-sum-exp over the whole matrix instead of one per row",
    tolerance=1e-12,
    instances=100,
)
def equations_11_13(rng: np.random.Generator, instances: int) -> Outcome:
    """c_exp(K^T) = (1/N) sum_i log sum_{j != i} exp(s_ij / tau), DCL's repulsion, for unit columns, no
    centring, no divisor.

    Equations 11-13. Equation 14 (printed with its indices transposed) scales each dimension to norm
    sqrt(N/M), which makes the mean squared embedding norm 1; and on unit vectors the squared distance is 2 -
    2 cos. Largest relative residual of the three, by the library's VICReg-ctr, DCL and VICReg. Control: c_exp
    with one log-sum-exp over all pairs.
    """
    worst, control = 0.0, np.inf
    for _ in range(instances):
        k, n = shape(rng)
        n += 1
        z, other = (unit_columns(rng.standard_normal((k, n))).T.copy() for _ in range(2))
        temperature = float(rng.uniform(0.1, 1.0))
        options: dict[str, float | str | bool] = {
            "temperature": temperature,
            "centering": "none",
            "scaling": "norm",
        }
        criterion = _term("vicreg_ctr", "covariance", z, z, covariance=0.5, **options)
        dcl = _term("dcl", "repulsion", z, z, temperature=temperature, negatives="same_view")
        exponentials = np.exp((z @ z.T)[~np.eye(n, dtype=bool)] / temperature)
        worst = max(worst, abs(criterion - dcl) / (1 + abs(dcl)))
        control = min(control, abs(float(np.log(exponentials.sum())) - dcl) / (1 + abs(dcl)))

        scaled = normalise_embeddings(torch.from_numpy(3 * z + 1), standardise=True).numpy()
        worst = max(worst, abs(float((scaled**2).sum(axis=1).mean()) - 1))
        squared = _term("vicreg", "invariance", z, other, invariance=1.0, reduction="sum")
        cosine = 2 * n - 2 * float((z * other).sum())
        worst = max(worst, _relative(squared, cosine))
    return Outcome(worst, {"one log-sum-exp": control})
