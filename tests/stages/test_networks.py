"""The networks stage: what it writes, the graphs that it trains on, tables and figures of it, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from spectral_ssl import closed_form as cf
from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.data.graph import connected_components, normalised_adjacency
from spectral_ssl.layout import NETWORK_FILES, NETWORKS, Layout
from spectral_ssl.papers import read
from spectral_ssl.papers.decide import decide
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.haochen2021.inductive import inductive_bias, inductive_bias_figure
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.measure import select
from spectral_ssl.papers.networks import FLOOR, LOSSES, networks, networks_figure
from spectral_ssl.sections import Networks
from spectral_ssl.stages import Context
from spectral_ssl.stages.networks import augmented_points, neighbours
from spectral_ssl.targets import Targets

CONFIG = Path(__file__).parents[2] / "config"
SMALL = ("networks.seeds=2", "networks.steps=4", "networks.pair_steps=2", "networks.width=12")


def command(root: Path, *words: str, extra: tuple[str, ...] = ()) -> int:
    overrides = [word for value in (*SMALL, *extra) for word in ("--set", value)]
    return main(["networks", "--tier", "smoke", "--root", str(root), "--quiet", *overrides, *words])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Everything that the stage writes, in few steps."""
    root = tmp_path_factory.mktemp("networks")
    threads = torch.get_num_threads()
    assert command(root) == 0
    torch.set_num_threads(threads)
    return Context(load_tier("smoke", SMALL, CONFIG), root, quiet=True)


@pytest.fixture(scope="module")
def laptop() -> Networks:
    settings = load_tier("laptop", (), CONFIG).networks
    assert settings is not None
    return settings


def test_every_network_has_its_curves_and_its_end(written: Context) -> None:
    for name in NETWORKS:
        folder = written.layout.networks(name)
        assert sorted(path.name for path in folder.iterdir()) == sorted(NETWORK_FILES)
        curves, ends = (pd.read_csv(folder / file) for file in NETWORK_FILES)
        bias = name == "inductive_bias"
        kinds = ["free", "linear", "mlp", "conv"] if bias else ["free", "linear", "mlp"]
        assert list(dict.fromkeys(ends["network"])) == kinds
        assert len(ends) == len(kinds) * 2 * (3 if bias else 1)
        assert set(ends["status"]) == {"finished"}
        assert set(ends["step"]) == {2 if bias else 4}
        keys = ["loss", "network", "optimiser", "seed"]
        assert set(curves.groupby(keys).size()) == {3 if bias else 5}
        last = curves[curves["step"] == curves["step"].max()].set_index(keys)
        np.testing.assert_allclose(ends["gap"], last.loc[list(ends[keys].itertuples(index=False)), "gap"])


def test_a_second_run_writes_the_same_bytes_and_only_what_it_is_asked_for(
    written: Context, tmp_path: Path
) -> None:
    assert command(tmp_path, "--only", "simclr") == 0
    again = Layout("smoke", tmp_path)
    assert [path.name for path in (again.results / "networks").iterdir()] == ["simclr"]
    for file in NETWORK_FILES:
        assert (again.networks("simclr") / file).read_bytes() == (
            written.layout.networks("simclr") / file
        ).read_bytes()


def test_the_relation_graph_has_one_optimum_and_its_linear_one_is_another(laptop: Networks) -> None:
    graph, x = neighbours(laptop)
    assert graph.shape == (laptop.nodes, laptop.nodes)
    assert x.shape == (laptop.nodes, laptop.features)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(laptop.features), atol=1e-9)
    assert connected_components(graph)[0] == 1
    for name in ("vicreg", "simclr", "barlow_twins"):
        for features in (None, x):
            values = cf.solve(name, graph, laptop.dimension + 1, X=features).eigenvalues
            assert np.abs(np.diff(values)).min() > 1e-3
        free, linear = (cf.solve(name, graph, laptop.dimension, X=given) for given in (None, x))
        assert linear.loss > 1.01 * free.loss


def test_the_augmentation_graph_is_connected_and_positive_semidefinite(laptop: Networks) -> None:
    w, x = augmented_points(laptop.images)
    assert connected_components(w)[0] == 1
    assert len(x) == w.shape[0] > x.shape[1]
    dense = np.asarray(
        normalised_adjacency(w).toarray() if hasattr(w, "toarray") else normalised_adjacency(w)
    )
    values = np.linalg.eigvalsh(dense)
    assert values[0] > -1e-12
    assert values[-1] == pytest.approx(1.0)
    assert values[-laptop.dimension] - values[-laptop.dimension - 1] > 1e-2


