"""The table of the third keypoint in trained networks: effective ranks by method and hyperparameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spectral_ssl.data.sources import training_images
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

SWEEPS = {"rank": "invariance", "rank_temperature": "temperature", "rank_lambda": "lambda_"}
"""The experiments that vary a method's hyperparameter, and its name in settings."""

NAMES = {"invariance": "invariance weight", "temperature": "temperature", "lambda_": "lambda"}
RANKS = ("embedding_effective_rank_centred", "representation_effective_rank_centred")
VALUES = (*RANKS, "accuracy", "few1", "lbfgs")
KEYS = ["experiment", "method", "label", "hyperparameter", "level", "dimension", "bound"]


def rank(inputs: Inputs) -> Table:
    """Effective ranks of embedding and representation by method and level of its hyperparameter; accuracies beside.

    `dimension` is the embedding's, K. `bound` is the rank that the paper says SimCLR and Barlow Twins force, as far as
    K allows it: min(K, rank(G)), G joining the two views of each of n training images, which has rank 2 n. Samples for
    claims (`rank_temperature_share` and so on) have the embedding's effective rank in percent of K (`rank_share`), so
    that a margin is the same for every tier.
    """
    frame = inputs.frame[inputs.frame["experiment"].isin([*SWEEPS, "rank_baselines"])]
    runs = inputs.context.manifest.runs
    images = training_images(inputs.context.layout.data(inputs.context.tier.data.slug))
    dimensions = [runs[run].embedding_dim for run in frame["run"]]
    frame = frame.assign(
        hyperparameter=[NAMES.get(SWEEPS.get(name, ""), "") for name in frame["experiment"]],
        level=[_level(row) for row in frame.to_dict("records")],
        dimension=dimensions,
        bound=[min(dimension, 2 * images) for dimension in dimensions],
    )
    tidy = summarise(frame, KEYS, [name for name in VALUES if name in frame])
    shown = pd.DataFrame(
        [
            {
                "method": row["label"],
                "hyperparameter": f"{row['hyperparameter']} {row['level']:g}"
                if row["hyperparameter"]
                else "",
                "rank of Z": text(row, RANKS[0]),
                "of at most": f"{row['bound']}",
                "rank of representation": text(row, RANKS[1]),
                "accuracy": text(row, "accuracy"),
            }
            for row in tidy.to_dict("records")
        ]
    )
    return Table(tidy, shown, _samples(frame[frame["experiment"].isin(SWEEPS)]))


def _level(row: Mapping[Any, Any]) -> float:
    """The level of the hyperparameter that a row's experiment varies; NaN where it varies none."""
    return float(row[SWEEPS[row["experiment"]]]) if row["experiment"] in SWEEPS else float("nan")


def _samples(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs of each sweep once more, as an experiment of that name and `_share`."""
    share: pd.Series[Any] = 100 * frame[RANKS[0]] / frame["dimension"]
    columns = ["method", "label", *SWEEPS.values(), "seed", "run", "status"]
    return frame[columns].assign(experiment=frame["experiment"] + "_share", rank_share=share)
