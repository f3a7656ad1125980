"""What the papers print, as this project has it: complete, well-formed, and the numbers themselves."""

from __future__ import annotations

from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS, method_label, paper_statements, read
from spectral_ssl.papers.ledger import check_complete
from spectral_ssl.papers.manifest import build
from spectral_ssl.papers.printed import printed_cells

CLAIMS = [(paper, entry) for paper in PAPERS for entry in read(f"{paper}/claims.yaml")]


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
def test_every_claim_has_a_rule_and_can_be_measured(paper: str, entry: str) -> None:
    claim = read(f"{paper}/claims.yaml")[entry]
    assert set(claim) <= {"kind", "margin", "location", "statement", "printed", "measure"}
    assert claim["kind"] in ("order", "same")
    assert (claim["kind"] == "same") == ("margin" in claim)
    if "measure" not in claim:
        return
    measure = claim["measure"]
    experiments = read(f"{paper}/experiments.yaml")["experiments"]
    for side in ("high", "low"):
        where = {"experiment": measure.get("experiment"), **measure[side]}
        experiment = experiments[where.pop("experiment")]
        varied = {key.split(".")[-1] for key in experiment.get("vary", {})}
        assert set(where) <= varied | {"method"}
        assert where.get("method", experiment["methods"][0]) in experiment["methods"]
        # One row a seed is left only if everything that varies is fixed.
        assert set(where) >= varied
        assert "method" in where or len(experiment["methods"]) == 1
    assert measure["high"] != measure["low"]


@pytest.mark.parametrize("paper", PAPERS)
def test_the_claims_files_are_complete(paper: str) -> None:
    check_complete(paper)


@pytest.mark.parametrize(
    ("claim", "lacks"),
    [
        ({"kind": "order", "location": "x", "statement": "y"}, "printed"),
        ({"kind": "same", "location": "x", "statement": "y", "printed": "z"}, "margin"),
    ],
)
def test_a_claim_without_a_rule_is_refused(
    claim: dict[str, str], lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectral_ssl.papers.ledger.read", lambda name: {"table9/claim": claim})
    with pytest.raises(ValueError, match=f"claim table9/claim lacks .*{lacks}"):
        check_complete("haochen2021")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_experiment_table_and_figure_is_defined(paper: str) -> None:
    from importlib import import_module

    spec = read(f"{paper}/experiments.yaml")
    levels = load_tier("smoke", folder=_config()).levels
    for experiment in spec["experiments"].values():
        assert all(hasattr(levels, level) for level in experiment.get("vary", {}).values())
        assert all(method_label(method) for method in experiment["methods"])
    for kind in ("tables", "figures"):
        module = import_module(f"spectral_ssl.papers.{paper}.{kind}")
        for name, words in spec[kind].items():
            assert callable(getattr(module, name))
            assert set(words) == {"title", "caption"}


def test_a_claims_column_is_measured_at_the_default_tier() -> None:
    probes = build(load_tier("laptop", folder=_config())).tier.probes.names
    for paper in PAPERS:
        for entry, claim in read(f"{paper}/claims.yaml").items():
            column = claim.get("measure", {}).get("column", "accuracy")
            assert column in (*probes, "accuracy") or "_rank" in column, entry


def _config() -> Any:
    from pathlib import Path

    return Path(__file__).parents[2] / "config"
