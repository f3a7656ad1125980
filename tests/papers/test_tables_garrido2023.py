"""Tables of Garrido et al. 2023's supplement: densities that are densities, and a row a finished run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.evaluate.duality import duality_statistics
from spectral_ssl.papers.garrido2023 import figures, tables
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.stages import Context

Fill = Callable[..., Context]
M = 16
LABELS = ["SimCLR (tuned)", "SimCLR-sq", "SimCLR-abs"]


def inputs(context: Context) -> Inputs:
    return Inputs(context, "garrido2023")


def on_the_sphere(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Points spread uniformly over the sphere, of any length."""
    return {"embeddings": (rng.normal(size=(600, M)) * rng.uniform(1, 9, size=(600, 1))).astype(np.float32)}


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
    assert all(float(value) == pytest.approx(1, abs=0.05) for value in table.shown["M x variance"])
    assert all(float(value) == pytest.approx(0, abs=0.01) for value in table.shown["mean cosine"])


def test_the_statistics_in_words_are_the_evaluations(fill: Fill) -> None:
    context = fill(features=lambda rng: {"embeddings": (rng.normal(size=(40, M)) + 1).astype(np.float32)})
    given = inputs(context)
    shown = tables.supplement_d(given).shown.set_index("method")
    for label, group in given.experiment("supplement_d").groupby("label"):
        files = (np.load(context.layout.runs / run / "features.npz")["embeddings"] for run in group["run"])
        found = [duality_statistics(z)["gram_variance_relative"] for z in files]
        assert float(shown.loc[label, "M x variance"]) == pytest.approx(np.mean(found), rel=0.01)
        assert float(shown.loc[label, "mean cosine"]) > 0.3  # they share a direction


def test_equal_embeddings_fall_into_the_last_bin(fill: Fill) -> None:
    ones = np.random.default_rng(0).uniform(1, 2, size=(30, 1)).astype(np.float32) @ np.ones(
        (1, M), np.float32
    )
    table = tables.supplement_d(inputs(fill(features=lambda rng: {"embeddings": ones})))
    last = table.tidy[table.tidy["high"] == 1]
    assert last["density"].tolist() == pytest.approx([40.0] * 3)  # 1 over a bin of 1/40
    assert table.tidy["density"].sum() == pytest.approx(120)
    assert table.shown["mean cosine"].tolist() == ["1.000"] * 3


def test_the_supplement_has_a_row_a_finished_run(fill: Fill) -> None:
    given = inputs(fill(diverged=lambda method: method == "simclr_a"))
    table = tables.supplement(given)
    expected = given.frame[given.frame["experiment"] != "figure2"].drop_duplicates("run")
    expected = expected[expected["method"] != "simclr_a"]
    assert len(table.tidy) == len(expected) > 40
    assert set(table.tidy["method"]) == set(expected["method"])
    assert table.tidy["offline"].tolist() == expected["few5"].tolist()  # the tier's metric
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
    assert figures.supplement_c({"supplement": table.tidy}).axes


def test_the_figures_panels_and_points(fill: Fill) -> None:
    given = inputs(fill())
    frames = {"supplement": tables.supplement(given).tidy, "supplement_d": tables.supplement_d(given).tidy}
    panels = figures.supplement_d(frames).axes
    assert [axes.get_title() for axes in panels] == LABELS
    for name, x, y in (
        ("supplement_c", "online", "offline"),
        ("supplement_f", "head_parameters", "accuracy"),
    ):
        figure = getattr(figures, name)(frames)
        (axes,) = figure.axes
        points = np.concatenate([drawn.get_offsets() for drawn in axes.collections])
        scale = 100 if name == "supplement_c" else np.array([1, 1])
        expected = frames["supplement"][[x, y]].to_numpy() * scale
        np.testing.assert_allclose(np.sort(points, axis=0), np.sort(expected, axis=0))
        (legend,) = figure.legends
        labels = [text.get_text() for text in legend.get_texts()]
        assert labels == list(dict.fromkeys(frames["supplement"]["label"]))
        styles = {
            (drawn.get_paths()[0].vertices.tobytes(), len(drawn.get_facecolors()))
            for drawn in axes.collections
        }
        assert len(styles) == len(labels) == 9  # told apart without colour
