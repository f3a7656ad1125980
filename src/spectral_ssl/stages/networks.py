"""Stage `networks`: networks trained on finite graphs of real images, beside the closed forms.

The images are scikit-learn's digits at every tier: a graph whose optimum can be written down has some hundred nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from scipy import sparse

from spectral_ssl.closed_form.laplacian import whitened
from spectral_ssl.data import digits
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.families import coarsen, compose, family_kernel, shifts
from spectral_ssl.data.graph import connected_components
from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.errors import Divergence, unknown
from spectral_ssl.layout import INDUCTIVE_BIAS, NETWORKS
from spectral_ssl.provenance import write_text
from spectral_ssl.sections import Networks, Optimiser
from spectral_ssl.stages import Context
from spectral_ssl.train.graph import GraphRun, GraphTrained, train_on_graph
from spectral_ssl.train.inductive import ViewsOfImages, overlaps, probe, views_of_images

NEIGHBOURS = (
    10  # fewer leave correlations near 1, where Barlow Twins' loss is flat and its angles fall slowly
)
AUGMENTATION = "digits_affine"
FORMAT = "%.6g"

# Ours, of a few tried at the laptop tier's steps: none diverges, and nearly all reach their optimum.
GRAPH_RATES = {"free": 0.1, "linear": 0.1, "mlp": 0.01}
IMAGE_RATES = {
    "free": {"adamw": 0.05, "sgd": 2.0, "lars": 3.0},
    "linear": {"adamw": 0.1, "sgd": 0.1, "lars": 3.0},
    "mlp": {"adamw": 0.01, "sgd": 0.01, "lars": 0.1},
    "conv": {"adamw": 0.01, "sgd": 0.01, "lars": 0.3},
}
WARMUP = 0.1  # of the steps
TRUST = 0.01  # lars only
PAIR_WIDTH = 128  # of the MLP on pixels
ENDS = ("step", "gap", "excess", "angle", "rank")

Trial = tuple[GraphRun, GraphTrained, dict[str, float]]


def run(context: Context, only: str | None = None) -> int:
    """Write results/<tier>/networks/<name>/curves.csv and ends.csv of one of `layout.NETWORKS`, by default of each.

    curves.csv: a row a step looked at; loss, network, optimiser, seed, step, total, the loss's terms, gap, angle,
    rank (`train.graph`). ends.csv: a row a run; its status, rate, last row, number of nodes, and probes. Nothing where
    the tier has no section `networks`. Exits 3, after writing, if a run diverged.
    """
    if only is not None and only not in NETWORKS:
        raise unknown("trained networks", only, NETWORKS)
    settings = context.tier.networks
    if settings is None:
        return 0
    torch.set_num_threads(1)  # the matrices are small
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True, quiet=context.quiet)
    diverged = 0
    for name in NETWORKS if only is None else [only]:
        trials = list(_bias(settings) if name == INDUCTIVE_BIAS else _loss(settings, name))
        ends = pd.DataFrame([_end(*trial) for trial in trials])
        curves = pd.DataFrame([_key(run) | row for run, trained, _ in trials for row in trained.history])
        folder = context.layout.networks(name)
        write_text(folder / "curves.csv", curves.to_csv(index=False, float_format=FORMAT))
        write_text(folder / "ends.csv", ends.to_csv(index=False, float_format=FORMAT))
        diverged += int((ends["status"] == "diverged").sum())
        console.print(f"{name}: {len(ends)} runs, largest gap {ends['gap'].max():.2g}")
    if diverged:
        raise Divergence(f"{diverged} networks diverged; see status, term and step in networks/*/ends.csv")
    return 0


def _key(run: GraphRun) -> dict[str, Any]:
    return {"loss": run.loss, "network": run.network, "optimiser": run.optimiser.name, "seed": run.seed}


def _end(run: GraphRun, trained: GraphTrained, probes: dict[str, float]) -> dict[str, Any]:
    """A run's row of ends.csv: where it ended, or where it diverged."""
    last = dict.fromkeys(ENDS, np.nan) if trained.diverged else trained.history[-1]
    return {
        **_key(run),
        "rate": run.optimiser.learning_rate,
        "nodes": len(trained.embedding),
        "dimension": run.dimension,
        "status": "diverged" if trained.diverged else "finished",
        **{name: last[name] for name in ENDS},
        "term": "",
        **(trained.diverged or {}),
        **probes,
    }


