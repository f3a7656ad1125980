"""Supplements C, E and G of Garrido et al. 2023: a correlation, Lemma 3.4's quantities and bounds, dominance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from spectral_ssl.evaluate.duality import duality_statistics
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.garrido2023 import figures, tables
from spectral_ssl.papers.garrido2023.closeness import from_history, over_lower
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.ledger import ledger
from spectral_ssl.stages import Context
from spectral_ssl.train.diagnostics import look

Fill = Callable[..., Context]


def inputs(context: Context) -> Inputs:
    return Inputs(context, "garrido2023")


def test_both_ends_of_the_lemma_are_reached_and_nothing_lies_beyond() -> None:
    one_row = np.zeros((5, 12))
    one_row[2] = np.linspace(-2, 3, 12)
    assert over_lower(one_row) == (pytest.approx(5), 5)  # everything in one dimension
    assert over_lower(np.ones((5, 12))) == (pytest.approx(1), 5)  # all dimensions alike, of rank 1
    rng = np.random.default_rng(0)
    for _ in range(50):
        value, upper = over_lower(rng.normal(size=(7, 30)) * rng.lognormal(size=(7, 1)))
        assert 1 <= value <= upper == 7
    with_zeros = np.hstack([np.ones((5, 12)), np.zeros((5, 3))])
    assert over_lower(with_zeros)[0] == pytest.approx(1)  # samples of length 0 are none


def test_the_quantity_is_the_evaluations_and_the_historys() -> None:
    """Three routes: this module's, the probe's, and by Theorem 3.3 from the criteria of a row of history."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(90, 8)) * rng.uniform(0.2, 3, size=8) + 0.4
    value, _ = over_lower(z.T)
    assert value == pytest.approx(duality_statistics(z)["dimension_concentration"])
    row = look(torch.from_numpy(z), torch.from_numpy(z))
    history = pd.DataFrame([{"epoch": 1, **{name: float(f"{number:.6g}") for name, number in row.items()}}])
    assert from_history(history, 8)["over_lower"].tolist() == pytest.approx([value], rel=1e-3)
    wrong = history.assign(dimension_contrastive=history["sample_contrastive"])
    assert abs(from_history(wrong, 8)["over_lower"][0] - value) > 0.1
    assert from_history(history[["epoch"]], 8).empty


def test_closeness_by_method_and_epoch(fill: Fill) -> None:
    given = inputs(fill(diverged=lambda method: method == "simclr_a"))
    rng = np.random.default_rng(2)
    finished = given.experiment("table1").query("status == 'finished'")
    for run in finished["run"]:
        rows = [
            look(*[torch.from_numpy(rng.normal(size=(30, 8)))] * 2) | {"epoch": epoch} for epoch in (1, 2)
        ]
        pd.DataFrame(rows).to_csv(given.context.layout.runs / run / "history.csv", index=False)
    table = tables.supplement_e(given)
    ends = table.tidy[table.tidy["epoch"].isna()].set_index(["method", "side"])
    files = [
        np.load(given.context.layout.runs / run / "features.npz")["embeddings"]
        for run in finished.query("method == 'vicreg'")["run"]
    ]
    expected = np.mean([over_lower(z.T.astype(float))[0] for z in files])
    assert ends.loc[("vicreg", "samples"), "over_lower_mean"] == pytest.approx(expected)
    mirrored = np.mean([over_lower(z.astype(float))[0] for z in files])
    assert ends.loc[("vicreg", "dimensions"), "over_lower_mean"] == pytest.approx(mirrored)
    assert ends.loc[("vicreg", "samples"), "upper"] == 8
    assert ends.loc[("vicreg", "dimensions"), "upper"] == 40
    assert set(table.tidy["epoch"].dropna()) == {1, 2}
    shown = table.shown.set_index("method")
    assert set(shown.loc["SimCLR + centring"]) == {"diverged"}
    assert shown.loc["VICReg"].iloc[0].endswith("of 8")
    check_figure(table.tidy)


def check_figure(tidy: pd.DataFrame) -> None:
    """The means, the bounds and the course are what the table has."""
    samples, dimensions, course, _ = figures.supplement_e({"supplement_e": tidy}).axes
    for axes, side in ((samples, "samples"), (dimensions, "dimensions")):
        part = tidy[tidy["epoch"].isna() & (tidy["side"] == side)].dropna(subset=["over_lower_mean"])
        means = [float(container.lines[0].get_xdata()[0]) for container in axes.containers]
        np.testing.assert_allclose(means, part["over_lower_mean"])
        spans = [
            drawn.get_segments()[0][:, 0].tolist() for drawn in axes.collections if len(drawn.get_segments())
        ]
        assert [1.0, float(part["upper"].iloc[0])] in spans
    assert len([line for line in course.lines if len(line.get_xdata()) == 2]) >= 5


def test_supplement_c_is_the_ledgers_correlation(fill: Fill) -> None:
    given = inputs(fill())
    (row,) = tables.supplement_c(given).tidy.to_dict("records")
    runs = given.experiment("figure1").drop_duplicates("run")
    assert row["runs"] == len(runs)
    assert row["correlation"] == pytest.approx(runs["online"].corr(runs["offline"]))
    marks = tables.table1(given).tidy
    found = ledger(Evidence(given.context, "garrido2023", given.frame, given.theorems, marks)).set_index(
        "entry"
    )
    entry = found.loc["supplement-c"]
    assert (row["correlation"], row["low"], row["high"]) == (
        entry["measured"],
        entry["ci_low"],
        entry["ci_high"],
    )
    title = (
        figures.supplement_c(
            {"supplement": tables.supplement(given).tidy, "supplement_c": pd.DataFrame([row])}
        )
        .axes[0]
        .get_title()
    )
    assert (
        title == f"correlation {row['correlation']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
    )


def test_supplement_g_draws_the_default_networks_means(fill: Fill) -> None:
    given = inputs(fill())
    table = tables.supplement(given).tidy
    wanted = given.frame[given.frame["experiment"].isin(["table1", "supplement_d"])].drop_duplicates("run")
    assert table["default"].sum() == len(wanted) < len(table)
    panels = figures.supplement_g({"supplement": table}).axes
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    column = "representation_covariance_dominance"
    drawn = dict(zip(names, panels[3].containers[0].lines[0].get_xdata(), strict=True))
    expected = wanted.groupby("label")[column].mean().to_dict()
    assert drawn == pytest.approx(expected)
    assert len(names) == 8