def test_tables_say_where_networks_end(written: Context) -> None:
    for paper in ("balestriero2022", "haochen2021"):
        table = networks(Inputs(written, paper))
        ends = pd.concat(
            pd.read_csv(written.layout.networks(name) / "ends.csv") for name in table.tidy["loss"].unique()
        )
        assert len(table.shown) == 3 * table.tidy["loss"].nunique()
        last = table.tidy[table.tidy["step"] == 4].set_index(["loss", "network"])
        for key, group in ends.groupby(["loss", "network"]):
            logs = np.log10(group["gap"].clip(lower=FLOOR))
            assert last.loc[key, "log10_gap_mean"] == pytest.approx(logs.mean(), abs=1e-4)
            assert last.loc[key, "n"] == 2
        figure = networks_figure({"networks": table.tidy})
        drawn = [axes for axes in figure.axes if axes.lines]
        assert len(drawn) == 2 * table.tidy["loss"].nunique()
        assert all(len(axes.lines) == 3 for axes in drawn)
        plt.close(figure)


def test_the_table_of_inductive_bias_counts_in_percent(written: Context) -> None:
    table = inductive_bias(Inputs(written, "haochen2021"))
    ends = pd.read_csv(written.layout.networks("inductive_bias") / "ends.csv")
    free = ends[(ends["network"] == "free") & (ends["optimiser"] == "sgd")]
    row = table.tidy.set_index(["network", "optimiser"]).loc[("free", "sgd")]
    assert row["few5_mean"] == pytest.approx(100 * free["few5"].mean())
    assert 0 <= table.tidy["overlap_mean"].min() <= table.tidy["overlap_mean"].max() <= 100.0001
    assert len(table.shown) == 12
    assert table.samples is not None
    claim = read("haochen2021/claims.yaml")["text/function-class-where-the-loss-cannot-tell"]
    found = decide(Evidence(written, "haochen2021", table.samples, {}), claim)
    sides = [
        select(table.samples, {"experiment": "inductive_bias"} | claim["measure"][s]) for s in ("high", "low")
    ]
    assert (found["seeds"], found["dataset"]) == (2, "digits")
    assert found["measured"] == pytest.approx(100 * (sides[0]["few5"].mean() - sides[1]["few5"].mean()))
    figure = inductive_bias_figure({"inductive_bias": table.tidy})
    assert [len(axes.containers) for axes in figure.axes] == [12, 12, 12]
    plt.close(figure)


@pytest.mark.parametrize(
    ("make", "draw", "name"),
    [(networks, networks_figure, "networks"), (inductive_bias, inductive_bias_figure, "inductive_bias")],
)
def test_a_tier_without_networks_says_so(
    tmp_path: Path, make: Callable[[Inputs], Any], draw: Callable[[dict[str, pd.DataFrame]], Any], name: str
) -> None:
    context = Context(load_tier("smoke", ("networks=null",), CONFIG), tmp_path, quiet=True)
    assert command(tmp_path, extra=("networks=null",)) == 0
    assert not list(tmp_path.iterdir())
    table = make(Inputs(context, "haochen2021"))
    assert table.tidy.empty
    assert table.shown.to_dict("records") == [{"networks": "not trained at this tier"}]
    figure = draw({name: pd.DataFrame(columns=table.tidy.columns)})
    assert "not trained at this tier" in [text.get_text() for axes in figure.axes for text in axes.texts]
    plt.close(figure)


def test_a_diverged_network_is_a_result_and_a_dash(
    written: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from spectral_ssl.stages import networks as stage

    monkeypatch.setitem(stage.GRAPH_RATES, "mlp", 1e200)
    assert command(tmp_path, "--only", "simclr") == 3
    assert "2 networks diverged" in capfd.readouterr().err
    ends = pd.read_csv(Layout("smoke", tmp_path).networks("simclr") / "ends.csv")
    lost = ends[ends["network"] == "mlp"]
    assert set(lost["status"]) == {"diverged"}
    assert set(lost["term"]) <= {"invariance", "repulsion"}
    assert lost["gap"].isna().all()
    context = Context(written.tier, tmp_path, quiet=True)
    shown = networks(Inputs(context, "balestriero2022")).shown.set_index("network")
    assert shown.loc["MLP", "gap"] == "diverged"
    assert shown.loc["MLP", "seeds"] == "0 (2 diverged)"
    assert shown.loc["linear", "seeds"] == "2"


def test_a_misspelt_name_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "--only", "vicrag") == 2
    assert "unknown trained networks 'vicrag'; did you mean 'vicreg'" in capfd.readouterr().err


def test_the_workflow_knows_the_files_and_what_they_depend_on() -> None:
    found = Targets({"tier": "smoke"}, CONFIG)
    files = [file for name in NETWORKS for file in found.networks(name)]
    assert set(files) <= set(found.everything())
    assert set(found.networks("spectral")) <= set(found.runs("haochen2021"))
    assert set(found.networks("vicreg")) <= set(found.runs("balestriero2022"))
    assert not set(files) & set(found.runs("garrido2023"))
    assert set(LOSSES) < set(NETWORKS)
    changed = Targets({"tier": "smoke", "networks": {"steps": 7}}, CONFIG)
    assert changed.networks_parameters("vicreg") != found.networks_parameters("vicreg")
    assert found.networks_parameters("vicreg")["code"] != found.networks_parameters("simclr")["code"]
    without = Targets({"tier": "smoke", "networks": "null"}, CONFIG)
    assert not set(files) & {*without.everything(), *without.runs("haochen2021")}
