"""What Garrido et al. 2023's supplement studies, from measurements: its sections C, D and G, and F's points."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from spectral_ssl.correlation import correlation
from spectral_ssl.papers.decide import FEWEST_CONFIGURATIONS, RESAMPLES
from spectral_ssl.papers.garrido2023.closeness import embeddings_of
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text, without
from spectral_ssl.stats import mean_interval

SHOWN = {
    "embedding_gram_variance_relative": "M x variance of cosines",
    "embedding_dimension_concentration": "dimension norms / lower bound",
    "embedding_gram_dominance": "Gram dominance, embedding",
    "embedding_covariance_dominance": "covariance dominance, embedding",
    "representation_gram_dominance": "Gram dominance, representation",
    "representation_covariance_dominance": "covariance dominance, representation",
}
EXPERIMENTS = ("figure1", "table1", "supplement_d")
PAIR = ("online", "offline")
CONFIGURATION = ("method", "embedding_dim", "projector")
ROWS = 500  # test images whose cosines are binned: 124,750 pairs a run
BINS = np.linspace(-1, 1, 81)


def supplement(inputs: Inputs) -> Table:
    """A row a run: online and offline accuracy, the head's parameters, and the statistics of the embeddings.

    `experiment` is the first that the run belongs to; `default` marks the runs at the tier's default networks, which
    the statistics are shown of.
    """
    wanted = inputs.frame[inputs.frame["experiment"].isin(EXPERIMENTS)]
    default = wanted[wanted["experiment"].isin(EXPERIMENTS[1:])].drop_duplicates("run")
    kept = [
        *("experiment", "method", "label", "embedding_dim", "projector", "seed", "default", "accuracy"),
        *("online", "offline", "head_parameters", *SHOWN),
    ]
    frame = wanted.assign(default=wanted["run"].isin(default["run"])).drop_duplicates("run")
    frame = frame[frame["status"] == "finished"].reindex(columns=kept)
    rows = summarise(default, ["label"], list(SHOWN)).to_dict("records")
    shown = [
        {"method": row["label"]} | {title: text(row, name, 3) for name, title in SHOWN.items()}
        for row in rows
    ]
    return Table(frame, pd.DataFrame(shown))


def supplement_c(inputs: Inputs) -> Table:
    """Pearson's correlation of online and offline accuracy over the runs of Figure 1, and its bootstrap interval, which
    draws configurations with all their seeds; NaN for too few configurations, or accuracies that are all equal.
    """
    frame = inputs.experiment("figure1").drop_duplicates("run").reindex(columns=[*PAIR, *CONFIGURATION])
    frame = frame.dropna(subset=list(PAIR))
    online, offline = (frame[name].astype(float).tolist() for name in PAIR)
    clusters = frame.groupby(list(CONFIGURATION), sort=False).ngroup().tolist()
    row: dict[str, float] = {"runs": len(frame), "configurations": len(set(clusters))}
    row |= dict.fromkeys(("correlation", "low", "high"), float("nan"))
    words = {"correlation": "too few runs", "95 % interval": ""}
    enough = len(set(clusters)) >= FEWEST_CONFIGURATIONS
    if enough and len(set(online)) > 1 and len(set(offline)) > 1:  # as the ledger's entry
        generator = np.random.default_rng(0)
        found = correlation(online, offline, generator=generator, clusters=clusters, resamples=RESAMPLES)
        row |= {"correlation": found.value, "low": found.low, "high": found.high}
        words = {
            "correlation": f"{found.value:.3f}",
            "95 % interval": f"{found.low:.3f} to {found.high:.3f}",
        }
    counted = {name: str(row[name]) for name in ("runs", "configurations")}
    return Table(pd.DataFrame([row]), pd.DataFrame([counted | words]))


def supplement_d(inputs: Inputs) -> Table:
    """Histograms of the off-diagonal cosines of test embeddings, a row a bin; `density` is the mean over seeds, and
    `sphere` the normal density of variance 1/M.
    """
    frame = inputs.experiment("supplement_d")
    accuracies = summarise(frame, ["label"], ["accuracy"]).set_index("label").to_dict("index")
    parts, shown = [], []
    for (method, label), group in frame.groupby(["method", "label"], sort=False):
        embeddings = [
            _spread(embeddings_of(inputs.context.layout.runs / run))
            for run in group.loc[group["status"] == "finished", "run"]
        ]
        none = without((group["status"] == "diverged").sum())
        words = {"mean cosine": none, "M x variance": none}
        if embeddings:
            found, m = [_cosines(z) for z in embeddings], embeddings[0].shape[1]
            parts.append(_bins(found, m).assign(method=str(method), label=str(label)))
            words = {
                "mean cosine": _over_seeds([v.mean() for v in found]),
                "M x variance": _over_seeds([m * v.var() for v in found]),
            }
        shown.append({"method": label, **words, "accuracy": text(accuracies[label], "accuracy")})
    columns = ["method", "label", "low", "high", "density", "sphere"]
    tidy = pd.concat(parts) if parts else pd.DataFrame()
    return Table(tidy.reindex(columns=columns), pd.DataFrame(shown))


def _bins(found: list[np.ndarray], m: int) -> pd.DataFrame:
    """Densities of each seed's cosines, their mean, beside the normal one of variance 1/m."""
    low, high = BINS[:-1], BINS[1:]
    density = np.mean([np.histogram(values, BINS, density=True)[0] for values in found], axis=0)
    sphere = np.diff(norm.cdf(BINS, scale=m**-0.5)) / (high - low)
    return pd.DataFrame({"low": low, "high": high, "density": density, "sphere": sphere})


def _over_seeds(values: list[float]) -> str:
    interval = mean_interval([float(value) for value in values])
    half = (interval.high - interval.low) / 2
    return f"{interval.mean:.3f}" + (f" ± {half:.3f}" if half == half else "")


def _spread(z: np.ndarray) -> np.ndarray:
    """At most ROWS rows, evenly spaced: test images come in the order of their classes."""
    return z[:: max(1, len(z) // ROWS)][:ROWS]


def _cosines(z: np.ndarray) -> np.ndarray:
    rows = z.astype(np.float64) / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    values: np.ndarray = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return values.clip(-1, 1)