def _loss(settings: Networks, loss: str) -> Iterator[Trial]:
    graph, features = augmented_points(settings.images) if loss == "spectral" else neighbours(settings)
    for network, rate in GRAPH_RATES.items():
        for seed in range(settings.seeds):
            optimiser = Optimiser(name="adamw", learning_rate=rate, weight_decay=0.0, warmup_epochs=0)
            run = GraphRun(loss, network, settings.dimension, optimiser, settings.steps, seed, settings.width)
            yield run, train_on_graph(run, graph, features), {}


def neighbours(settings: Networks) -> tuple[sparse.csr_array, np.ndarray]:
    """A relation graph G of images and features X (N, `features`): the images' principal components, of unit variance.

    Nearest neighbours by pixels, weighted exp(-d^2 / median d^2), so that no two eigenvalues are equal.
    """
    images, _ = _digits(settings.nodes)
    pixels = images.reshape(len(images), -1) / 255
    edges = neighbours_graph(pixels, NEIGHBOURS).tocoo()
    squared = ((pixels[edges.row] - pixels[edges.col]) ** 2).sum(axis=1)
    half = sparse.csr_array(
        (np.exp(-squared / np.median(squared)), (edges.row, edges.col)), shape=edges.shape
    )
    basis, _ = whitened(pixels - pixels.mean(axis=0))
    return sparse.csr_array((half + half.T) / 2), basis[:, : settings.features] * np.sqrt(len(pixels))


def augmented_points(images: int) -> tuple[Any, np.ndarray]:
    """An augmentation graph w of images shifted by up to a pixel and seen as 4 x 4 blocks, black or white, enumerated
    exactly, and features: the blocks and a 1, whitened. The largest component of the graph alone.
    """
    pixels, _ = _digits(images)
    kernel, points = family_kernel(pixels[..., 0], compose(shifts(1), coarsen(2, pooling=2)))
    w, kept = augmentation_graph(kernel)
    component = connected_components(w)[1]
    largest = np.flatnonzero(component == np.bincount(component).argmax())
    blocks = points[kept[largest]].reshape(len(largest), -1).astype(np.float64)
    basis, _ = whitened(np.hstack([blocks, np.ones((len(blocks), 1))]))
    return w[largest][:, largest], basis * np.sqrt(len(basis))


def _bias(settings: Networks) -> Iterator[Trial]:
    images, labels = _digits(settings.pairs)
    data = views_of_images(
        images, labels, views=2, augmentation=AUGMENTATION, generator=torch.Generator().manual_seed(0)
    )
    for network, rates in IMAGE_RATES.items():
        features = _white(data) if network == "linear" else data.features
        for name, rate in rates.items():
            optimiser = Optimiser.model_validate(
                {
                    **{"name": name, "learning_rate": rate, "weight_decay": 0.0, "trust_coefficient": TRUST},
                    "warmup_epochs": WARMUP * settings.pair_steps,
                }
            )
            runs = [
                GraphRun(
                    "spectral",
                    network,
                    settings.pair_dimension,
                    optimiser,
                    settings.pair_steps,
                    seed,
                    PAIR_WIDTH,
                )
                for seed in range(settings.seeds)
            ]
            trained = [train_on_graph(run, data.w, features) for run in runs]
            finished = [one.embedding for one in trained if not one.diverged]
            shares = iter(overlaps(finished))
            for run, one in zip(runs, trained, strict=True):
                probes = {} if one.diverged else probe(one.embedding, data) | {"overlap": next(shares)}
                yield run, one, probes


def _white(data: ViewsOfImages) -> torch.Tensor:
    """The views' pixels, centred and whitened: the same linear networks, of which gradients find the best sooner."""
    pixels = data.features.flatten(1).double().numpy()
    basis, _ = whitened(pixels - pixels.mean(axis=0))
    return torch.from_numpy(basis * np.sqrt(len(basis))).float()


def _digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first training images (n, 8, 8, 1) uint8 of each class, as many of each, and their labels."""
    source = digits.read(path=None, image_size=None, limits={"train": count, "test": None})
    images = [image for split, _, image in source.images if split == "train"]
    return np.stack(images), np.asarray(source.labels["train"])
