"""Tuning: as many candidates a method, chosen on validation images alone, and what follows for the claims."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.papers import claims, read
from spectral_ssl.papers.garrido2023 import figures, tables
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.manifest import Cell, resolve

TUNED = ["vicreg", "vicreg_exp", "vicreg_ctr", "simclr_tuned"]
BEST = {"vicreg": 3, "vicreg_exp": 0, "vicreg_ctr": 4, "simclr_tuned": 2}
Probe = dict[str, float]


def by_candidate(cell: Cell) -> Probe:
    """Validation peaks at BEST, where the test accuracy is the lowest of all."""
    at_best = cell.factors.get("candidate", 0) == BEST.get(cell.method, 0) and cell.experiment == "tuning"
    rest = 0.01 * cell.seed + 0.001 * cell.factors.get("candidate", 0)
    return {
        "few5": (0.6 if at_best else 0.8) + rest,
        "validation": (0.9 if at_best else 0.7) + rest,
        "online": 0.5,
    }


@pytest.fixture
def measured(bench: Any) -> Callable[..., Inputs]:
    """The paper's inputs from what `probe` gives each run: cells share runs, and the last one's values would win."""

    def made(probe: Callable[[Cell], Probe | None] = by_candidate) -> Inputs:
        context = bench.context()
        order = {cell.run: cell for cell in context.manifest.cells}
        order |= {cell.run: cell for cell in context.manifest.cells if cell.experiment == "tuning"}
        bench.fill(context, lambda cell: probe(order[cell.run]))
        return Inputs(context, "garrido2023")

    return made


def test_the_choice_is_by_validation_and_never_by_test_images(measured: Callable[..., Inputs]) -> None:
    given = measured()
    table = tables.tuning(given)
    chosen = table.tidy[table.tidy["chosen"]].set_index("method")
    assert chosen["candidate"].to_dict() == BEST
    for method, row in chosen.iterrows():
        others = table.tidy[(table.tidy["method"] == method) & ~table.tidy["chosen"]]
        assert row["validation_accuracy_mean"] > others["validation_accuracy_mean"].max()
        assert row["accuracy_mean"] < others["accuracy_mean"].min()
    shown = table.shown.set_index("method")
    assert shown["candidates"].tolist() == ["5"] * 4 + ["not tuned"]
    assert shown.loc["VICReg", "chosen"] == "invariance 25, covariance 4"
    assert shown.loc["SimCLR (tuned)", "chosen"] == "temperature 0.2"
    assert shown["recipe is chosen"].tolist() == ["no", "yes", "no", "no", ""]
    assert shown.loc["VICReg", "test"].startswith("60.8 ± ")
    assert shown.loc["VICReg", "test of the tier's recipe"].startswith("80.5 ± ")


def test_samples_are_the_chosen_runs(measured: Callable[..., Inputs]) -> None:
    given = measured()
    samples = tables.tuning(given).samples
    assert samples is not None
    frame = given.experiment("tuning").set_index("run")
    assert list(dict.fromkeys(samples["method"])) == TUNED
    for method, part in samples.groupby("method"):
        assert part["seed"].tolist() == [0, 1]
        assert (frame.loc[part["run"], "candidate"] == BEST[str(method)]).all()
        np.testing.assert_array_equal(part["accuracy"], frame.loc[part["run"], "accuracy"])
    assert set(samples["experiment"]) == {"tuned"}
    assert set(samples["dataset"]) == {"digits"}
    assert "tuned on validation images" in samples["source"].iloc[0]


def test_a_candidate_that_diverged_in_a_seed_is_not_chosen(measured: Callable[..., Inputs]) -> None:
    def probe(cell: Cell) -> Probe | None:
        best = cell.factors.get("candidate") == BEST.get(cell.method)
        return None if best and cell.seed == 1 and cell.method == "vicreg" else by_candidate(cell)

    tidy = tables.tuning(measured(probe)).tidy.query("method == 'vicreg'")
    assert tidy["diverged"].tolist() == [0, 0, 0, 1, 0]
    assert tidy.loc[tidy["chosen"], "candidate"].tolist() == [4]  # the next on validation images


def test_without_validation_images_nothing_is_chosen(measured: Callable[..., Inputs]) -> None:
    given = measured(lambda cell: {"few5": 0.8})
    table = tables.tuning(given)
    assert not table.tidy["chosen"].any()
    assert table.shown["chosen"].tolist() == ["no validation images"] * 4 + [""]
    assert table.samples is not None
    assert table.samples.empty
    assert figures.tuning({"tuning": table.tidy}).axes


@pytest.mark.parametrize("lost", [TUNED, ["vicreg"], [*TUNED, "simclr_original"]])
def test_methods_that_diverged_say_so(measured: Callable[..., Inputs], lost: list[str]) -> None:
    table = tables.tuning(measured(lambda cell: None if cell.method in lost else by_candidate(cell)))
    shown = table.shown.set_index("method")["chosen"]
    assert shown["VICReg"] == "diverged"
    assert table.samples is not None
    assert table.samples.query("method == 'vicreg'")["status"].tolist() == ["diverged"] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figures.tuning({"tuning": table.tidy}).axes


def test_the_figure_marks_the_chosen_one_and_draws_every_mean(measured: Callable[..., Inputs]) -> None:
    tidy = tables.tuning(measured()).tidy
    figure = figures.tuning({"tuning": tidy})
    assert [axes.get_title() for axes in figure.axes] == [
        "VICReg",
        "VICReg-exp",
        "VICReg-ctr",
        "SimCLR (tuned)",
    ]
    for axes, method in zip(figure.axes, TUNED, strict=True):
        part = tidy[tidy["method"] == method]
        bands = [patch for patch in axes.patches if patch.get_height() == 1]
        assert [band.get_y() + 0.5 for band in bands] == [BEST[method]]
        validation, test = (container.lines[0] for container in axes.containers)
        np.testing.assert_allclose(validation.get_xdata().astype(float), part["validation_accuracy_mean"])
        np.testing.assert_allclose(test.get_xdata().astype(float), part["accuracy_mean"])
        assert (test.get_ydata() > validation.get_ydata()).all()  # side by side
        assert [label.get_text() for label in axes.get_yticklabels()] == part["hyperparameters"].tolist()


def test_every_method_has_the_same_budget_and_no_recipe_moves_a_candidate(bench: Any) -> None:
    """Two routes to a candidate, by the tier and by a tier whose recipe is another, are one run."""
    candidates = read("garrido2023/experiments.yaml")["experiments"]["tuning"]["candidates"]
    assert {method: len(found) for method, found in candidates.items()} == dict.fromkeys(TUNED, 5)
    plain = bench.context().tier
    for method, found in candidates.items():
        preset = resolve(plain, method, {}, 0).hyperparameters
        other = ",".join(f"{name}: 77" for name in preset)
        moved = bench.context(f"recipes.{method}.hyperparameters={{{other}}}").tier
        runs = [resolve(plain, method, settings, 0).id for settings in found]
        assert len(set(runs)) == 5
        assert runs == [resolve(moved, method, settings, 0).id for settings in found]
        assert resolve(moved, method, {}, 0).id not in runs
        assert resolve(plain, method, {}, 0).id in runs  # the recipe is among what it is compared with


def test_the_claims_on_tuned_methods_are_one_family_and_decide_the_keypoint() -> None:
    found = {entry: claim for entry, claim in claims("garrido2023").items() if entry.startswith("tuned/")}
    assert {claim["family"] for claim in found.values()} == {"tuned"}
    assert claims("garrido2023")["tuned"]["entries"] == list(found)
    same = [claim for claim in found.values() if claim["kind"] == "same"]
    assert [claim["margin"] for claim in same] == [2.0] * 4
    sides = pd.Series([claim["measure"][side]["method"] for claim in same for side in ("high", "low")])
    assert sides.value_counts().to_dict() == dict.fromkeys(TUNED, 2)  # around the circle of the four
