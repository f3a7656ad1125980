"""Tables of Garrido et al. 2023's supplement: densities that are densities, and a row a finished run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.evaluate.duality import duality_statistics
from spectral_ssl.papers.garrido2023 import figures, tables
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.stages import Context

Fill = Callable[..., Context]
M = 16
LABELS = ["SimCLR (tuned)", "SimCLR-sq", "SimCLR-abs"]


def inputs(context: Context) -> Inputs:
    return Inputs(context, "garrido2023")


def on_the_sphere(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Points spread uniformly over the sphere, of any length."""
    return {"embeddings": (rng.normal(size=(600, M)) * rng.uniform(1, 9, size=(600, 1))).astype(np.float32)}


def mean(shown: str) -> float:
    """The mean before an interval."""
    return float(shown.split(" ± ")[0])


def variance(part: pd.DataFrame, column: str) -> float:
    """A histogram's second moment about zero."""
    middle, width = (part["low"] + part["high"]) / 2, part["high"] - part["low"]
    return float((part[column] * width * middle**2).sum())


def test_densities_integrate_to_one_and_have_variance_1_over_m_on_the_sphere(fill: Fill) -> None:
    table = tables.supplement_d(inputs(fill(features=on_the_sphere)))
    assert list(dict.fromkeys(table.tidy["label"])) == LABELS == table.shown["method"].tolist()
    for _, part in table.tidy.groupby("label"):
        width = part["high"] - part["low"]
        assert (part["low"].iloc[0], part["high"].iloc[-1], len(part)) == (-1, 1, 80)
        assert (part["density"] * width).sum() == pytest.approx(1)
        assert (part["sphere"] * width).sum() == pytest.approx(1, abs=1e-4)  # the normal's tails beyond 1
        assert variance(part, "sphere") * M == pytest.approx(1, abs=0.01)
        assert variance(part, "density") * M == pytest.approx(1, abs=0.05)
        np.testing.assert_allclose(part["density"], part["sphere"], atol=0.15)
    assert all(mean(value) == pytest.approx(1, abs=0.05) for value in table.shown["M x variance"])
    assert all(mean(value) == pytest.approx(0, abs=0.01) for value in table.shown["mean cosine"])


def test_the_statistics_in_words_are_the_evaluations(fill: Fill) -> None:
    context = fill(features=lambda rng: {"embeddings": (rng.normal(size=(40, M)) + 1).astype(np.float32)})
    given = inputs(context)
    shown = tables.supplement_d(given).shown.set_index("method")
    for label, group in given.experiment("supplement_d").groupby("label"):
        files = (np.load(context.layout.runs / run / "features.npz")["embeddings"] for run in group["run"])
        found = [duality_statistics(z)["gram_variance_relative"] for z in files]
        assert mean(shown.loc[label, "M x variance"]) == pytest.approx(np.mean(found), rel=0.01)
        assert mean(shown.loc[label, "mean cosine"]) > 0.3  # they share a direction
        assert mean(shown.loc[label, "accuracy"]) == pytest.approx(group["accuracy"].mean(), abs=0.05)


def test_equal_embeddings_fall_into_the_last_bin(fill: Fill) -> None:
    ones = np.random.default_rng(0).uniform(1, 2, size=(30, 1)).astype(np.float32) @ np.ones(
        (1, M), np.float32
    )
    table = tables.supplement_d(inputs(fill(features=lambda rng: {"embeddings": ones})))
    last = table.tidy[table.tidy["high"] == 1]
    assert last["density"].tolist() == pytest.approx([40.0] * 3)  # 1 over a bin of 1/40
    assert table.tidy["density"].sum() == pytest.approx(120)
    assert table.shown["mean cosine"].tolist() == ["1.000 ± 0.000"] * 3


