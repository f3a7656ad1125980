"""Tables of HaoChen et al. 2021: the two-image example by hand, an augmentation graph counted anew, histograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.data.sources import load
from spectral_ssl.models.table import ENCODERS
from spectral_ssl.papers.haochen2021 import figures, graphs, real_graphs, tables
from spectral_ssl.papers.haochen2021.ablations import WORDS
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.stages import Context
from spectral_ssl.stages.views import subset

Fill = Callable[..., Context]


def inputs(context: Context) -> Inputs:
    return Inputs(context, "haochen2021")


def test_the_toy_graphs_entries_as_printed(fill: Fill) -> None:
    table = tables.toy_graph(inputs(fill()))
    names = ["lightning", "lightning, rotated", "cloud", "cloud, rotated"]
    blocks = {"w": (2 / 9, 1 / 9, 1 / 18), "normalised": (2 / 3, 2**0.5 / 3, 1 / 3)}
    for column, (kept, turned, both) in blocks.items():
        matrix = table.tidy.pivot(index="row", columns="column", values=column).loc[names, names].to_numpy()
        block = np.array([[kept, turned], [turned, both]])
        np.testing.assert_allclose(matrix, np.kron(np.eye(2), block), atol=1e-15)
    assert table.tidy["w"].sum() == pytest.approx(1)
    assert table.shown.loc[0, "lightning, rotated"] == "1/9 -> √2/3" == table.shown.loc[1, "lightning"]
    assert table.shown.loc[2, "lightning"] == "0 -> 0"
    assert table.shown["degree"].tolist() == ["1/3", "1/6"] * 2


def views_of(image: np.ndarray, levels: int) -> list[bytes]:
    """The nine shifts by at most a pixel, seen as 4 x 4 blocks of a few grey levels, one by one."""
    size, block = len(image), len(image) // 4
    found = []
    for down, right in product((-1, 0, 1), repeat=2):
        moved = np.zeros((size, size))
        for i, j in product(range(size), repeat=2):
            if 0 <= i - down < size and 0 <= j - right < size:
                moved[i, j] = image[i - down, j - right]
        means = [
            moved[a : a + block, b : b + block].mean() for a, b in product(range(0, size, block), repeat=2)
        ]
        found.append(bytes(int(mean * levels / 256) for mean in means))
    return found


def components(w: np.ndarray) -> int:
    """How many, by spreading labels along edges until nothing changes."""
    label = np.arange(len(w))
    while True:
        spread = np.where(w > 0, label[None, :], len(w)).min(axis=1)
        if (spread == label).all():
            return len(np.unique(label))
        label = np.minimum(label, spread)


def counted(images: np.ndarray, labels: np.ndarray, levels: int) -> dict[str, Any]:
    """The facts of the augmentation graph by counting views."""
    seen = [views_of(image, levels) for image in images]
    points = sorted({view for views in seen for view in views})
    p = np.array([[views.count(point) / 9 for point in points] for views in seen])
    w = np.mean([np.outer(row, row) for row in p], axis=0)
    degree = w.sum(axis=1)
    gamma = np.linalg.eigvalsh(w / np.sqrt(np.outer(degree, degree)))[::-1]
    right = [max(p[labels == c, x].sum() for c in set(labels)) for x in range(len(points))]
    alpha, gaps = 1 - sum(right) / len(images), 1 - np.append(gamma, 0.0)
    return {
        "images": len(images),
        "points": len(points),
        "components": components(w),
        "alpha": alpha,
        "rho_lower": gaps[len(set(labels)) - 1] / 2,
        "rho2_upper": np.sqrt(2 * max(gaps[1], 0)),
        "gamma": gamma,
        "bound": [4 * alpha / gap + alpha if gap > 1e-10 else np.inf for gap in gaps[1:]],
    }


def test_the_augmentation_graphs_facts_counted_anew(fill: Fill) -> None:
    context = fill()
    table = tables.augmentation_graph(inputs(context))
    dataset = load(context.layout.data("digits"))
    index = subset(dataset, 20)
    images, labels = dataset.train_images[index, :, :, 0], np.asarray(dataset.train_labels[index])
    names = list(dict.fromkeys(table.tidy["graph"]))
    assert names == table.shown["graph"].tolist()
    assert names[:3] == [f"digits: {levels} grey levels" for levels in (2, 3, 4)]
    assert {name.partition(":")[0] for name in names[4:]} == {"factors"}
    for levels, shown in zip((2, 3, 4), table.shown.to_dict("records"), strict=False):
        expected = counted(images, labels, levels)
        found = table.tidy[table.tidy["graph"] == f"digits: {levels} grey levels"]
        rank = int((expected["gamma"] > 1e-10).sum())
        assert found["index"].tolist() == list(range(1, rank + 1))  # no more than images
        np.testing.assert_allclose(found["eigenvalue"], expected["gamma"][:rank], atol=1e-9)
        np.testing.assert_allclose(found["bound"], expected["bound"][:rank], rtol=1e-6, atol=1e-12)
        first = found.iloc[0]
        for name in ("images", "points", "components"):
            assert first[name] == expected[name] == shown[name]
        for name in ("alpha", "rho_lower", "rho2_upper"):
            assert first[name] == pytest.approx(expected[name], abs=1e-7), name
        assert first["rho_lower"] <= first["rho_upper"] + 1e-9 <= 1 + 1e-9
        assert (found["bound"].iloc[9] >= 1) == ("vacuous" in shown["at k = 10"])
        assert "-0.000" not in "".join(map(str, shown.values()))
    assert (table.tidy["error"] <= table.tidy["bound"] + 1e-12).all()
    assert (table.tidy["vote"] <= 2 * table.tidy["bound"] + 1e-12).all()


def test_where_the_bound_says_something_is_told(fill: Fill) -> None:
    table = tables.augmentation_graph(inputs(fill()))
    shown = table.shown.set_index("graph")
    kept, leaking = "factors: all but the shape redrawn", "factors: all redrawn, the shape by 5 %"
    # Four components of one shape each: no error from k = 4 on, and no bound before.
    part = table.tidy[table.tidy["graph"] == kept].set_index("index")
    assert part["bound"].tolist() == [np.inf] * 3 + [0.0]
    assert part.loc[4, "error"] == 0
    assert part["components"].iloc[0] == 4
    assert shown.loc[kept, "bound below 1 from k"] == "4: 0.000 <= 0"
    # Three shapes in four are wrong where the shape is redrawn, in one image of twenty; gamma_5 is zero.
    part = table.tidy[table.tidy["graph"] == leaking].set_index("index")
    assert part.loc[4, ["alpha", "error", "bound"]].tolist() == pytest.approx([3 / 80, 3 / 80, 15 / 80])
    assert shown.loc["factors: only the shape redrawn", "bound below 1 from k"] == "never"


def test_images_without_a_class_and_sizes_that_blocks_do_not_cover(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = fill()
    whole = real_graphs.grey(load(context.layout.data("digits")), 20)

    def changed(folder: Any) -> Any:
        dataset = load(folder)
        if dataset.meta["factors"]:
            return dataset
        return replace(
            dataset,
            train_images=np.pad(dataset.train_images, ((0, 0), (0, 1), (0, 1), (0, 0))),  # 9 px
            train_labels=np.where(np.arange(60) % 2, dataset.train_labels, -1),
        )

    monkeypatch.setattr(real_graphs, "load", changed)
    monkeypatch.setattr(graphs, "load", changed)
    images, labels = real_graphs.grey(changed(context.layout.data("digits")), 20)
    assert images.shape[1:] == whole[0].shape[1:] == (8, 8)
    assert 0 < len(images) == len(labels) < 20
    assert labels.min() >= 0
    found = tables.augmentation_graph(inputs(context)).shown
    assert found["images"].tolist()[:4] == [len(images)] * 4
    assert len(tables.augmentation_matrix(inputs(context)).tidy) > 0


def edges(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Agreements at both ends of the range, some beyond it by rounding."""
    pairs = np.array([[[-1.0000001, 0.01, 1.0, 1.0000001]] * 2, [[0.99, 0.99, 0.99, 0.99]] * 2])
    return {"agreement": pairs.astype(np.float32)}


