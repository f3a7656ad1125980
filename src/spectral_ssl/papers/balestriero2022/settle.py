"""What the paper's two published abstracts advise, decided where they disagree: on trained encoders, and exactly for
linear networks.

arXiv: with a misaligned G use VICReg with a small invariance weight, with little data VICReg with a high one. NeurIPS:
with a misaligned G use Barlow Twins or VICReg with a small invariance weight, with little data SimCLR or VICReg with a
high one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectral_ssl import closed_form as cf
from spectral_ssl.data.pairing import parse_relation
from spectral_ssl.data.relations import factor_graph, rewired
from spectral_ssl.data.sources import Dataset, load
from spectral_ssl.evaluate import measured_names
from spectral_ssl.evaluate.few_label import few_label
from spectral_ssl.papers.balestriero2022.relations import words
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import OFFLINE
from spectral_ssl.stats import equivalence, mean_interval, order

SMALL, HIGH, HIGHER = (f"VICReg, {size}" for size in ("small", "high", "higher"))
INVARIANCE = {SMALL: 0.1, HIGH: 0.9, HIGHER: 2.0}
"""gamma times the mean degree of G: at 1 a dimension unrelated to G (lambda = the mean degree) is given up."""

SIDE = 8  # px that images are averaged to
COMPONENTS, DIMENSION = 64, 32  # principal components that a linear network sees, and its outputs
MOST = 128  # images of a class in a draw, or half of what there are
DRAWS = 8  # draws of images for each seed of the tier
LABEL_DRAWS = 5  # draws of the labels for each draw of images
FEW = (1, 5)  # labels a class
MARGIN = 2.0  # percentage points within which two methods are on par, as in the ledger's claims
TRAINED, LINEAR = "trained", "linear"
PARTS = ("mean", "spread", "low", "high")
COLUMNS = [
    *("what", "regime", "setting", "relation", "pairs", "labels", "n", *(f"accuracy_{p}" for p in PARTS)),
    *("weight", "chance"),
]


class Question(NamedTuple):
    """Is `high` better than `low` where pairs share what the tier's first (0) or last (-1) relation says?"""

    text: str
    advice: str
    relation: int
    labels: str
    high: str
    low: str


QUESTIONS = (
    Question("misaligned: VICReg (small) over SimCLR", "both", -1, "all", SMALL, "SimCLR"),
    Question("misaligned: VICReg (small) over Barlow Twins", "arXiv", -1, "all", SMALL, "Barlow Twins"),
    Question("misaligned: Barlow Twins over SimCLR", "NeurIPS", -1, "all", "Barlow Twins", "SimCLR"),
    Question("little data: VICReg (high) over VICReg (small)", "both", 0, "1", HIGH, SMALL),
    Question("little data: SimCLR over VICReg (small)", "NeurIPS", 0, "1", "SimCLR", SMALL),
    Question("little data: VICReg (high) over SimCLR", "arXiv", 0, "1", HIGH, "SimCLR"),
)


def settle(inputs: Inputs) -> Table:
    """Accuracies by regime, relation and labels a class, and the differences that the two abstracts disagree on.

    The tidy table has a row an accuracy (`what`: accuracy) and a row a difference with its verdict. Intervals are
    Student's t over seeds (trained) or draws of images (linear). `weight` is VICReg's invariance weight, in the linear
    regime times the mean degree of G; `chance` the accuracy (%) of guessing one of as many classes.
    """
    exact = pd.DataFrame(linear(inputs))
    samples = pd.concat([pd.DataFrame(trained(inputs)), exact], ignore_index=True)
    if samples.empty:
        return Table(pd.DataFrame(columns=[*COLUMNS, "verdict"]), pd.DataFrame(columns=["question"]))
    keys = ["regime", "setting", "relation", "pairs", "labels", "weight"]
    rows = []
    for values, group in samples.groupby(keys, sort=False, dropna=False):
        row = {"what": "accuracy", **dict(zip(keys, values, strict=True))}
        rows.append(row | _interval(group["accuracy"].dropna().tolist()))
    differences = list(_differences(samples))
    tidy = pd.DataFrame(rows + differences).assign(chance=_chance(inputs))
    return Table(tidy, pd.DataFrame(_shown(pd.DataFrame(differences))), _decided_on(exact))


