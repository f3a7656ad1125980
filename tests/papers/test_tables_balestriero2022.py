"""Tables of Balestriero & LeCun 2022: relation graphs entry by entry, and accuracies by what pairs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.data.sources import load
from spectral_ssl.errors import UserError
from spectral_ssl.papers.balestriero2022 import figures, tables
from spectral_ssl.papers.balestriero2022 import relations as module
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.stages import Context
from spectral_ssl.stages.views import subset

Fill = Callable[..., Context]
SHARED = ["shape", "shape, 50 % wrong", "colour"]
TITLES = ["2 views", "5 nearest neighbours", "labels", "labels, 50 % wrong"]


def inputs(context: Context) -> Inputs:
    return Inputs(context, "balestriero2022")


def dense(tidy: pd.DataFrame, graph: str) -> np.ndarray:
    part = tidy[tidy["graph"] == graph]
    found = np.zeros((int(part["size"].iloc[0]),) * 2)
    found[part["row"], part["column"]] = part["weight"]
    return found


def test_relation_graphs_entry_by_entry(fill: Fill) -> None:
    context = fill()
    table = tables.relations(inputs(context))
    factor_graphs = ["factors: same shape", "factors: same colour"]
    assert table.shown["graph"].tolist() == TITLES + factor_graphs
    shown = table.shown.set_index("graph")

    np.testing.assert_array_equal(dense(table.tidy, "2 views"), np.kron([[0, 1], [1, 0]], np.eye(20)))
    dataset = load(context.layout.data("digits"))
    labels = np.sort(np.asarray(dataset.train_labels)[subset(dataset, 20)])
    same = (labels[:, None] == labels) & ~np.eye(20, dtype=bool)
    np.testing.assert_array_equal(dense(table.tidy, "labels"), same)
    assert shown.loc["labels", "within one class"] == "100 %" == shown.loc["2 views", "within one class"]
    assert shown.loc["labels", "by chance"] == f"{100 * same.sum() / (20 * 19):.0f} %"
    assert shown.loc["labels", "entries"] == same.sum()

    wrong = dense(table.tidy, "labels, 50 % wrong")
    assert wrong.sum() == same.sum()
    assert (wrong[~same].sum() / wrong.sum()) == pytest.approx(0.5, abs=0.1)

    other = load(context.layout.data("factors"))
    index = subset(other, 60)
    for column, name in enumerate(other.meta["factors"]):
        if name in ("shape", "colour"):
            values = np.asarray(other.train_factors)[index, column]
            expected = (values[:, None] == values) & ~np.eye(60, dtype=bool)
            np.testing.assert_array_equal(dense(table.tidy, f"factors: same {name}"), expected)
    assert shown.loc["factors: same shape", "within one class"] == "100 %"  # the class is the shape
    assert shown.loc["factors: same colour", "within one class"] != "100 %"


def test_neighbours_are_symmetric_and_nearest(fill: Fill) -> None:
    context = fill()
    found = dense(tables.relations(inputs(context)).tidy, "5 nearest neighbours")
    dataset = load(context.layout.data("digits"))
    index = np.load(context.layout.views("digits", "digits_affine") / "index.npy")
    chosen = index[module._by_class(index, dataset)]
    assert np.all(np.diff(np.asarray(dataset.train_labels)[chosen]) >= 0)
    x = dataset.train_images[chosen].reshape(20, -1).astype(float)
    distances = ((x[:, None] - x) ** 2).sum(axis=2) + np.diag([np.inf] * 20)
    near = np.argsort(distances, axis=1, kind="stable")[:, :5]
    expected = np.zeros((20, 20))
    expected[np.arange(20)[:, None], near] = 1
    np.testing.assert_array_equal(found, np.maximum(expected, expected.T))


class Many:
    """A data set of so many classes that images evenly spread are of as many."""

    def __init__(self, labels: np.ndarray) -> None:
        self.train_labels = labels


@pytest.mark.parametrize(("classes", "each"), [(200, 5), (10, 100), (3, 4)])
def test_drawn_images_are_of_few_classes_in_their_order(classes: int, each: int) -> None:
    labels = np.repeat(np.arange(classes), each)
    index = np.arange(len(labels))
    chosen = module._by_class(index, Many(labels))  # type: ignore[arg-type]
    found = labels[chosen]
    assert len(chosen) == len(set(chosen)) == min(60, 10 * each, classes * each)
    assert np.all(np.diff(found) >= 0)
    assert len(set(found)) == min(classes, 10)
    assert (found[:, None] == found).sum() > len(found)  # pairs of one class are among them
    unlabelled = module._by_class(index, Many(np.where(index % 2, labels, -1)))  # type: ignore[arg-type]
    assert np.all(unlabelled % 2 == 1)


def test_classes_of_one_image_have_no_graph_of_labels(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "_by_class", lambda index, dataset: one_each(np.asarray(dataset.train_labels)[index])
    )
    table = tables.relations(inputs(fill()))
    assert table.shown["graph"].tolist()[:3] == [*TITLES[:2], "factors: same shape"]


def one_each(labels: np.ndarray) -> Any:
    return np.unique(labels, return_index=True)[1]


def test_accuracies_by_what_pairs_share_and_number_of_labels(fill: Fill) -> None:
    given = inputs(fill())
    table = tables.alignment(given)
    assert table.shown.columns.tolist() == ["method", "labels a class", *SHARED]
    settings = ["VICReg, invariance 1", "VICReg, invariance 25", "SimCLR", "Barlow Twins"]
    assert table.shown["method"].tolist() == [setting for setting in settings for _ in range(3)]
    assert table.shown["labels a class"].tolist() == 4 * ["1", "5", "all"]
    assert table.tidy["chance"].eq(25).all()
    rows = given.experiment("graph_vicreg").query("relation == 'factor:colour' and invariance == 25")
    for labels, probe in (("1", "few1"), ("5", "few5"), ("all", "lbfgs")):
        cell = table.tidy.query(f"pairs == 'colour' and setting == '{settings[1]}' and labels == '{labels}'")
        assert cell["n"].item() == len(rows) == 2
        assert cell["accuracy_mean"].item() == pytest.approx(100 * rows[probe].mean())


def test_alignment_is_drawn_by_relation_and_number_of_labels(fill: Fill, tmp_path: Path) -> None:
    tidy = tables.alignment(inputs(fill())).tidy
    tidy.to_csv(tmp_path / "tidy.csv", index=False)
    axes = figures.alignment({"alignment": pd.read_csv(tmp_path / "tidy.csv")}).axes
    assert [panel.get_title() for panel in axes] == [f"pairs share {shared}" for shared in SHARED]
    for panel, shared in zip(axes, SHARED, strict=True):
        assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "5", "all"]
        assert len(panel.containers) == 4
        expected = tidy.query(f"pairs == '{shared}' and setting == 'VICReg, invariance 25'")
        heights = panel.containers[1].lines[0].get_ydata()
        assert list(heights) == pytest.approx(expected["accuracy_mean"].tolist())
        bars = panel.containers[1].lines[2][0].get_segments()
        assert [bar[0, 1] for bar in bars] == pytest.approx(expected["accuracy_low"].tolist())


def test_the_labels_that_a_tier_measures() -> None:
    found = module.measured_labels(["few10", "linear", "few5", "knn"])
    assert list(found.items()) == [("few5", "5"), ("few10", "10"), ("linear_last", "all")]
    assert module.measured_labels(["knn", "few2"]) == {"few2": "2"}
    with pytest.raises(UserError, match="'few'"):
        module.measured_labels(["few"])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("views", "views"),
        ("labels", "labels"),
        ("neighbours:5", "neighbours:5"),
        ("factor:colour", "colour"),
        ("factor:colour+wrong:0.25", "colour, 25 % wrong"),
        ("views+wrong:1.0", "views, 100 % wrong"),
    ],
)
def test_relations_in_words(spec: str, words: str) -> None:
    assert module.words(spec) == words


def test_without_a_companion_there_is_no_alignment(fill: Fill) -> None:
    given = inputs(fill("companions={}"))
    table = tables.alignment(given)
    assert table.tidy.empty
    assert table.shown.empty
    assert tables.relations(given).shown["graph"].tolist() == TITLES
    (axes,) = figures.alignment({"alignment": table.tidy}).axes
    assert axes.containers == []
