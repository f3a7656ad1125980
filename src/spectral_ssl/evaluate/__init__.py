"""What a trained encoder is worth: probes and ranks on its features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectral_ssl.errors import UserError, unknown

if TYPE_CHECKING:
    from spectral_ssl.evaluate.features import Array

PROBES = ("linear", "lbfgs", "knn", "rank", "few1", "few5", "few10")
_FEW = re.compile(r"few([1-9][0-9]*)")
_ACCURACIES = {"linear": ("linear_last", "linear_best"), "lbfgs": ("lbfgs",), "knn": ("knn",), "rank": ()}


def measured_names(probes: Sequence[str]) -> list[str]:
    """The accuracies on test images that these probes, and the online one, measure; UserError for an unknown probe."""
    names = ["online"]
    for probe in probes:
        if probe not in PROBES and not _FEW.fullmatch(probe):
            raise unknown("probe", probe, PROBES)
        names += _ACCURACIES.get(probe, (probe,))
    return names


def check_validation(accuracy: str) -> None:
    """Refuse an accuracy that hyperparameters cannot be chosen by: UserError."""
    if accuracy not in ("knn", "lbfgs") and not _FEW.fullmatch(accuracy):
        raise unknown("accuracy to choose hyperparameters by", accuracy, ("knn", "lbfgs", "few5"))


def evaluate_features(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    probes: Sequence[str],
    draws: int = 20,
    seed: int,
) -> dict[str, float]:
    """Runs probes on features (n, D) and labels (n,); returns a flat dictionary of numbers, ready for JSON.

    Accuracies are fractions in [0, 1]. A probe and its keys:

    - `linear`: `linear_last`, `linear_best` (best test epoch), `linear_train`;
    - `lbfgs`: `lbfgs`, `lbfgs_train`, `lbfgs_gradient`, `lbfgs_converged` (1 or 0);
    - `knn`: `knn`;
    - `few<k>` for any k: `few<k>`, `few<k>_std`, over `draws` draws of k labels a class;
    - `rank`: the entries of `rank.embedding_statistics` of the test features.

    `seed` decides the draws of labels and the order of SGD: the same for every encoder keeps comparisons
    paired.

    Raises UserError for an unknown or missing probe and for features and labels that do not fit.
    """
    shots = tuple(int(match[1]) for probe in probes if (match := _FEW.fullmatch(probe)))
    for probe in probes:
        if probe not in PROBES and not _FEW.fullmatch(probe):
            raise unknown("probe", probe, PROBES)
    if not probes:
        raise UserError(f"no probe asked for; expected one or more of {', '.join(PROBES)}")
    data = (train_x, train_y, test_x, test_y)
    results: dict[str, float] = {}
    for probe in dict.fromkeys(probes):
        if not _FEW.fullmatch(probe):
            results |= _run(probe, *data, seed=seed)
    if shots:
        from spectral_ssl.evaluate.few_label import few_label

        for k, few in few_label(*data, labels_per_class=shots, draws=draws, seed=seed).items():
            results |= {f"few{k}": few.mean, f"few{k}_std": few.std}
    return results


def _run(
    probe: str, train_x: Array, train_y: Array, test_x: Array, test_y: Array, *, seed: int
) -> dict[str, float]:
    data = (train_x, train_y, test_x, test_y)
    if probe == "linear":
        from spectral_ssl.evaluate.probe import linear_sgd

        sgd = linear_sgd(*data, seed=seed)
        return {"linear_last": sgd.last, "linear_best": sgd.best, "linear_train": sgd.train}
    if probe == "lbfgs":
        from spectral_ssl.evaluate.probe import linear_lbfgs

        optimum = linear_lbfgs(*data)
        return {
            "lbfgs": optimum.test,
            "lbfgs_train": optimum.train,
            "lbfgs_gradient": optimum.gradient,
            "lbfgs_converged": float(optimum.converged),
        }
    if probe == "knn":
        from spectral_ssl.evaluate.knn import knn

        return {"knn": knn(*data)}
    from spectral_ssl.evaluate.rank import embedding_statistics

    return embedding_statistics(test_x)