def test_the_supplement_has_a_row_a_finished_run(fill: Fill) -> None:
    given = inputs(fill(diverged=lambda method: method == "simclr_a"))
    table = tables.supplement(given)
    wanted = ["figure1", "table1", "supplement_d"]
    expected = given.frame[given.frame["experiment"].isin(wanted)].drop_duplicates("run")
    expected = expected[expected["method"] != "simclr_a"]
    assert len(table.tidy) == len(expected) > 40
    assert set(table.tidy["method"]) == set(expected["method"])
    assert (
        table.tidy["offline"].tolist() == expected["lbfgs"].tolist()
    )  # on all labels, not the tier's metric
    assert table.tidy["accuracy"].tolist() == (100 * expected["few5"]).tolist()
    rows = given.experiment("supplement_d").query("method == 'simclr_sq'")
    shown = table.shown.set_index("method")
    mean = rows["embedding_gram_dominance"].mean()
    assert shown.loc["SimCLR-sq", "Gram dominance, embedding"].startswith(f"{mean:.3f} ± ")
    assert set(shown.loc["SimCLR + centring"]) == {"diverged"}


def test_a_tier_without_a_linear_classifier_has_empty_columns(fill: Fill) -> None:
    given = inputs(fill("probes.names=[knn, few5]"))
    given.__dict__["frame"] = given.frame.drop(columns=["lbfgs", "offline"])
    table = tables.supplement(given)
    assert table.tidy["offline"].isna().all()
    pair = tables.supplement_c(given)
    assert pair.shown["correlation"].tolist() == ["too few runs"]
    assert figures.supplement_c({"supplement": table.tidy, "supplement_c": pair.tidy}).axes


def test_the_figures_panels_and_points(fill: Fill) -> None:
    given = inputs(fill())
    frames = {
        name: getattr(tables, name)(given).tidy for name in ("supplement", "supplement_c", "supplement_d")
    }
    panels = figures.supplement_d(frames).axes
    assert [axes.get_title() for axes in panels] == LABELS
    every = frames["supplement"]
    rows = every[every["experiment"] == "figure1"]
    figure = figures.supplement_c(frames)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "offline accuracy, linear, all labels (%)"
    points = np.concatenate([drawn.get_offsets() for drawn in axes.collections])
    expected = 100 * rows[["online", "offline"]].to_numpy()
    np.testing.assert_allclose(np.sort(points, axis=0), np.sort(expected, axis=0))
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts() if text.get_text() != "equal"]
    assert labels == list(dict.fromkeys(rows["label"]))
    styles = {
        (drawn.get_paths()[0].vertices.tobytes(), len(drawn.get_facecolors())) for drawn in axes.collections
    }
    assert len(styles) == len(labels)  # told apart without colour


def test_accuracies_of_heads_are_means_over_seeds_side_by_side(fill: Fill) -> None:
    frame = tables.supplement(inputs(fill())).tidy
    frame["head_parameters"] = 1000 * frame["embedding_dim"].fillna(16).astype(int)
    figure = figures.supplement_f({"supplement": frame})
    drawn = {each.get_label(): each.lines[0] for panel in figure.axes for each in panel.containers}
    assert set(drawn) == set(frame["label"])
    assert len(drawn) == 9
    assert [len(panel.containers) for panel in figure.axes] == [3, 6]
    for label, group in frame.groupby("label"):
        means = group.groupby("head_parameters")["accuracy"].mean()
        assert drawn[label].get_xdata().tolist() == means.index.tolist()
        np.testing.assert_allclose(np.asarray(drawn[label].get_ydata(), float), means.to_numpy(float))
    for panel in figure.axes:
        moved = {tuple(each.lines[0].get_transform().transform([1e4, 80])) for each in panel.containers}
        assert len(moved) == len(panel.containers)
        assert panel.get_legend() is not None


