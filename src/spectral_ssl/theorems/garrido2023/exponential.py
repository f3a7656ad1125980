"""The exponential criterion (equations 11-13), which is DCL's repulsion of the transposed embeddings."""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.disguises import term
from spectral_ssl.theorems.garrido2023.embeddings import Seen, embeddings, gaussian, unequal_shape
from spectral_ssl.theorems.instances import Array, unit_columns


def _dcl(z: Array, other: Array, temperature: float, negatives: str) -> float:
    """DCL's mean repulsion at two views (N, K)."""
    return term("dcl", "repulsion", z, other, temperature=temperature, negatives=negatives)


def _errors(raw: Array, temperature: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Relative errors at embeddings (N, K): c_exp is DCL's repulsion; equation 14; squared distances.

    The first and the last at unit embeddings, the second at any of which every dimension varies: by more than the
    library's floor under norms, hence the scaling.
    """
    n, z = len(raw), unit_columns(raw.T).T.copy()
    other = unit_columns((z + 0.5 * rng.standard_normal(z.shape)).T).T.copy()
    options: dict[str, float | str | bool] = {"covariance": 0.5, "temperature": temperature}
    criterion = term("vicreg_ctr", "covariance", z, z, centering="none", scaling="norm", **options)
    dcl = _dcl(z, z, temperature, "same_view")
    large = raw / np.linalg.norm(raw - raw.mean(axis=0), axis=0).min()
    scaled = normalise_embeddings(torch.from_numpy(large), standardise=True).numpy()
    squared = term("vicreg", "invariance", z, other, invariance=1.0, reduction="sum")
    cosine = 2 * n - 2 * float((z * other).sum())
    return (
        abs(criterion - dcl) / (1 + abs(dcl)),
        abs(float((scaled**2).sum(axis=1).mean()) - 1),
        abs(squared - cosine) / n,
    )


@check(
    paper="garrido2023",
    statement="equations-11-13",
    kind="identity",
    title="The exponential criterion of the transposed embeddings is DCL's repulsion",
    control="one log-sum-exp over the whole matrix instead of one per row",
    tolerance=1e-12,
    instances=90,
)
def equations_11_13(rng: np.random.Generator, instances: int) -> Outcome:
    """c_exp(K^T) = (1/N) sum_i log sum_{j != i} exp(s_ij / tau), DCL's repulsion, for unit columns, no
    centring, no divisor.

    Equations 11-13. Equation 14 (printed with its indices transposed) scales each dimension to norm
    sqrt(N/M), which makes the mean squared embedding norm 1; and on unit vectors the squared distance is 2 -
    2 cos. Largest relative residual of the three, by the library's VICReg-ctr, DCL and VICReg, over all families and
    shapes. Control: c_exp with one log-sum-exp over all pairs.

    DCL's negatives are those of the sample's own view here. They are printed once so and once from the other
    view: the least difference of the two repulsions, over pairs of Gaussian views, is in `detail`.
    """
    seen, control, apart = Seen(), np.inf, np.inf
    for one in embeddings(rng, instances):
        temperature = float(rng.uniform(0.1, 1.0))
        seen.see(one, *_errors(one.matrix.T.copy(), temperature, rng))

        z, other = (unit_columns(gaussian(rng, *size)).T.copy() for size in [unequal_shape(rng)] * 2)
        same, cross = (_dcl(z, other, temperature, kind) for kind in ("same_view", "cross_view"))
        apart = min(apart, abs(same - cross))
        whole = np.exp((z @ z.T)[~np.eye(len(z), dtype=bool)] / temperature).sum()
        dcl = _dcl(z, z, temperature, "same_view")
        control = min(control, abs(float(np.log(whole)) - dcl) / (1 + abs(dcl)))
    detail = {"misprint: DCL's negatives of the other view": apart} | seen.detail()
    return Outcome(seen.value, {"one log-sum-exp": control}, detail=detail)
