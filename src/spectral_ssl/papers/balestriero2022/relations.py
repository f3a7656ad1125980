"""Tables of relation graphs: what they look like, and what training on them is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from spectral_ssl.data.arrays import read_array
from spectral_ssl.data.graph import load_graph
from spectral_ssl.data.pairing import parse_relation
from spectral_ssl.data.relations import alignment as align
from spectral_ssl.data.relations import factor_graph, labels_graph, neighbours_graph, rewired
from spectral_ssl.data.sources import Dataset, load
from spectral_ssl.evaluate import measured_names
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import OFFLINE, summarise, text
from spectral_ssl.stages.views import subset

DRAWN = 60  # images a picture shows
CLASSES = 10  # of so many classes, so that images of one class are among them
NEIGHBOURS = 5
WRONG = 0.5


def alignment(inputs: Inputs) -> Table:
    """Accuracy (%) by relation, method, VICReg's invariance weight and number of labels; a row of these each.

    `labels` is the labels a class, or `all` for the linear classifier on every label; `chance` the accuracy of guessing
    one of as many classes. Empty where the tier has no such data.
    """
    frame = inputs.frame[inputs.frame["experiment"].isin(["graph_vicreg", "graph_others"])]
    if frame.empty:
        return Table(pd.DataFrame(columns=["setting", "pairs", "labels"]), pd.DataFrame(columns=["method"]))
    context = inputs.context
    dataset = context.manifest.runs[frame["run"].iloc[0]].dataset
    chance = 100 / len(load(context.layout.data(dataset)).classes)
    named = frame.assign(pairs=[words(spec) for spec in frame["relation"]], setting=settings(frame))
    parts = []
    for column, labels in measured_labels(context.tier.probes.names).items():
        accuracy = 100 * named[column] if column in named else float("nan")
        part = named.assign(labels=labels, chance=chance, accuracy=accuracy)
        parts.append(summarise(part, ["setting", "relation", "pairs", "labels", "chance"], ["accuracy"]))
    tidy = pd.concat(parts, ignore_index=True)
    shown = pd.DataFrame(
        [
            {"method": setting, "labels a class": labels}
            | {str(row["pairs"]): text(row, "accuracy") for row in group.to_dict("records")}
            for (setting, labels), group in tidy.groupby(["setting", "labels"], sort=False)
        ]
    )
    order = list(dict.fromkeys(tidy["setting"]))
    return Table(tidy, shown.sort_values("method", key=lambda names: names.map(order.index), kind="stable"))


def settings(frame: pd.DataFrame) -> list[str]:
    """Each row's method and, for VICReg, its invariance weight."""
    return [
        row["label"] + (f", invariance {row['invariance']:g}" if row["invariance"] > 0 else "")
        for row in frame.to_dict("records")
    ]


def measured_labels(probes: Sequence[str]) -> dict[str, str]:
    """Columns of the accuracies that a tier measures from few labels and from all, fewest first, to labels a class."""
    names = measured_names(probes)
    counts = sorted(int(name.removeprefix("few")) for name in names if name.startswith("few"))
    found = {f"few{count}": str(count) for count in counts}
    return found | dict.fromkeys([name for name in OFFLINE if name in names][:1], "all")


def words(spec: str) -> str:
    """What a pair of this relation shares."""
    relation = parse_relation(spec)
    shared = relation.argument if relation.kind == "factor" else spec.split("+")[0]
    return f"{shared}, {100 * relation.wrong:g} % wrong" if relation.wrong else str(shared)


def relations(inputs: Inputs) -> Table:
    """Relation graphs of a few training images in the order of their classes: a row an entry above zero."""
    rows, shown = [], []
    for title, graph, labels in _graphs(inputs):
        found = align(graph, labels)
        entries = sparse.csr_array(graph).tocoo()
        rows += [
            {"graph": title, "row": i, "column": j, "weight": value, "size": graph.shape[0]}
            for i, j, value in zip(entries.row, entries.col, entries.data, strict=True)
        ]
        shown.append(
            {
                "graph": title,
                "samples": graph.shape[0],
                "entries": entries.nnz,
                "within one class": f"{100 * found.observed:.0f} %",
                "by chance": f"{100 * found.expected:.0f} %",
            }
        )
    return Table(pd.DataFrame(rows), pd.DataFrame(shown))


def _graphs(inputs: Inputs) -> Iterator[tuple[str, sparse.csr_array, np.ndarray]]:
    context = inputs.context
    tier, generator = context.tier, np.random.default_rng(0)
    views = context.layout.views(tier.data.slug, tier.training.augmentation)
    dataset = load(context.layout.data(tier.data.slug))
    index = read_array(views / "index.npy", kinds="i", ndim=1)
    chosen = _by_class(index, dataset)
    labels = np.asarray(dataset.train_labels)[index[chosen]]
    nodes = np.concatenate([view * len(index) + chosen for view in range(tier.views.views)])
    graph = load_graph(views / "G.npz")[nodes][:, nodes]
    yield f"{tier.views.views} views", graph, np.tile(labels, tier.views.views)
    pixels = np.asarray(dataset.train_images[index[chosen]], dtype=np.float64).reshape(len(chosen), -1)
    yield f"{NEIGHBOURS} nearest neighbours", neighbours_graph(pixels, NEIGHBOURS), labels
    same = labels_graph(labels)
    if same.nnz:  # some class has two images
        yield "labels", same, labels
        yield f"labels, {100 * WRONG:g} % wrong", rewired(same, WRONG, generator=generator), labels
    for companion in tier.companions.values():
        other = load(context.layout.data(companion.data.slug))
        index = subset(other, DRAWN)
        for spec in tier.levels.relation:
            relation = parse_relation(spec)
            if relation.kind == "factor" and not relation.wrong:
                name = str(relation.argument)
                graph = factor_graph(np.asarray(other.train_factors[index]), other.meta["factors"], [name])
                yield f"{companion.data.slug}: same {name}", graph, np.asarray(other.train_labels)[index]


def _by_class(index: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Positions in `index` of at most DRAWN images of the first classes, evenly spread, in the order of the classes."""
    labels = np.asarray(dataset.train_labels)[index]
    known = np.unique(labels[labels >= 0])[:CLASSES]
    members = np.flatnonzero(np.isin(labels, known))
    few = members[np.linspace(0, len(members) - 1, min(DRAWN, len(members))).round().astype(int)]
    return np.asarray(few[np.argsort(labels[few], kind="stable")])
