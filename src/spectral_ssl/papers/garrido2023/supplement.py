"""What Garrido et al. 2023's supplement studies, from measurements: its sections C to G."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text

SHOWN = {
    "embedding_gram_variance_relative": "M x variance of cosines",
    "embedding_dimension_concentration": "dimension norms / lower bound",
    "embedding_gram_dominance": "Gram dominance, embedding",
    "embedding_covariance_dominance": "covariance dominance, embedding",
    "representation_gram_dominance": "Gram dominance, representation",
    "representation_covariance_dominance": "covariance dominance, representation",
}
EXPERIMENTS = ("figure1", "table1", "supplement_d")
ROWS = 500  # test images whose cosines are binned: 124,750 pairs a run
BINS = np.linspace(-1, 1, 81)


def supplement(inputs: Inputs) -> Table:
    """A row a run: online and offline accuracy, the head's parameters, and the statistics of the embeddings."""
    frame = inputs.frame[inputs.frame["experiment"].isin(EXPERIMENTS)].drop_duplicates("run")
    frame = frame[frame["status"] == "finished"]
    kept = [
        *("method", "label", "embedding_dim", "projector", "seed", "accuracy"),
        *("online", "offline", "head_parameters", *SHOWN),
    ]
    default = inputs.frame[inputs.frame["experiment"].isin(EXPERIMENTS[1:])]
    rows = summarise(default.drop_duplicates("run"), ["label"], list(SHOWN)).to_dict("records")
    shown = [
        {"method": row["label"]} | {title: text(row, name, 3) for name, title in SHOWN.items()}
        for row in rows
    ]
    return Table(frame.reindex(columns=kept), pd.DataFrame(shown))


def supplement_d(inputs: Inputs) -> Table:
    """Histograms of the off-diagonal cosines of test embeddings, a row a bin; `density` is the mean over seeds, and
    `sphere` the normal density of variance 1/M.
    """
    frame = inputs.experiment("supplement_d")
    rows, shown = [], []
    for (method, label), group in frame.groupby(["method", "label"], sort=False):
        embeddings = [
            _spread(np.load(inputs.context.layout.runs / run / "features.npz")["embeddings"])
            for run in group.loc[group["status"] == "finished", "run"]
        ]
        if not embeddings:
            shown.append({"method": label, "mean cosine": "diverged", "M x variance": "diverged"})
            continue
        found = [_cosines(z) for z in embeddings]
        density = np.mean([np.histogram(values, BINS, density=True)[0] for values in found], axis=0)
        scale = embeddings[0].shape[1] ** -0.5
        for low, high, value in zip(BINS[:-1], BINS[1:], density, strict=True):
            sphere = (norm.cdf(high, scale=scale) - norm.cdf(low, scale=scale)) / (high - low)
            rows.append(
                {
                    "method": method,
                    "label": label,
                    "low": low,
                    "high": high,
                    "density": value,
                    "sphere": sphere,
                }
            )
        shown.append(
            {"method": label}
            | {"mean cosine": f"{np.mean([v.mean() for v in found]):.3f}"}
            | {"M x variance": f"{np.mean([v.var() for v in found]) / scale**2:.3g}"}
        )
    columns = ["method", "label", "low", "high", "density", "sphere"]
    return Table(pd.DataFrame(rows, columns=columns), pd.DataFrame(shown))


def _spread(z: np.ndarray) -> np.ndarray:
    """At most ROWS rows, evenly spaced: test images come in the order of their classes."""
    return z[:: max(1, len(z) // ROWS)][:ROWS]


def _cosines(z: np.ndarray) -> np.ndarray:
    rows = z.astype(np.float64) / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    values: np.ndarray = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return values.clip(-1, 1)
