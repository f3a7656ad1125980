"""Which normalisation each method applies (Table 1), measured on its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.garrido2023.embeddings import Seen, embeddings, gaussian
from spectral_ssl.theorems.instances import Array

UNCHANGED = 1e-9
"""Share of a loss by which it may move through rounding under a transformation that it does not see."""


CLOSE = 1e-6
"""Relative error of a norm that a mark allows."""

REGULAR = ("orthonormal", "tight frame", "sparse")
"""Families left out: a sparse matrix may be diagonal."""

Norms = tuple[float | None, float | None]
"""Of embeddings and of dimensions; None where there is no common one."""


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
    """Whether the loss does not see one vector, of the embeddings' own size, added to every embedding."""
    shift = np.abs(z).max() * rng.standard_normal(z.shape[1])
    before, after = _loss(method, z), _loss(method, z + shift)
    return abs(after - before) <= UNCHANGED * (abs(before) + abs(after))


def _common(norms: Array) -> float | None:
    """The norm that all share, if they do."""
    return float(norms.mean()) if np.ptp(norms) <= UNCHANGED * norms.max() else None


def _norms(method: Method, z: Array) -> Norms:
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


EMBEDDING = {"vicreg_ctr": 1.0, "simclr_classical": 1.0, "simclr_a": 1.0}
"""Norm of embeddings by method, where Table 1 has one."""


def _dimension(method: str, m: int, n: int) -> float | None:
    """Norm of dimensions, where Table 1 has one; sqrt(N - 1), of the unbiased variance, stands for sqrt(N)."""
    if method in ("vicreg", "vicreg_exp"):
        return float(np.sqrt(n - 1))
    return float(np.sqrt(n / m)) if method == "simclr_b" else None


def _marks(method: str, centred: bool, norms: Norms, m: int, n: int) -> tuple[int, float]:
    """Marks of one column that are not the printed ones, and the largest relative error of a norm that is marked."""
    wrong, error = int(centred != (method != "simclr_classical")), 0.0
    for found, expected in zip(norms, (EMBEDDING.get(method), _dimension(method, m, n)), strict=True):
        if found is None or expected is None:
            wrong += int((found is None) != (expected is None))
        else:
            error = max(error, abs(found - expected) / expected)
    return wrong + int(error > CLOSE), error


def _biased_norm(z: Array) -> float:
    """Norm over sqrt(N) of the dimensions whose BIASED standard deviation is 1."""
    centred = z - z.mean(axis=0)
    return float(np.linalg.norm(centred / centred.std(axis=0, ddof=0), axis=0).max() / np.sqrt(len(z)))


@check(
    paper="garrido2023",
    statement="table-1",
    kind="identity",
    title="Each method's centring and norms are those of Table 1",
    control="norms of the embeddings as they come, unnormalised",
    tolerance=0.0,
    instances=30,
)
def table_1(rng: np.random.Generator, instances: int) -> Outcome:
    """Dimension centring: all but classical SimCLR. Embedding norm 1: VICReg-ctr, SimCLR and SimCLR (a).
    Dimension norm: sqrt(N) for VICReg and VICReg-exp, sqrt(N/M) for SimCLR (b).

    Centring is whether the loss sees a vector added to every embedding. Norms are those that SimCLR's
    variants compare (their common value, if any), or for VICReg's family the least norm at which the hinge on
    the variance vanishes. There sqrt(N) is the biased variance's; with the unbiased one, VICReg's own, it is
    sqrt(N - 1), which is what is expected here. Measured: wrong marks of 18 in each instance, over all shapes,
    N and M at least 3 (two centred embeddings have one norm), and all families but orthonormal matrices, tight
    frames and sparse matrices, whose rows or columns may have one norm without a method's doing. Control: norms of
    Gaussian embeddings as they come.
    """
    seen, errors, wrong, control, biased = Seen(), Worst(), 0, np.inf, 0.0
    for one in embeddings(rng, instances, scaled=False, least=3, leave_out=REGULAR):
        z = one.matrix.T.copy()
        n, m = z.shape
        raw = gaussian(rng, n, m) + rng.standard_normal(m)
        as_they_come = _common(np.linalg.norm(raw, axis=1)), _common(np.linalg.norm(raw, axis=0))
        biased = max(biased, abs(_biased_norm(z) - 1))
        mistaken = missed = 0
        for name, method in METHODS.items():
            found, error = _marks(name, _is_centred(method, z, rng), _norms(method, z), m, n)
            mistaken += found
            errors.see(name, error)
            missed += _marks(name, _is_centred(method, raw, rng), as_they_come, m, n)[0]
        seen.see(one, mistaken)
        wrong += mistaken
        control = min(control, missed)
    detail: dict[str, float | int | str] = {
        "marks": 18 * instances,
        "biased variance: error of sqrt(N)": biased,
    }
    detail |= {f"norm of {name}: error": value for name, value in errors.by_family.items()}
    return Outcome(wrong, {"unnormalised": control}, detail=detail | seen.detail())