def _decided_on(exact: pd.DataFrame) -> pd.DataFrame:
    """The linear regime's accuracies as claims see them."""
    if exact.empty:
        return exact
    run = exact["setting"] + ", " + exact["relation"] + ", draw " + exact["seed"].astype(str)
    source = "linear networks in closed form, over draws of images that overlap"
    return exact.assign(experiment="settle_linear", run=run, status="finished", source=source)


def trained(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """An accuracy (%) a run of the experiments on relation graphs and a number of labels; NaN where it diverged."""
    frame = inputs.frame[inputs.frame["experiment"].isin(["graph_vicreg", "graph_others"])]
    measured = measured_names(
        inputs.context.tier.probes.names
    )  # the columns are missing where every run diverged
    columns = {f"few{k}": str(k) for k in FEW if f"few{k}" in measured}
    columns |= dict.fromkeys([name for name in OFFLINE if name in measured][:1], "all")
    levels = frame["invariance"].dropna().unique().tolist() if "invariance" in frame else []
    for row in frame.to_dict("records"):
        setting, weight = row["label"], row["invariance"]
        if row["invariance"] == row["invariance"]:
            if row["invariance"] not in (levels[0], levels[-1]):
                continue
            setting = SMALL if row["invariance"] == levels[0] else HIGH
        common = _cell(TRAINED, setting, row["relation"], row["seed"]) | {"weight": weight}
        for name, labels in columns.items():
            yield common | {"labels": labels, "accuracy": 100 * row.get(name, float("nan"))}


def linear(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """An accuracy (%) a draw of images, relation, closed form of a linear network and number of labels.

    Networks see principal components of the images averaged to a few pixels. Nothing where the tier has no images of
    known factors, or no relation by a factor.
    """
    tier = inputs.context.tier
    specs = [spec for spec in tier.levels.relation if parse_relation(spec).kind == "factor"]
    slug, dataset = _images(inputs)
    if dataset is None or not specs:
        return
    train, test = components(dataset)
    labels, test_labels = np.array(dataset.train_labels), np.array(dataset.test_labels)
    classes, counts = np.unique(labels, return_counts=True)
    each = int(min(MOST, counts.min() // 2))
    shots = [k for k in FEW if k < each] + [each]
    names = [str(k) for k in shots[:-1]] + ["all"]
    for draw in range(DRAWS * tier.seeds):
        rng = np.random.default_rng([each, draw])
        members = (np.flatnonzero(labels == c) for c in classes)
        rows = np.concatenate([rng.choice(found, each, replace=False) for found in members])
        for spec in specs:
            graph = relation_graph(dataset, rows, spec, rng)
            for setting, weights in solutions(graph, train[rows]).items():
                features = train[rows] @ weights, labels[rows], test @ weights, test_labels
                found = few_label(*features, labels_per_class=shots, draws=LABEL_DRAWS, seed=draw)
                for k, name in zip(shots, names, strict=True):
                    cell = _cell(LINEAR, setting, spec, draw) | {
                        "weight": INVARIANCE.get(setting, float("nan"))
                    }
                    yield cell | {"labels": name, "accuracy": 100 * found[k].mean, "dataset": slug}


def _images(inputs: Inputs) -> tuple[str, Dataset | None]:
    """The tier's first data set whose images' factors are known, and its name."""
    found = ((slug, load(inputs.context.layout.data(slug))) for slug in inputs.context.tier.datasets)
    return next(((slug, dataset) for slug, dataset in found if dataset.meta["factors"]), ("", None))


def _chance(inputs: Inputs) -> float:
    _, dataset = _images(inputs)
    return 100 / len(dataset.classes) if dataset else float("nan")


def components(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading principal components of the training images, averaged to about SIDE px, and the test images' in them."""
    size = dataset.train_images.shape[1]
    block = max(1, size // SIDE)
    side = size - size % block

    def rows(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        cut = np.asarray(images[:, :side, :side], dtype=np.float64) / 255
        shape = (len(cut), side // block, block, side // block, block, cut.shape[-1])
        return np.asarray(cut.reshape(shape).mean(axis=(2, 4)).reshape(len(cut), -1))

    train, test = rows(dataset.train_images), rows(dataset.test_images)
    centre = train.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(train, rowvar=False))
    leading = vectors[:, ::-1][:, : min(COMPONENTS, len(values))]
    return (train - centre) @ leading, (test - centre) @ leading


def relation_graph(dataset: Dataset, rows: NDArray[np.intp], spec: str, rng: np.random.Generator) -> Any:
    """G of these images: those of one level of the factor are joined, and a share of the edges goes elsewhere."""
    relation = parse_relation(spec)
    factors = np.asarray(dataset.train_factors)[rows]
    graph = factor_graph(factors, dataset.meta["factors"], [str(relation.argument)])
    return rewired(graph, relation.wrong, generator=rng) if relation.wrong else graph


def solutions(graph: Any, x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Weights (D, K) of the optimal linear network of each setting, on features x (N, D), K at most their rank."""
    rank = int(np.linalg.matrix_rank(x - x.mean(axis=0)))
    k, degree = min(DIMENSION, rank), float(graph.sum()) / len(x)
    found = {name: cf.vicreg(graph, k, invariance=gamma / degree, X=x) for name, gamma in INVARIANCE.items()}
    found |= {"SimCLR": cf.simclr(graph, k, X=x), "Barlow Twins": cf.barlow_twins(graph, k, X=x)}
    return {name: result.weights for name, result in found.items() if result.weights is not None}


def _cell(regime: str, setting: str, relation: str, seed: int) -> dict[str, Any]:
    return {
        "regime": regime,
        "setting": setting,
        "relation": relation,
        "pairs": words(relation),
        "seed": seed,
    }


def _interval(values: list[float]) -> dict[str, float]:
    if not values:
        return {"n": 0} | {f"accuracy_{part}": float("nan") for part in PARTS}
    interval = mean_interval(values)
    return {"n": len(values)} | {f"accuracy_{part}": getattr(interval, part) for part in PARTS}


def _differences(samples: pd.DataFrame) -> Iterator[dict[str, Any]]:
    relations = list(dict.fromkeys(samples["relation"]))
    for question in QUESTIONS:
        relation = relations[question.relation]
        for (regime, labels), cells in samples[samples["relation"] == relation].groupby(
            ["regime", "labels"], sort=False
        ):
            sides = (
                cells[cells["setting"] == side].set_index("seed")["accuracy"].dropna()
                for side in (question.high, question.low)
            )
            pairs = pd.concat(list(sides), axis=1, join="inner").to_numpy()
            row = {"what": "difference", "regime": regime, "setting": question.text, "relation": relation}
            row |= {
                "pairs": words(relation),
                "labels": labels,
                **_interval((pairs[:, 0] - pairs[:, 1]).tolist()),
            }
            row |= {"advice": question.advice, "asked": labels == question.labels}
            yield row | {"verdict": _verdict(pairs)}


def _verdict(pairs: NDArray[np.float64]) -> str:
    """Whether the first of each pair is above the second, or the two are on par."""
    if len(pairs) < 2:
        return "inconclusive"
    high, low = pairs.T.tolist()
    found = order(high, low).verdict
    if found == "inconclusive" and equivalence(high, low, MARGIN).verdict == "equivalent":
        return f"same within {MARGIN:g}"
    return found


def _shown(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a question and regime; `settled` where both regimes give one verdict at the labels that it asks about."""
    rows = []
    for text, question in differences.groupby("setting", sort=False):
        asked = question[question["asked"]]
        verdicts = dict(zip(asked["regime"], asked["verdict"], strict=True))
        settled = len(verdicts) == 2 and len(set(verdicts.values())) == 1
        settled &= "inconclusive" not in verdicts.values()
        for regime, part in question.groupby("regime", sort=False):
            row: dict[str, Any] = {"question": text, "advice": part["advice"].iloc[0], "regime": regime}
            for found in part.to_dict("records"):
                row[_labels(found["labels"])] = _text(found)
            row |= {"verdict": verdicts.get(str(regime), ""), "settled": "yes" if settled else "no"}
            rows.append(row)
    return rows


def _labels(count: str) -> str:
    return {"1": "1 label a class", "all": "all labels"}.get(count, f"{count} labels a class")


def _text(found: dict[Any, Any]) -> str:
    if not found["n"]:
        return "diverged"
    # Rounded first, so that there is no minus zero.
    mean, low, high = (
        f"{round(found[f'accuracy_{part}'], 1) + 0.0:+.1f}" for part in ("mean", "low", "high")
    )
    return (f"{mean} [{low}, {high}]" if found["n"] > 1 else mean) + (" (asked)" if found["asked"] else "")
