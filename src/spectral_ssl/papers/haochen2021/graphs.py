"""Tables of augmentation graphs: the two-image example, and the training images under small finite families."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from spectral_ssl.closed_form.eigen import to_dense
from spectral_ssl.data.augmentation_graph import augmentation_graph as build
from spectral_ssl.data.augmentation_graph import label_error
from spectral_ssl.data.families import family_kernel
from spectral_ssl.data.graph import connected_components, degrees, normalised_adjacency
from spectral_ssl.data.partitions import sparsest_partition, spectral_partition
from spectral_ssl.data.sources import load
from spectral_ssl.papers.haochen2021.bounds import Bounds, bounds
from spectral_ssl.papers.haochen2021.real_graphs import GREY_LEVELS, Instance, grey, instances, shifted_blocks
from spectral_ssl.papers.inputs import Inputs, Table

TOY_POINTS = ("lightning", "lightning, rotated", "cloud", "cloud, rotated")
TOY_ROTATION = 1 / 3
LARGEST_DENOMINATOR = 36
DRAWN_CLASSES, DRAWN_IMAGES = 3, 15  # what a picture shows
FEATURES = 10  # the k at which every graph's bound is told
EXACT_POINTS = 12  # up to which the sparsest partition is found by trying all: half a second


def toy_graph(inputs: Inputs) -> Table:
    """Weights and degrees of the lightning and the cloud, a row an entry; in words as fractions, as the source has
    them.
    """
    keep, turn = 1 - TOY_ROTATION, TOY_ROTATION
    w = to_dense(build(np.array([[keep, turn, 0, 0], [0, 0, keep, turn]])).w)
    normalised = to_dense(normalised_adjacency(w))
    degree = degrees(w)
    rows = [
        {
            "row": a,
            "column": b,
            "w": w[i, j],
            "normalised": normalised[i, j],
            "degree": degree[i],
            "w_text": fraction(w[i, j]),
            "normalised_text": fraction(normalised[i, j]),
            "degree_text": fraction(degree[i]),
        }
        for i, a in enumerate(TOY_POINTS)
        for j, b in enumerate(TOY_POINTS)
    ]
    shown = pd.DataFrame(
        [
            {"point": a, "degree": fraction(degree[i])}
            | {b: f"{fraction(w[i, j])} -> {fraction(normalised[i, j])}" for j, b in enumerate(TOY_POINTS)}
            for i, a in enumerate(TOY_POINTS)
        ]
    )
    return Table(pd.DataFrame(rows), shown)


def fraction(value: float) -> str:
    """A fraction, or the root of one, that is this number to rounding: `2/9`, `√2/3`; else four digits."""
    plain = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    if abs(float(plain) - value) < 1e-12:
        return str(plain)
    square = Fraction(value**2).limit_denominator(LARGEST_DENOMINATOR)
    if abs(float(square) - value**2) < 1e-12:
        below = Fraction(square.denominator**0.5).limit_denominator(LARGEST_DENOMINATOR)
        if below**2 == square.denominator:
            return f"√{square.numerator}/{below}"
        return f"√({square})"
    return f"{value:.4g}"


def augmentation_graph(inputs: Inputs) -> Table:
    """Families of augmentations of the tier's images, enumerated: label error, eigenvalues and Theorem 3.8 at every k.

    The tidy table has a row an eigenvalue, that is a k (`index`): `lambda_next` = lambda_{k+1}, the `bound` on the
    probe's error with k features, that `error`, the majority `vote`'s; what the whole graph has is repeated in each.
    """
    parts, shown = [], []
    for instance in instances(inputs):
        found = bounds(instance.kernel, instance.labels)
        facts = _facts(instance, found)
        tidy = pd.DataFrame(
            {
                "index": np.arange(1, found.gamma.size + 1),
                "eigenvalue": found.gamma,
                "lambda_next": found.lambda_next,
                "bound": found.bound,
                "error": found.error,
                "vote": found.vote,
            }
        )
        parts.append(tidy.assign(**facts))
        shown.append(_words(facts, tidy))
    return Table(pd.concat(parts, ignore_index=True), pd.DataFrame(shown))


def _facts(instance: Instance, found: Bounds) -> dict[str, Any]:
    """What a graph has whatever k is; rho_m for as many sets as classes, exact where `rho_lower` = `rho_upper`."""
    w = build(instance.kernel).w
    points = w.shape[0]
    sets = min(len(np.unique(instance.labels)), points)
    if points <= EXACT_POINTS:
        rho = (sparsest_partition(w, sets).conductance,) * 2
    else:
        partition = spectral_partition(w, sets, generator=np.random.default_rng(0), restarts=3)
        rho = (partition.lower, partition.conductance)
    second = float(np.append(1 - found.gamma, [1.0, 1.0])[1])
    below = np.flatnonzero(found.bound < 1)
    return {
        "graph": instance.name,
        "images": len(instance.labels),
        "points": points,
        "components": connected_components(w)[0],
        "alpha": found.alpha,
        "sets": sets,
        "rho_lower": rho[0],
        "rho_upper": rho[1],
        "rho2_lower": max(second, 0.0) / 2,
        "rho2_upper": float(np.sqrt(2 * max(second, 0.0))),
        "first_below_1": int(below[0]) + 1 if below.size else None,
    }


def _words(facts: Mapping[str, Any], tidy: pd.DataFrame) -> dict[str, Any]:
    ten = tidy.iloc[min(FEATURES, len(tidy)) - 1]
    first, least = facts["first_below_1"], tidy.iloc[int(tidy["bound"].argmin())]
    bounded = tidy[(tidy["bound"] > 0) & np.isfinite(tidy["bound"])]
    rho = [f"{facts[side]:.3f}" for side in ("rho_lower", "rho_upper")]
    return {
        "graph": facts["graph"],
        "images": facts["images"],
        "points": facts["points"],
        "components": facts["components"],
        "alpha": f"{facts['alpha']:.3f}",
        f"lambda_{FEATURES + 1}": f"{ten['lambda_next']:.3f}",
        f"at k = {FEATURES}": _against(ten) + (" (vacuous)" if ten["bound"] >= 1 else ""),
        "bound below 1 from k": f"{first}: {_against(tidy.iloc[first - 1])}" if first else "never",
        "least bound": f"k = {least['index']:g}: {_against(least)}",
        "tightest": f"{(bounded['error'] / bounded['bound']).max():.2f}" if len(bounded) else "",
        "sparsest partition": f"rho_{facts['sets']} = {rho[0]}"
        if rho[0] == rho[1]
        else f"rho_{facts['sets']} in {rho[0]} to {rho[1]}",
    }


def _against(row: pd.Series[float]) -> str:
    return f"{row['error']:.3f} <= {row['bound']:.3g}"


def augmentation_matrix(inputs: Inputs) -> Table:
    """Normalised adjacency of the augmentations of a few images of a few classes, at the fewest grey levels.

    A row an entry above zero; points in the order of their Bayes labels.
    """
    tier = inputs.context.tier
    images, labels = grey(load(inputs.context.layout.data(tier.data.slug)), tier.views.images)
    few = [np.flatnonzero(labels == c)[:DRAWN_IMAGES] for c in np.unique(labels)[:DRAWN_CLASSES]]
    chosen = np.concatenate(few)
    kernel = family_kernel(images[chosen], shifted_blocks(images, GREY_LEVELS[0])).kernel
    order = np.argsort(label_error(kernel, None, labels[chosen]).labels, kind="stable")
    w = build(kernel[:, order]).w
    entries = sparse.coo_array(normalised_adjacency(w))
    tidy = pd.DataFrame(
        {"row": entries.row, "column": entries.col, "weight": entries.data, "points": w.shape[0]}
    )
    inside = label_error(kernel[:, order], None, labels[chosen]).labels
    same = inside[entries.row] == inside[entries.col]
    shown = {
        "images": len(chosen),
        "points": w.shape[0],
        "entries": entries.nnz,
        "weight between points of one class": f"{100 * entries.data[same].sum() / entries.data.sum():.0f} %",
    }
    return Table(tidy, pd.DataFrame([shown]))
