"""What two abstracts disagree on: verdicts from made-up runs, and linear networks whose optimum is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.data.relations import alignment, labels_graph
from spectral_ssl.data.sources import load
from spectral_ssl.errors import UserError
from spectral_ssl.papers import read
from spectral_ssl.papers.balestriero2022 import figures, tables
from spectral_ssl.papers.balestriero2022 import settle as module
from spectral_ssl.papers.decide import decide
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.measure import select
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context

Fill = Callable[..., Context]


@pytest.fixture
def given(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.setattr(module, "DRAWS", 1)  # for each of the tier's two seeds
    return Inputs(fill(), "balestriero2022")


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([5.0, 5.1, 4.9], "holds"),
        ([-5.0, -5.1, -4.9], "differs"),
        ([0.1, -0.1, 0.05], "same within 2"),
        ([9.0, -9.0, 0.0], "inconclusive"),
        ([5.0], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_verdicts(differences: list[float], verdict: str) -> None:
    pairs = np.array([(50 + difference, 50.0) for difference in differences]).reshape(-1, 2)
    assert module._verdict(pairs) == verdict


def test_trained_runs_are_counted_by_their_labels(given: Inputs) -> None:
    rows = pd.DataFrame(module.trained(given))
    assert set(rows["setting"]) == {module.SMALL, module.HIGH, "SimCLR", "Barlow Twins"}
    assert set(rows["labels"]) == {"1", "5", "all"}
    frame = given.experiment("graph_vicreg").query("relation == 'factor:colour' and invariance == 25")
    found = rows.query(f"relation == 'factor:colour' and setting == '{module.HIGH}' and labels == 'all'")
    assert found["accuracy"].tolist() == pytest.approx((100 * frame["lbfgs"]).tolist())


def test_a_question_is_settled_where_both_regimes_decide_alike(given: Inputs) -> None:
    """VICReg with a high weight is made better by 20 points with one label, in training; the linear regime agrees."""
    for cell in given.context.manifest.paper_cells("balestriero2022"):
        high = cell.factors.get("invariance") == 25
        value = 0.6 + 0.2 * high + 0.01 * cell.seed * high + 1e-5 * cell.seed * (cell.method == "simclr")
        probe = dict.fromkeys(("few1", "few5", "lbfgs", "online", "knn"), value)
        write_json(given.context.layout.runs / cell.run / "probe.json", probe)
    table = tables.settle(given)
    shown = table.shown.set_index(["question", "regime"])
    question = "little data: VICReg (high) over VICReg (small)"
    assert shown.loc[(question, "trained"), "1 label a class"] == "+20.5 [+14.1, +26.9] (asked)"
    assert shown.loc[(question, "trained"), "verdict"] == "holds"
    linear = shown.loc[(question, "linear"), "verdict"]
    assert (shown.loc[question, "settled"] == ("yes" if linear == "holds" else "no")).all()
    same = shown.loc[("misaligned: Barlow Twins over SimCLR", "trained")]
    assert (same["all labels"], same["verdict"]) == ("+0.0 [+0.0, +0.0] (asked)", "same within 2")
    assert "(asked)" not in same["1 label a class"]


def test_the_linear_regime_is_paired_and_repeatable(given: Inputs) -> None:
    rows = pd.DataFrame(module.linear(given))
    assert rows.groupby(["setting", "relation", "labels"]).size().eq(2).all()
    assert rows["accuracy"].between(0, 100).all()
    assert set(rows["relation"]) == set(given.context.tier.levels.relation)
    pd.testing.assert_frame_equal(rows, pd.DataFrame(module.linear(given)), check_exact=True)


def test_components_are_those_of_the_averaged_images(given: Inputs) -> None:
    dataset = load(given.context.layout.data("factors"))
    train, test = module.components(dataset)
    assert train.shape == (256, 64)
    assert test.shape == (256, 64)
    images = dataset.train_images / 255
    rows = np.array([image.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)).ravel() for image in images])
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(train, axis=0), values[:64])
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-12)


def test_a_relations_share_of_wrong_edges(given: Inputs) -> None:
    dataset = load(given.context.layout.data("factors"))
    rows, shape = np.arange(0, 256, 2), np.asarray(dataset.train_factors)[::2, 0]
    rng = np.random.default_rng(0)
    whole, half = (
        module.relation_graph(dataset, rows, f"factor:shape{wrong}", rng) for wrong in ("", "+wrong:0.5")
    )
    assert alignment(whole, shape).observed == 1
    assert alignment(half, shape).observed == pytest.approx(0.5, abs=0.01)  # what moves joins other shapes


def test_large_weights_give_up_what_the_graph_does_not_know() -> None:
    """Two classes along the first feature, noise in the others: the one dimension that G knows is left."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    x = rng.normal(size=(100, 4))
    x[:, 0] += 10 * labels
    found = module.solutions(labels_graph(labels), x)
    ranks = {name: np.linalg.matrix_rank(weights, tol=1e-6) for name, weights in found.items()}
    assert ranks[module.SMALL] == ranks[module.HIGH] == ranks["Barlow Twins"] == 4
    assert ranks[module.HIGHER] == 1
    direction = found[module.HIGHER][:, 0]
    assert abs(direction[0]) > 5 * np.abs(direction[1:]).max()
    with pytest.raises(UserError, match=r"X has shape \(99, 4\): expected \(100, D\)"):
        module.solutions(labels_graph(labels), x[:99])