def test_agreement_counts_every_pair_once(fill: Fill) -> None:
    tidy = tables.agreement(inputs(fill(features=edges))).tidy
    keys = ["time", "pair"]
    np.testing.assert_allclose(tidy.groupby(keys)["share"].sum(), 1)
    before = tidy.query("time == 'before' and pair == 'one image'")
    assert before["low"].iloc[0] == -1
    assert before["high"].iloc[-1] == 1
    assert before.loc[before["share"] > 0, "share"].tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert before["share"].iloc[-1] == 0.5
    after = tidy.query("time == 'after' and pair == 'two images'")
    assert after["share"].tolist() == [0.0] * 39 + [1.0]


def test_agreement_is_the_mean_over_seeds_of_the_spectral_loss(fill: Fill) -> None:
    context = fill()
    given = inputs(context)
    tidy = tables.agreement(given).tidy
    runs = given.experiment("table2").query("method == 'spectral'")["run"]
    assert len(runs) == 2
    values = [np.load(context.layout.runs / run / "features.npz")["agreement"][1, 0] for run in runs]
    part = tidy.query("time == 'after' and pair == 'one image'")
    for row in part.to_dict("records"):
        inside = np.mean([((v >= row["low"]) & (v < row["high"])).mean() for v in values])
        assert row["share"] == pytest.approx(inside)


