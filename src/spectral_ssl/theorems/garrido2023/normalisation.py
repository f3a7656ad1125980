"""Which normalisation each method applies (Table 1), measured on its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.garrido2023.criteria import shape
from spectral_ssl.theorems.instances import Array

UNCHANGED = 1e-9
"""Share of a loss by which it may move through rounding under a transformation that it does not see."""


@dataclass(frozen=True)
class Method:
    """A column of Table 1.

    options: of the library's loss. pushed: 0 or 1 where the variance term pushes the norm of dimensions (0)
    or of embeddings (1). applied: `normalise_embeddings` options where the norm is imposed instead.
    """

    loss: str
    options: dict[str, float | str | bool]
    pushed: int | None = None
    applied: dict[str, bool] | None = None


METHODS: dict[str, Method] = {
    "vicreg": Method("vicreg", {"epsilon": 0.0}, pushed=0),
    "vicreg_exp": Method("vicreg_exp", {"epsilon": 0.0}, pushed=0),
    "vicreg_ctr": Method("vicreg_ctr", {"epsilon": 0.0, "scaling": "norm"}, pushed=1),
    "simclr_classical": Method("simclr", {}, applied={}),
    "simclr_a": Method("simclr", {"center": True}, applied={"center": True}),
    "simclr_b": Method("simclr", {"standardise": True}, applied={"standardise": True}),
}


def _loss(method: Method, z: Array, term: str | None = None) -> float:
    terms = get_loss(method.loss)(torch.from_numpy(z), torch.from_numpy(z), **method.options)
    return float(terms.total if term is None else terms[term])


def _is_centred(method: Method, z: Array, rng: np.random.Generator) -> bool:
    """Whether the loss does not see one vector added to every embedding."""
    before, after = _loss(method, z), _loss(method, z + rng.standard_normal(z.shape[1]))
    return abs(after - before) <= UNCHANGED * (abs(before) + abs(after))


def _common(norms: Array) -> float | None:
    """The norm that all share, if they do."""
    return float(norms.mean()) if np.ptp(norms) <= UNCHANGED * norms.max() else None


def _norms(method: Method, z: Array) -> tuple[float | None, float | None]:
    """Norm of every embedding and of every dimension, None where the method fixes none.

    Pushed norms: the least one at which the variance term vanishes, for equal norms throughout.
    """
    if method.applied is not None:
        seen = normalise_embeddings(torch.from_numpy(z), **method.applied).numpy()
        return _common(np.linalg.norm(seen, axis=1)), _common(np.linalg.norm(seen, axis=0))
    axis = int(method.pushed or 0)
    centred = z - z.mean(axis=0)
    length = np.linalg.norm(centred, axis=axis, keepdims=True)
    unit = centred / length
    if axis == 1:  # embeddings in opposite pairs are centred at any common norm
        unit = np.vstack([unit, -unit])
    # The hinge is linear in the norm up to its end, which is twice the norm of half the loss.
    start = _loss(method, 0.0 * unit, "variance")

    def above_half(norm: float) -> float:
        return _loss(method, norm * unit, "variance") / start - 0.5

    half = float(brentq(above_half, 1e-9, 1e3, xtol=1e-14))
    return (2 * half, None) if axis == 1 else (None, 2 * half)


def _wrong_marks(method: str, centred: bool, norms: tuple[float | None, float | None], m: int, n: int) -> int:
    """Marks of one column that are not the printed ones; the unbiased sqrt(N - 1) stands for sqrt(N)."""
    embedding: dict[str, float | None] = {"vicreg_ctr": 1.0, "simclr_classical": 1.0, "simclr_a": 1.0}
    dimension: dict[str, float | None] = {
        "vicreg": float(np.sqrt(n - 1)),
        "vicreg_exp": float(np.sqrt(n - 1)),
        "simclr_b": float(np.sqrt(n / m)),
    }
    wrong = int(centred != (method != "simclr_classical"))
    for found, expected in zip(norms, (embedding.get(method), dimension.get(method)), strict=True):
        if found is None or expected is None:
            wrong += int((found is None) != (expected is None))
        else:
            wrong += int(abs(found - expected) > 1e-6 * expected)
    return wrong


@check(
    paper="garrido2023",
    statement="table-1",
    kind="identity",
    title="Each method's centring and norms are those of Table 1",
    control="norms of the embeddings as they come, unnormalised",
    tolerance=0.0,
    instances=20,
)
def table_1(rng: np.random.Generator, instances: int) -> Outcome:
    """Dimension centring: all but classical SimCLR. Embedding norm 1: VICReg-ctr, SimCLR and SimCLR (a).
    Dimension norm: sqrt(N) for VICReg and VICReg-exp, sqrt(N/M) for SimCLR (b).

    Centring is whether the loss sees a vector added to every embedding. Norms are those that SimCLR's
    variants compare (their common value, if any), or for VICReg's family the least norm at which the hinge on
    the variance vanishes. There sqrt(N) is the biased variance's; with the unbiased one, VICReg's own, it is
    sqrt(N - 1), which is what is expected here. Measured: wrong marks of 18 in each instance. Control: norms
    of the raw embeddings.
    """
    wrong, control = 0, np.inf
    for _ in range(instances):
        m, n = shape(rng)
        n, m = n + 3, m + 1
        z = rng.standard_normal((n, m)) + rng.standard_normal(m)
        raw = _common(np.linalg.norm(z, axis=1)), _common(np.linalg.norm(z, axis=0))
        missed = 0
        for name, method in METHODS.items():
            centred = _is_centred(method, z, rng)
            wrong += _wrong_marks(name, centred, _norms(method, z), m, n)
            missed += _wrong_marks(name, centred, raw, m, n)
        control = min(control, missed)
    return Outcome(wrong, {"unnormalised": control}, detail={"marks": 18 * instances})
