"""The Welch bound on L_c, and where it is attained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023 import criteria
from spectral_ssl.theorems.garrido2023.bounds import SLACK, Bounds, ratio, unit
from spectral_ssl.theorems.garrido2023.criteria import contrastive, non_contrastive
from spectral_ssl.theorems.garrido2023.embeddings import embeddings, gaussian, tight_frame
from spectral_ssl.theorems.garrido2023.norms import off, single_row
from spectral_ssl.theorems.instances import Array, orthogonal, unit_columns
from spectral_ssl.theorems.search import climb


def welch_sides(matrix: Tensor) -> Mapping[str, Tensor]:
    """Ratios of N^2/M <= L_c + N <= N^2 at the matrix's columns, scaled to norm 1."""
    m, n = matrix.shape
    value = criteria.sample_contrastive(unit(matrix, 0).T) + n
    lower, upper = value.new_tensor(n**2 / m), value.new_tensor(n**2)
    return {"Welch": ratio(lower, value, upper), "full collapse": ratio(value, upper, upper)}


def _repeated(matrix: Tensor) -> Tensor:
    """Minus L_c of unit columns, the first repeated."""
    columns = unit(matrix, 0)
    return -criteria.sample_contrastive(torch.cat([columns[:, :1], columns], dim=1).T)


def _frame_excess(matrix: Array) -> float:
    """||K K^T - (N/M) I||_F^2: 0 for tight frames only."""
    m, n = matrix.shape
    return float(((matrix @ matrix.T - n / m * np.eye(m)) ** 2).sum())


@check(
    paper="garrido2023",
    statement="welch",
    kind="bound",
    title="Unit columns: L_c >= N^2/M - N, with equality exactly for tight frames",
    control="L_c = 0 claimed for N <= M with a repeated column",
    tolerance=0.0,
    instances=150,
)
def welch(rng: np.random.Generator, instances: int) -> Outcome:
    """L_c >= N^2/M - N for unit columns, with equality exactly for tight frames, where L_nc = 0.

    The Welch bound: L_c + N - N^2/M = ||K K^T - (N/M) I||_F^2, checked as an identity, which is what
    "exactly" needs. L_c = 0 exactly for orthonormal columns (N <= M), L_c being ||K^T K - I||_F^2. L_nc = 0 does not
    exclude collapse: one non-zero row has L_nc = 0 and the largest L_c, N^2 - N.

    Measured: violations of any of these, over all families and shapes and in a search by gradient; the ratios
    are those of L_c + N to N^2/M and N^2. N < M has tightness N/M at most, since there L_c >= 0 is the
    stronger bound; N > M ends in a tight frame, whose L_nc and distance from one `detail` gives. Control: N <=
    M unit columns of which two coincide, and the least L_c among such that a search finds, which is 2.
    """
    bounds, missed, control, identity = Bounds(), 0, 0, 0.0
    for one in embeddings(rng, instances):
        bounds.see(one, welch_sides(torch.from_numpy(one.matrix)))
        columns = unit_columns(one.matrix)
        m, n = columns.shape
        identity = max(identity, off(contrastive(columns) + n, n**2 / m + _frame_excess(columns)))

        few, many = sorted((m, n + 1))
        frame, single = tight_frame(rng, few, many + 1), single_row(rng, m, n)
        missed += int(off(contrastive(frame) + many + 1, (many + 1) ** 2 / few) > SLACK)
        missed += int(non_contrastive(frame) > SLACK * many**2)
        missed += int(non_contrastive(single) != 0) + int(off(contrastive(single) + n, n**2) > SLACK)

        orthonormal = orthogonal(rng, m)[:, : max(2, few - 1)]
        missed += int(contrastive(orthonormal) > SLACK)
        repeated = orthonormal.copy()
        repeated[:, 0] = repeated[:, 1]
        control += int(contrastive(repeated) > SLACK)
    end = unit_columns(bounds.climb(welch_sides, rng)["Welch", "N > M"].point)
    least = -climb(_repeated, [gaussian(rng, 6, 4), gaussian(rng, 6, 4)]).ratio
    detail = {
        "Welch identity": identity,
        "search, N > M: distance from a tight frame": float(np.sqrt(_frame_excess(end))) / end.shape[1],
        "search, N > M: L_nc / N^2": non_contrastive(end) / end.shape[1] ** 2,
        "repeated columns: least L_c by search": least,
    }
    missed += int(identity > SLACK)
    return Outcome(bounds.violations + missed, {"repeated columns": control}, detail=bounds.detail() | detail)