@pytest.mark.parametrize(
    ("ratio", "cv", "expected"),
    [
        (0.6549, 0.096, ("mean norm 0.655 of it, coefficient of variation 0.096", "differs")),
        (1.0, 6.8e-17, ("mean norm 1 of it, coefficient of variation 0", "holds")),
    ],
)
def test_marks_are_in_words(ratio: float, cv: float, expected: tuple[str, str]) -> None:
    run = {"1": 1.0, "embedding_norm": ratio, "embedding_norm_cv": cv, "dimension_norm_cv": 0.5}
    found = tables._judge("embedding_norm", "1", [run, run], 0.25)
    assert (found["measured"], found["verdict"]) == expected
    empty = tables._judge("dimension_norm", "none", [run, run], 0.25)
    assert empty == {"measured": "not one norm, coefficient of variation 0.5", "verdict": "holds"}


def test_figure_1_has_the_printed_values_where_the_experiment_is_the_papers(bench: Any) -> None:
    """The paper's data set, network, length and probe: at another length, or another probe, nothing is comparable."""
    rng = np.random.default_rng(0)
    names = ("online", "knn", "embedding_effective_rank_centred")

    def probe(cell: Cell) -> dict[str, float]:
        return {name: rng.uniform(0.6, 0.7) for name in names}

    seen = {}
    for change in ("seeds=1", "training.epochs=99", "probes.metric=knn"):
        context = bench.context("seeds=1", change, tier="imagenet")
        bench.fill(context, probe)
        seen[change] = tables.figure1(inputs(context)).tidy
    printed = seen["seeds=1"].set_index(["method", "projector", "embedding_dim"])["printed"]
    assert printed["vicreg", "d-d-d", 256] == 61.36
    assert printed["vicreg_ctr", "8192-8192-d", 1024] == 67.84
    assert printed["vicreg_exp", "d-d-d", 8192] == 67.93  # at 8192 the same networks as 8192-8192-d
    assert printed.drop("2048-d", level="projector").notna().sum() == 35 + 3
    assert printed.xs("2048-d", level="projector").isna().all()
    assert seen["training.epochs=99"]["printed"].isna().all()
    assert seen["probes.metric=knn"]["printed"].isna().all()
    panels = {axes.get_title(): axes for axes in figures.figure1({"figure1": seen["seeds=1"]}).axes}
    rings = {
        name: [line for line in axes.lines if line.get_label() == "printed"] for name, axes in panels.items()
    }
    assert sorted(rings["VICReg"][0].get_ydata())[:2] == [61.36, 63.5]
    assert len(rings["VICReg"][0].get_ydata()) == 10
    bare = figures.figure1({"figure1": seen["training.epochs=99"]})
    assert not [line for axes in bare.axes for line in axes.lines if line.get_label() == "printed"]


def marks(context: Context) -> pd.Series[str]:
    table = tables.table1(inputs(context)).tidy
    return table.set_index(["method", "mark"])["verdict"]


def test_table_1s_marks_hold_for_what_has_them_and_fail_for_what_has_not(fill: Fill) -> None:
    """Dimensions of deviation 1 are VICReg's mark: its norm holds and the samples' differ; VICReg-ctr's both fail."""
    found = marks(fill(features=lambda rng: {"embeddings": equal_dimensions(rng)}))
    assert found["vicreg", "dimension_norm"] == "holds"
    assert found["vicreg", "embedding_norm"] == "holds"
    assert found["vicreg_ctr", "embedding_norm"] == "differs"
    assert found["vicreg_ctr", "dimension_norm"] == "differs"
    assert (
        found.xs("dimension_centring", level="mark") == "holds"
    ).all()  # the losses', whatever the embeddings


def equal_dimensions(rng: np.random.Generator) -> np.ndarray:
    """(400, 16), centred, dimensions of norm sqrt(400), samples of very different lengths."""
    z = rng.normal(size=(400, M)) * rng.choice([0.1, 2.0], size=(400, 1))
    z -= z.mean(axis=0)
    return (z / z.std(axis=0)).astype(np.float32)


def test_table_1_refuses_a_norm_that_is_right_only_on_average(fill: Fill) -> None:
    def uneven(rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"embeddings": (equal_dimensions(rng) * np.repeat([0.4, 1.6], M // 2)).astype(np.float32)}

    assert marks(fill(features=uneven))["vicreg", "dimension_norm"] == "differs"
