"""The tables of Balestriero & LeCun 2022: ranks of trained embeddings, closed forms on real views, the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.arrays import read_array
from spectral_ssl.data.graph import load_graph
from spectral_ssl.data.sources import load
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.evaluate import evaluate_features
from spectral_ssl.evaluate.rank import effective_rank, singular_values
from spectral_ssl.papers.balestriero2022.correspondences import correspondences
from spectral_ssl.papers.balestriero2022.costs import costs
from spectral_ssl.papers.balestriero2022.rank import rank
from spectral_ssl.papers.balestriero2022.relations import alignment, relations
from spectral_ssl.papers.balestriero2022.settle import settle
from spectral_ssl.papers.balestriero2022.synthetic import staircase, synthetic
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.networks import networks

__all__ = [
    "alignment",
    "closed_form",
    "correspondences",
    "costs",
    "networks",
    "rank",
    "relations",
    "settle",
    "staircase",
    "synthetic",
]

DIMENSION = 16  # K of the closed forms


def closed_form(inputs: Inputs) -> Table:
    """Linear networks Z = XW in closed form from real views, and what their test embeddings are worth.

    The tidy table has a row an eigenvalue (`index` from 1): of the Laplacian for VICReg, of the Gram form for SimCLR.
    """
    tier, layout = inputs.context.tier, inputs.context.layout
    folder = layout.views(tier.data.slug, tier.training.augmentation)
    x = read_array(folder / "views.npy", kinds="f", ndim=4).astype(np.float64)
    x = x.reshape(len(x), -1)
    graph = load_graph(folder / "G.npz")
    dimension = min(DIMENSION, x.shape[1])
    solutions = {
        "VICReg, linear": cf.vicreg(graph, dimension, variance=1.0, invariance=0.3, X=x),
        "SimCLR (Gram), linear": cf.simclr(graph, dimension, X=x),
        "Barlow Twins (whitened), linear": cf.barlow_twins(graph, dimension, X=x),
    }
    train_x, train_y, test_x, test_y = _pixels(inputs)
    few = [probe for probe in tier.probes.names if probe.startswith("few")]
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for name, weights, loss, values, z in [
        *((name, s.weights, s.loss, s.eigenvalues, s.embedding) for name, s in solutions.items()),
        ("raw pixels", np.eye(x.shape[1]), float("nan"), np.array([]), x),
    ]:
        probes = evaluate_features(
            train_x @ weights,
            train_y,
            test_x @ weights,
            test_y,
            probes=few,
            draws=tier.probes.draws,
            seed=0,
        )
        measured = {
            "solution": name,
            "loss": loss,
            "rank": effective_rank(singular_values(np.asarray(z), centred=True)),
            **probes,
        }
        rows += [{**measured, "index": i + 1, "eigenvalue": float(v)} for i, v in enumerate(values)] or [
            measured
        ]
        accuracies = {
            f"{probe.removeprefix('few')} labels a class": f"{100 * probes[probe]:.1f}" for probe in few
        }
        shown.append(
            {
                "solution": name,
                "loss": f"{loss:.4g}" if loss == loss else "",
                "rank of Z": f"{measured['rank']:.1f}",
                **accuracies,
            }
        )
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def _pixels(inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train and test images as rows of pixels, normalised as the views are, and their labels."""
    tier = inputs.context.tier
    dataset = load(inputs.context.layout.data(tier.data.slug))

    def rows(array: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(array.transpose(0, 3, 1, 2).copy())
        plain = get_augmentation(tier.training.augmentation, images.shape[-1], images.shape[1]).plain()
        return plain(images, generator=torch.Generator()).flatten(1).double().numpy()

    labelled = np.flatnonzero(dataset.train_labels >= 0)
    return (
        rows(dataset.train_images[labelled]),
        np.array(dataset.train_labels[labelled]),
        rows(dataset.test_images),
        np.array(dataset.test_labels),
    )