def test_tables_of_accuracy_by_hand(fill: Fill) -> None:
    given = inputs(fill())
    ablations = tables.ablations(given)
    settings = ablations.shown["setting"].tolist()
    assert settings == [
        *(f"{name}, batch size {n}" for name in ("Spectral contrastive", "SimCLR") for n in (32, 64)),
        *(["no head"] if "none" in given.context.tier.levels.head else []),
        *("linear", "MLP, 32 hidden", "clipped to the ball", "put on the sphere"),
        *(f"{encoder}, {name}" for encoder in ("MLP", "convolutional, narrow") for name in ("SGD", "AdamW")),
    ]
    rows = given.experiment("function_class").query("encoder == 'mlp' and optimiser == 'sgd'")
    cell = ablations.tidy.query("encoder == 'mlp' and optimiser == 'sgd'")
    assert cell["accuracy_mean"].item() == pytest.approx(rows["accuracy"].mean())
    assert cell["setting"].item() == "MLP, SGD"
    figure = figures.ablations({"ablations": ablations.tidy})
    ticks = [tick.get_text().replace("\n", " ") for tick in figure.axes[3].get_xticklabels()]
    assert ticks == ["MLP", "convolutional, narrow"]
    assert set(WORDS["encoder"]) == set(ENCODERS)
    table2 = tables.table2(given)
    assert table2.shown["method"].tolist() == ["SimCLR", "BYOL", "MoCo v2", "SimSiam", "Spectral contrastive"]
    assert table2.shown["printed (ImageNet)"].tolist() == ["66.5", "66.5", "67.4", "68.1", "66.97"]
    means = given.experiment("table2").groupby("label", sort=False)["accuracy"].mean()
    pd.testing.assert_series_equal(
        table2.tidy.set_index("label")["accuracy_mean"], means, check_names=False, rtol=1e-12
    )


def test_diverged_runs_are_told(fill: Fill) -> None:
    given = inputs(fill(diverged=lambda method: method == "spectral"))
    for make in (tables.table2, tables.ablations, tables.agreement):
        assert "diverged" in make(given).shown.astype(str).to_numpy(), make.__name__
    assert tables.agreement(given).tidy["share"].isna().all()
