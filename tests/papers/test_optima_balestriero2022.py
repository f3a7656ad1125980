"""Closed forms beside descent on graphs of real and synthetic samples, and counted operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.errors import UserError
from spectral_ssl.losses.barlow_twins import barlow_twins
from spectral_ssl.losses.terms import Terms
from spectral_ssl.papers.balestriero2022 import costs as module
from spectral_ssl.papers.balestriero2022 import figures, tables
from spectral_ssl.papers.balestriero2022.costs import exponent, operations
from spectral_ssl.papers.balestriero2022.synthetic import STEPS, descend, problems
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.stages import Context

Fill = Callable[..., Context]
OBJECTIVES = {
    "VICReg": lambda z, G: cf.vicreg_objective(z, G, 1.0, 0.4),
    "SimCLR (Gram form)": cf.simclr_objective,
    "Barlow Twins (whitened)": cf.barlow_twins_objective,
}


@pytest.fixture(scope="module")
def graph() -> np.ndarray:
    points = np.random.default_rng(1).uniform(size=(24, 2))
    return np.asarray(neighbours_graph(points, 4).toarray())


@pytest.fixture(scope="module")
def synthetic() -> Table:
    return tables.synthetic(Inputs(None, "balestriero2022"))  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(3))
def test_a_problems_loss_is_the_closed_forms_and_descent_reaches_its_minimum(
    graph: np.ndarray, place: int
) -> None:
    problem = problems(graph, 0.4)[place]
    rng = np.random.default_rng(0)
    z = rng.normal(size=(24, 5))
    assert float(problem.loss(torch.from_numpy(z))) == pytest.approx(OBJECTIVES[problem.name](z, graph))
    exact = problem.closed(5)
    assert float(problem.loss(torch.from_numpy(exact.embedding))) == pytest.approx(exact.loss)
    path = descend(problem.loss, problem.start * z, STEPS)
    losses = [loss for loss, _ in path]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(exact.loss, abs=1e-9)
    np.testing.assert_allclose(problem.spectrum(path[-1][1]), problem.spectrum(exact.embedding), atol=1e-4)


def test_spectra_are_what_the_closed_forms_say(graph: np.ndarray) -> None:
    vicreg, simclr, barlow = problems(graph, 0.4)
    found = vicreg.closed(5)
    lengths = np.sqrt(np.maximum(0, 1 - 0.4 * 23 / 24 * found.eigenvalues))
    np.testing.assert_allclose(vicreg.spectrum(found.embedding), lengths, atol=1e-7)
    assert lengths[-1] == 0 < lengths[0]  # a weight at which some survive
    turned = found.embedding @ np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0] + 3
    np.testing.assert_allclose(vicreg.spectrum(turned), lengths, atol=1e-7)
    values = np.linalg.eigvalsh(graph)[::-1][:5]
    np.testing.assert_allclose(simclr.spectrum(simclr.closed(5).embedding), np.sqrt(values))
    np.testing.assert_allclose(barlow.spectrum(barlow.closed(5).embedding), barlow.closed(5).eigenvalues)


def test_a_graph_with_loops_is_refused(graph: np.ndarray) -> None:
    with pytest.raises(UserError, match="lies on the diagonal, which must be zero"):
        problems(graph + np.eye(24), 0.4)


def test_the_staircase_of_real_images(fill: Fill) -> None:
    table = tables.staircase(Inputs(fill(), "balestriero2022"))
    stairs = table.tidy[table.tidy["method"] == "VICReg"]
    assert (table.shown["predicted rank"] == table.shown["rank found"]).all()
    found = stairs[stairs["source"] == "descent"].drop_duplicates("gamma")
    assert found["rank"].tolist() == list(range(7, -1, -1))  # connected: every dimension vanishes in its turn
    by_gamma = stairs.drop_duplicates(["source", "gamma"]).groupby("source")["rank"]
    closed = stairs[stairs["source"] == "closed form"]
    assert (np.diff(closed.drop_duplicates("gamma")["rank"]) <= 0).all()
    assert set(by_gamma.get_group("closed form")) == set(range(8))
    assert (closed["value"] > 0).sum() == closed.drop_duplicates("gamma")["rank"].sum()
    upper, steps, *_ = figures.staircase({"staircase": table.tidy}).axes
    assert len(upper.lines) == 14  # seven dimensions, twice
    assert steps.lines[1].get_ydata().tolist() == found["rank"].tolist()


def test_the_synthetic_setting(synthetic: Table) -> None:
    assert set(synthetic.shown["K"]) == {8, 32}
    shown = synthetic.shown.set_index(["loss", "K"])
    assert shown.loc[("VICReg", 32), "rank of the optimum"] == 16 == shown.loc[("VICReg", 32), "rank found"]
    assert (synthetic.shown["found above it"].str.startswith("below")).all()
    for name, group in synthetic.tidy.groupby("method"):
        losses = group[group["what"] == "loss"].dropna(subset=["closed"]).set_index("k")["closed"]
        assert losses.index.tolist() == [1, 2, 4, 8, 16, 24, 32, 48, 64]
        direction = -1 if str(name).startswith("SimCLR") else 1
        assert (direction * np.diff(losses) >= 0).all()
        spectrum = group[group["what"] == "spectrum"]
        assert len(spectrum) == 32
        np.testing.assert_allclose(spectrum["closed"], spectrum["descent"], atol=1e-4)
        gap = group[group["what"] == "gap"]["descent"].to_numpy()
        assert gap[0] > 1e-3 > 1e-9 > gap[-1]
    last = synthetic.tidy.query("method == 'VICReg' and what == 'loss' and k == 64")["closed"].iloc[0]
    earlier = synthetic.tidy.query("method == 'VICReg' and what == 'loss' and k == 32")["closed"].iloc[0]
    assert 64 * last == pytest.approx(32 * earlier + 32)  # dimensions beyond the rank cost 1 each


def test_the_synthetic_setting_is_the_same_every_time(synthetic: Table) -> None:
    again = tables.synthetic(Inputs(None, "balestriero2022"))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(synthetic.tidy, again.tidy, check_exact=True)
    figure = figures.synthetic({"synthetic": again.tidy})
    first, *_ = figure.axes
    assert [len(drawn.get_xdata()) for drawn in first.lines] == [32, 32, 32, 0]  # the last names hollow marks
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text() == "found by L-BFGS"


def test_exponents_of_power_laws_and_of_what_is_none() -> None:
    sizes = [2, 4, 8, 16]
    found = exponent(sizes, [5 * size**1.5 for size in sizes])
    assert found == pytest.approx((1.5, 1.5, 1.5))
    bent = exponent(sizes, [size**2 + 20 * size for size in sizes])
    assert bent.low < bent.value < bent.high
    assert 1 < bent.value < 2


def test_operations_by_hand() -> None:
    def one_product(first: torch.Tensor, second: torch.Tensor) -> Terms:
        return Terms({"trace": (first.T @ second).sum()})

    # Three products of 2 * 6 * 4 * 4, forwards and for both gradients; the sum writes one number, and its gradient,
    # ones, another: the matrix of ones is a view of it.
    assert operations(one_product, N=6, K=4) == 3 * 2 * 6 * 4 * 4 + 2


def test_a_loss_of_one_sample_has_no_cost() -> None:
    with pytest.raises(UserError, match="expected at least 2"):
        operations(barlow_twins, N=1, K=4)


def test_costs_have_the_dominant_terms_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES", (128, 256, 512))
    monkeypatch.setattr(module, "DIMENSIONS", (64, 128, 256))
    table = tables.costs(Inputs(None, "balestriero2022"))  # type: ignore[arg-type]
    assert len(table.tidy) == 3 * 2 * 3
    assert (table.tidy["exponent"] - table.tidy["expected"]).abs().max() < 0.1
    simclr = table.tidy.query("loss == 'SimCLR' and varied == 'N'")
    assert simclr["expected"].iloc[0] == 2
    samples, _ = figures.costs({"costs": table.tidy}).axes
    legend = [text.get_text() for text in samples.get_legend().get_texts()]
    assert legend[0] == f"VICReg: {table.shown.loc[0, 'exponent of N']}"
