"""Accuracies of HaoChen et al. 2021: schedules and read-outs, comparable printed values, and what figures show."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectral_ssl.config import load_tier
from spectral_ssl.papers.haochen2021 import figures, tables
from spectral_ssl.papers.haochen2021.printed import printed
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.stages import Context

Fill = Callable[..., Context]
CONFIG = Path(__file__).parents[2] / "config"
NAMES = ("table1", "table2", "table3", "ablations")
ONE_LEVEL = ("levels.epochs=[2]", "levels.mu=[3]", "levels.batch_size=[32]", "levels.head=[linear]")


def inputs(context: Context) -> Inputs:
    return Inputs(context, "haochen2021")


def drawn(name: str, *made: Table, **changes: pd.DataFrame) -> Figure:
    """The figure from tables as their files hold them, without a warning."""
    read = {
        key: pd.read_csv(io.StringIO(table.tidy.to_csv(index=False)))
        for key, table in zip(NAMES, made, strict=False)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure: Figure = getattr(figures, name)(read | changes)
        figure.savefig(io.BytesIO(), format="png")
    return figure


def shown(axes: Axes) -> dict[str, list[float]]:
    """The means that a panel shows, by the name of their series."""
    return {
        str(container.get_label()): container.lines[0].get_ydata().tolist() for container in axes.containers
    }


def rings(axes: Axes) -> np.ndarray:
    """Where printed values are marked."""
    found = [line.get_xydata() for line in axes.lines if line.get_label() == "printed"]
    return np.concatenate(found) if found else np.empty((0, 2))


def test_own_schedules_and_read_outs_side_by_side(fill: Fill) -> None:
    given = inputs(fill())
    table = tables.table1(given)
    means = given.frame.groupby(["experiment", "method", "epochs"])["accuracy"].mean()
    assert len(table.tidy) == 6
    for row in table.tidy.to_dict("records"):
        cell = row["method"], row["epochs"]
        assert row["accuracy_mean"] == pytest.approx(means["table1", *cell])
        assert row["readout_mean"] == pytest.approx(means["table1_readout", *cell])
        assert (row["readout_mean"] == pytest.approx(row["accuracy_mean"])) == (row["epochs"] == 2)
    assert table.shown["method"].tolist() == ["SimCLR"] * 2 + ["SimSiam"] * 2 + ["Spectral contrastive"] * 2
    assert table.shown["lengths"].tolist() == ["schedules of their own", "read-outs of the longest"] * 3
    own, readouts = drawn("table1", table).axes
    spectral = table.tidy[table.tidy["method"] == "spectral"]
    assert shown(own)["Spectral contrastive"] == pytest.approx(spectral["accuracy_mean"].tolist())
    assert shown(readouts)["Spectral contrastive"] == pytest.approx(spectral["readout_mean"].tolist())
    assert [axes.get_title() for axes in (own, readouts)] == [
        "digits: schedules of their own",
        "digits: read-outs of the longest",
    ]


def test_beside_digits_stand_cifar_10s_values_and_none_is_drawn(fill: Fill) -> None:
    table = tables.table1(inputs(fill()))
    values = table.shown[["method", "printed 200", "printed 400", "printed 800"]].iloc[-1].tolist()
    assert values == ["Spectral contrastive", "88.66", "90.17", "92.07"]
    assert table.tidy["printed"].isna().all()
    assert all(len(rings(axes)) == 0 for axes in drawn("table1", table).axes)


@pytest.mark.parametrize(
    ("name", "grid", "method", "settings", "expected"),
    [
        ("gpu", "table1", "spectral", {"epochs": 400}, 90.17),
        ("gpu", "table1", "simsiam", {"epochs": 200}, 87.54),
        ("gpu", "table1", "spectral", {"epochs": 300}, None),  # a length that is not printed
        ("gpu", "table1", "spectral", {"encoder": "conv32"}, None),
        ("gpu", "table2", "spectral", {"epochs": 100}, None),
        ("gpu", "table3", "spectral", {"hyperparameters.mu": 10}, None),
        ("cluster", "table1", "simclr", {"epochs": 800}, 48.12),
        ("cluster", "table3", "spectral", {"hyperparameters.mu": 10}, 41.30),
        ("cluster", "table3", "spectral", {"hyperparameters.mu": 3}, None),
        ("imagenet", "table2", "spectral", {}, 66.97),
        ("imagenet", "table2", "spectral", {"batch_size": 96}, None),
        ("imagenet", "table2", "simsiam", {}, None),  # quoted from a paper of another recipe
        ("imagenet", "table2", "moco_v2", {"epochs": 200}, None),
        ("laptop", "table2", "spectral", {}, None),
    ],
)
def test_a_printed_value_is_comparable_at_its_data_set_encoder_and_length(
    name: str, grid: str, method: str, settings: dict[str, Any], expected: float | None
) -> None:
    from spectral_ssl.papers.manifest import resolve

    context = Context(load_tier(name, (), CONFIG), Path(), quiet=True)
    run = resolve(context.tier, method, settings, 0)
    context.__dict__["manifest"] = replace(context.manifest, runs={run.id: run})
    found = printed(inputs(context), grid, method, run.id)
    assert found == expected or (expected is None and np.isnan(found))


def test_comparable_values_are_rings_in_every_panel_of_their_data_set(fill: Fill) -> None:
    table = tables.table1(inputs(fill()))
    more = table.tidy.assign(dataset="cifar100", readout_mean=np.nan, printed=[10.0 * n for n in range(1, 7)])
    both = pd.concat([table.tidy, more], ignore_index=True)
    own, readouts, beside, empty = drawn("table1", table1=both).axes
    assert len(rings(own)) == len(rings(readouts)) == 0
    assert rings(beside).tolist() == [[1, 10], [2, 20], [1, 30], [2, 40], [1, 50], [2, 60]]
    assert not empty.axison  # no read-outs of that data set


def test_comparable_values_beside_methods_and_mu(fill: Fill) -> None:
    given = inputs(fill())
    table2, table3 = tables.table2(given), tables.table3(given)
    frame = table2.tidy.assign(printed=[66.5, np.nan, 67.4, 68.1, 66.97])
    (axes,) = drawn("table2", table2=frame).axes
    assert rings(axes).tolist() == [[0, 66.5], [2, 67.4], [3, 68.1], [4, 66.97]]
    names = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert names == ["SimCLR", "BYOL", "MoCo v2", "SimSiam", "Spectral contrastive"]  # the paper's order
    assert shown(axes)["measured"] == pytest.approx(frame["accuracy_mean"].tolist())
    (axes,) = drawn("table3", table3=table3.tidy.assign(printed=[28.76, 41.3])).axes
    assert rings(axes).tolist() == [[1, 28.76], [10, 41.3]]


def test_ablations_have_a_panel_each(fill: Fill) -> None:
    table = tables.ablations(inputs(fill()))
    batches, heads, projections, classes = drawn("ablations", ablations=table.tidy).axes
    found = table.tidy.set_index("setting")["accuracy_mean"]
    for label in ("Spectral contrastive", "SimCLR"):
        expected = [found[f"{label}, batch size {size}"] for size in (32, 64)]
        assert shown(batches)[label] == pytest.approx(expected)
    settings = [label.get_text() for label in heads.get_xticklabels()]
    assert shown(heads)["Spectral contrastive"] == pytest.approx([found[name] for name in settings])
    expected = [found["clipped to the ball"], found["put on the sphere"]]
    assert shown(projections)["Spectral contrastive"] == pytest.approx(expected)
    for optimiser in ("SGD", "AdamW"):
        expected = [found[f"{encoder}, {optimiser}"] for encoder in ("MLP", "convolutional, narrow")]
        assert shown(classes)[optimiser] == pytest.approx(expected)
    marks = [panel.containers[n].lines[0].get_marker() for panel in (batches, classes) for n in (0, 1)]
    assert len(set(marks)) == 4  # methods and optimisers are told apart without colour


@pytest.mark.parametrize("overrides", [("seeds=1",), ONE_LEVEL], ids=["one seed", "one level"])
@pytest.mark.parametrize("lost", [False, True], ids=["finished", "diverged"])
def test_small_tiers_have_every_table_and_figure(fill: Fill, overrides: tuple[str, ...], lost: bool) -> None:
    given = inputs(fill(*overrides, diverged=lambda method: lost or method == "simsiam"))
    made = [getattr(tables, name)(given) for name in NAMES]
    for name, table in zip(NAMES, made, strict=True):
        text = table.shown.astype(str).to_numpy()
        assert not np.isin(text, ["nan", "None"]).any()
        if lost:
            assert (np.char.find(text.astype(str), "diverged") >= 0).any(axis=1).all(), name
        assert len(drawn(name, *made).axes) >= 1
    if overrides == ONE_LEVEL:  # a read-out of the only length is that length's own schedule
        assert set(made[0].shown["lengths"]) == {"schedules of their own"}
        assert len(drawn("table1", *made).axes) == 1