def test_what_is_drawn(given: Inputs) -> None:
    table = tables.settle(given)
    figure = figures.settle({"settle": table.tidy})
    axes = figure.axes
    assert [panel.get_title() for panel in axes[:3]] == ["1 label a class", "5 labels a class", "all labels"]
    assert [len(panel.containers) for panel in axes] == [4] * 3 + [5] * 3
    assert [tick.get_text() for tick in axes[-1].get_xticklabels()] == [
        "shape",
        "shape,\n50 % wrong",
        "colour",
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "chance",
        "VICReg, small: trained 1, linear 0.1/d",
        "VICReg, high: trained 25, linear 0.9/d",
        "VICReg, higher: not trained, linear 2/d",
        "SimCLR",
        "Barlow Twins",
    ]
    classes = len(load(given.context.layout.data("factors")).classes)
    assert set(table.tidy["chance"]) == {100 / classes}
    chance = [[drawn for drawn in panel.lines if drawn.get_label() == "chance"] for panel in axes]
    assert [drawn.get_ydata()[0] for (drawn,) in chance] == [100 / classes] * 6


def test_diverged_runs_are_told(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 1)
    table = tables.settle(Inputs(fill(diverged=lambda method: True), "balestriero2022"))
    assert (table.shown.query("regime == 'trained'")["all labels"] == "diverged").all()
    assert (table.shown["settled"] == "no").all()


def test_a_tier_without_the_data_has_an_empty_table(fill: Fill) -> None:
    table = tables.settle(Inputs(fill("companions={}"), "balestriero2022"))
    assert table.tidy.empty
    assert table.shown.empty
    assert all(not panel.containers for panel in figures.settle({"settle": table.tidy}).axes)


def test_claims_are_decided_on_the_linear_regimes_own_samples(given: Inputs) -> None:
    samples = tables.settle(given).samples
    assert samples is not None
    evidence = Evidence(given.context, "balestriero2022", samples, {})
    claims = read("balestriero2022/claims_advice.yaml")
    names = [name for name in claims if name.startswith("advice/linear-")]
    assert len(names) == 6
    for name in names:
        claim = claims[name]
        found = decide(evidence, claim)
        assert (found["seeds"], found["dataset"]) == (2, samples["dataset"].iloc[0]), name
        assert "closed form, over draws of images that overlap" in found["protocol"]
        sides = [claim["measure"][side] for side in ("high", "low")]
        means = [select(samples, {"experiment": "settle_linear"} | side)["accuracy"].mean() for side in sides]
        assert found["measured"] == pytest.approx(means[0] - means[1])


def test_claims_on_samples_say_so_where_there_are_none(fill: Fill) -> None:
    context = fill("companions={}")
    table = tables.settle(Inputs(context, "balestriero2022"))
    frame = pd.DataFrame({"experiment": ["rank"], "accuracy": [1.0], "run": ["r"]})
    assert table.samples is None or table.samples.empty
    claim = read("balestriero2022/claims_advice.yaml")["advice/linear-misaligned-vicreg-over-simclr"]
    assert decide(Evidence(context, "balestriero2022", frame, {}), claim)["verdict"] == "not run at this tier"


def test_fewer_images_than_dimensions_leave_as_many_as_their_rank() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((20, module.COMPONENTS)), np.repeat([0, 1], 10)
    found = module.solutions(labels_graph(labels), x)
    assert {weights.shape for weights in found.values()} == {(module.COMPONENTS, 19)}
