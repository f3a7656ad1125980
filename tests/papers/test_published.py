"""What the papers print, as this project has it: complete, well-formed, and the numbers themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

from spectral_ssl.config import load_tier
from spectral_ssl.data.sources import reader_module
from spectral_ssl.evaluate import measured_names
from spectral_ssl.evaluate.duality import duality_statistics
from spectral_ssl.evaluate.rank import embedding_statistics
from spectral_ssl.papers import PAPERS, claims, method_label, paper_statements, read
from spectral_ssl.papers.manifest import build
from spectral_ssl.papers.measure import select
from spectral_ssl.papers.printed import printed_cells
from spectral_ssl.papers.rules import COMPOSITE, MAY, NEEDED, PAIRED, TESTED, experiments_of

CLAIMS = [(paper, entry) for paper in PAPERS for entry in claims(paper)]


def measure_of(paper: str, entry: str) -> dict[str, Any]:
    return dict(claims(paper)[entry].get("measure", {}))


def of_samples(paper: str, entry: str) -> bool:
    """Whether a claim is decided on what a table samples or chooses by itself, on one side at least."""
    samples = read(f"{paper}/experiments.yaml").get("samples", {})
    return bool(set(experiments_of(measure_of(paper, entry))) & set(samples))


def cells(paper: str, grid: str) -> dict[tuple[Any, ...], float]:
    return {tuple(keys.values()): value for name, keys, value, _ in printed_cells(paper) if name == grid}


@pytest.mark.parametrize(
    ("paper", "grid", "count"),
    [
        ("haochen2021", "table1", 27),  # 3 methods, 3 data sets, 3 lengths
        ("haochen2021", "table2", 5),
        ("haochen2021", "table3", 2),
        ("garrido2023", "figure1", 35),  # 7 lines of 5 dimensions
        ("garrido2023", "values", 9),
    ],
)
def test_every_printed_cell_is_there_once(paper: str, grid: str, count: int) -> None:
    found = [keys for name, keys, _, _ in printed_cells(paper) if name == grid]
    assert len(found) == count
    assert len(cells(paper, grid)) == count


def test_no_grid_is_left_out_of_the_counts() -> None:
    grids = {(paper, name) for paper in PAPERS for name, *_ in printed_cells(paper)}
    assert grids == {("haochen2021", f"table{n}") for n in (1, 2, 3)} | {
        ("garrido2023", "figure1"),
        ("garrido2023", "values"),
    }


def test_spot_values_of_haochen() -> None:
    table1 = cells("haochen2021", "table1")
    assert table1["simclr", "cifar10", 200] == 83.73
    assert table1["simsiam", "tiny_imagenet", 800] == 46.76
    assert table1["spectral", "cifar100", 400] == 65.82
    # The spectral loss is the best of the three in 6 of the 9 columns, by the paper's own bold face.
    columns = {(dataset, epochs) for _, dataset, epochs in table1}
    best = [max(("simclr", "simsiam", "spectral"), key=lambda m: table1[m, *column]) for column in columns]
    assert best.count("spectral") == 6
    assert cells("haochen2021", "table2")["spectral", "imagenet"] == 66.97
    assert cells("haochen2021", "table3") == {("tiny_imagenet", 1): 28.76, ("tiny_imagenet", 10): 41.30}


def test_spot_values_of_garrido() -> None:
    figure1 = cells("garrido2023", "figure1")
    assert figure1["vicreg", "d-d-d", 256] == 61.36
    assert figure1["vicreg_ctr", "8192-8192-d", 8192] == 67.73
    assert figure1["simclr_tuned", "d-d-d", 8192] == figure1["simclr_tuned", "8192-8192-d", 8192] == 68.68
    values = {key[0]: value for key, value in cells("garrido2023", "values").items()}
    assert values["vicreg_1000_epochs"] == 73.3
    assert values["simclr_abs"] == 68.71


def test_the_marks_are_eighteen_as_printed() -> None:
    marks = read("garrido2023/published.yaml")["marks"]
    assert sum(len(row) for row in marks["rows"].values()) == 18
    assert all(len(row) == len(marks["columns"]) for row in marks["rows"].values())
    column = {name: row[marks["columns"].index("simclr_b")] for name, row in marks["rows"].items()}
    assert column == {"dimension_centring": "yes", "embedding_norm": "none", "dimension_norm": "sqrt(N/M)"}


def test_the_map_has_ten_arrows_whose_checks_exist() -> None:
    arrows = read("balestriero2022/published.yaml")["correspondences"]["rows"]
    assert len(arrows) == 10
    for arrow in arrows.values():
        assert set(arrow) == {"method", "recovers", "scope", "when", "checks"}
        assert set(arrow["checks"]) <= set(paper_statements("balestriero2022"))
        assert arrow["scope"] == ("local" if arrow["method"] == "vicreg" else "global")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_grid_says_where_it_is_printed_and_under_which_protocol(paper: str) -> None:
    for name, keys, value, grid in printed_cells(paper):
        assert grid["location"], name
        assert {"encoder", "metric"} <= set(grid["protocol"])
        assert set(keys) == {*grid["keys"], *grid.get("across", {})}
        assert isinstance(value, int | float)
        assert 0 < value < 100


@pytest.mark.parametrize(("paper", "entry"), CLAIMS)
def test_every_claim_has_a_rule_and_what_its_rule_needs_and_no_more(paper: str, entry: str) -> None:
    claim = claims(paper)[entry]
    kind = claim["kind"]
    words = {"kind", "location", "statement", "printed"} | NEEDED.get(kind, set())
    measured = set() if kind in COMPOSITE else {"measure"} | ({"analogue"} if kind in TESTED else set())
    assert words <= set(claim) <= words | measured | MAY
    assert kind in (*COMPOSITE, "underspecified") or "measure" in claim
    assert claim.get("margin", 1.0) > 0
    assert claim.get("bounds", []) == sorted(claim.get("bounds", []))
    assert len(claim.get("bounds", [])) == {"range": 2, "correlation": 1}.get(kind, 0)


@pytest.mark.parametrize(("paper", "entry"), [pair for pair in CLAIMS if measure_of(*pair)])
def test_a_measure_names_cells_of_its_experiment_one_a_seed(paper: str, entry: str) -> None:
    claim, measure = claims(paper)[entry], measure_of(paper, entry)
    spec = read(f"{paper}/experiments.yaml")
    experiments, samples = spec["experiments"], spec.get("samples", {})
    if claim["kind"] == "correlation":
        assert set(measure) == {"experiment", "columns"}
        assert len(set(measure["columns"])) == 2
        assert measure["experiment"] in experiments
        return
    sides = ("high", "low") if claim["kind"] in PAIRED else ("where",)
    assert {"column", *sides} <= set(measure) <= {"column", "experiment", "over", *sides}
    assert measure.get("over", "mean") in ("best", "mean")
    for side in sides:
        where = {"experiment": measure.get("experiment"), **measure[side]}
        name = where.pop("experiment")
        if name in samples:
            assert samples[name]["table"] in spec["tables"]
            assert set(where) == set(samples[name]["factors"])
            continue
        experiment = experiments[name]
        varied = {key.split(".")[-1] for key in experiment.get("vary", {})}
        assert set(where) <= varied | {"method"}
        assert where.get("method", experiment["methods"][0]) in experiment["methods"]
        # One row a seed is left only if everything that varies is fixed.
        assert set(where) >= varied or "over" in measure
        assert "method" in where or len(experiment["methods"]) == 1
    assert measure.get("high", {}) != measure.get("low")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_experiment_table_and_figure_is_defined(paper: str) -> None:
    from importlib import import_module

    spec = read(f"{paper}/experiments.yaml")
    levels = load_tier("smoke", folder=_config()).levels
    for experiment in spec["experiments"].values():
        for level in experiment.get("vary", {}).values():
            assert isinstance(level, list) or hasattr(levels, level)
        assert reader_module(experiment.get("dataset", "factors"))
        assert all(method_label(method) for method in experiment["methods"])
    for kind in ("tables", "figures"):
        module = import_module(f"spectral_ssl.papers.{paper}.{kind}")
        for name, words in spec[kind].items():
            assert callable(getattr(module, name))
            assert set(words) - {"data", "of"} == {"title", "caption"}  # YAML takes some words for booleans
            assert set(words.get("of", [])) <= set(spec["experiments"])


@pytest.mark.parametrize("tier", ["smoke", "laptop", "gpu", "cluster"])
def test_a_claims_column_is_measured_at_every_tier(tier: str) -> None:
    probes = load_tier(tier, folder=_config()).probes.names
    statistics = {*embedding_statistics(torch.eye(3)), *duality_statistics(torch.eye(3))}
    known = {*measured_names(probes), "accuracy", "offline", "offline_accuracy", "separation_gain"}
    known |= {f"{what}_{name}" for what in ("embedding", "representation") for name in statistics}
    for paper, entry in CLAIMS:
        measure = measure_of(paper, entry)
        if not of_samples(paper, entry):
            assert {measure.get("column", "accuracy"), *measure.get("columns", ())} <= known, entry


@pytest.mark.parametrize("tier", ["smoke", "laptop", "gpu", "cluster"])
def test_every_tier_has_different_runs_for_both_sides_of_a_claim(tier: str) -> None:
    manifest = build(load_tier(tier, ["seeds=1"], _config()))
    for paper, entry in CLAIMS:
        measure = measure_of(paper, entry)
        if "high" not in measure or of_samples(paper, entry):
            continue
        asked = read(f"{paper}/experiments.yaml")["experiments"].get(measure.get("experiment"), {})
        if asked.get("dataset", manifest.tier.data.slug) not in manifest.tier.datasets:
            continue  # about data that this tier does not have
        cells = [
            {"experiment": cell.experiment, "method": cell.method, "run": cell.run, **cell.factors}
            for cell in manifest.paper_cells(paper)
        ]
        common = {"experiment": measure["experiment"]} if "experiment" in measure else {}
        high, low = (
            set(select(pd.DataFrame(cells), common | measure[side])["run"]) for side in ("high", "low")
        )
        assert not high & low, entry
        assert (high and low) or tier != "laptop", entry  # the default measures every claim


def _config() -> Any:
    from pathlib import Path

    return Path(__file__).parents[2] / "config"
