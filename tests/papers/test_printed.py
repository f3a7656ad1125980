"""Printed values and the cells of ours beside them, from measurements whose verdicts are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from spectral_ssl.hypotheses import holm
from spectral_ssl.papers import read
from spectral_ssl.papers.evidence import NOT_RUN, Evidence
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.printed import nearest, values

JITTER = (0.0, 0.001, -0.001, 0.0005, -0.0005)


def level(base: float, **by_method: float) -> Any:
    """Accuracies `base` (fractions), other ones for some methods, with the same small jitter over seeds."""

    def probe(cell: Cell) -> dict[str, float]:
        value = by_method.get(cell.method, base) + JITTER[cell.seed]
        return dict.fromkeys(("few5", "few1", "lbfgs", "online"), value)

    return probe


PAPERS_OWN = (
    "data.label=cifar10",
    "training.encoder=resnet18_cifar",
    "levels.epochs=[200, 400, 800]",
    "seeds=5",
)


def printed_run(cell: Cell) -> dict[str, float]:
    values = level(0.9, spectral=0.8866)(cell)
    return values | {"linear_best": values["few5"], "linear_last": 0.1}


def test_a_value_is_judged_where_data_encoder_and_length_are_the_papers(bench: Any) -> None:
    context = bench.context(*PAPERS_OWN)
    bench.fill(context, printed_run)
    found = bench.ledger(context, "haochen2021")
    same = found.loc["table1/spectral/cifar10/200"]
    assert (same["printed"], same["verdict"], same["seeds"]) == (88.66, "holds", 5)
    assert same["measured"] == pytest.approx(88.66)
    assert "analogue" not in same["protocol"]
    assert same["protocol"].endswith("linear_best")
    assert found.loc["table1/simclr/cifar10/200", "verdict"] == "differs"  # measured 90, printed 83.73
    assert found.loc["table1/spectral/cifar100/200", "verdict"] == NOT_RUN
    assert found.loc["table2/spectral/imagenet", "verdict"] == NOT_RUN


@pytest.mark.parametrize(
    "changed",
    [
        "data.label=cifar100",
        "training.encoder=conv_narrow",
        "levels.epochs=[200, 400, 799]",
    ],
)
def test_a_value_is_not_judged_on_anything_else(bench: Any, changed: str) -> None:
    context = bench.context(*PAPERS_OWN, changed)
    bench.fill(context, printed_run)
    row = bench.ledger(context, "haochen2021").loc["table1/spectral/cifar10/800"]
    assert row["verdict"] == NOT_RUN
    assert row["measured"] == pytest.approx(88.66)  # the analogue stands beside, labelled
    assert row["protocol"].startswith("analogue: ")
    assert row["protocol"].endswith("few5")


def test_a_value_is_not_judged_without_the_papers_probe(bench: Any) -> None:
    context = bench.context(*PAPERS_OWN)
    bench.fill(context, level(0.8866))
    row = bench.ledger(context, "haochen2021").loc["table1/spectral/cifar10/200"]
    assert row["verdict"] == NOT_RUN
    assert row["protocol"].startswith("analogue: ")


def by_level(factor: str) -> Any:
    def probe(cell: Cell) -> dict[str, float]:
        return {"few5": cell.factors.get(factor, 0) / 100 + JITTER[cell.seed], "lbfgs": 0.5, "online": 0.5}

    return probe


def test_the_level_of_nearest_rank_stands_for_a_printed_one_and_is_named(bench: Any) -> None:
    context = bench.context("seeds=3", "training.epochs=9", "levels.epochs=[3, 4]")
    bench.fill(context, by_level("epochs"))
    found = bench.ledger(context, "haochen2021")
    rows = [found.loc[f"table1/simclr/cifar10/{epochs}"] for epochs in (200, 400, 800)]
    assert [row["measured"] for row in rows] == pytest.approx([3.0, 3.0, 4.0], abs=0.1)
    assert [row["protocol"].split(", ")[3] for row in rows] == [
        "epochs 3 in the place of 200",
        "epochs 3 in the place of 400",
        "epochs 4 in the place of 800",
    ]


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([16, 64, 256], [16, 16, 64, 64, 256]),  # the printed 256 is the least of its grid, ours the largest
        ([8, 16], [8, 8, 8, 16, 16]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([256], [256] * 5),
        ([1, 2, 3, 4], [1, 2, 2, 3, 4]),  # of two as near, the earlier
    ],
)
def test_ranks(ours: list[int], expected: list[int]) -> None:
    printed = [256, 512, 1024, 2048, 8192]
    assert [nearest(printed, level, ours) for level in printed] == expected


def test_a_printed_level_that_the_tier_has_is_judged_whatever_its_rank(bench: Any) -> None:
    context = bench.context(*PAPERS_OWN, "levels.epochs=[100, 150, 200]")
    bench.fill(context, printed_run)
    found = bench.ledger(context, "haochen2021")
    assert found.loc["table1/spectral/cifar10/200", "verdict"] == "holds"
    row = found.loc["table1/spectral/cifar10/400"]
    assert row["verdict"] == NOT_RUN
    assert "epochs 150 in the place of 400" in row["protocol"]


def grid(monkeypatch: pytest.MonkeyPatch, analogue: dict[str, Any]) -> None:
    """A grid of two data sets in the place of HaoChen et al.'s."""
    made = {
        "location": "Table 9",
        "keys": ["method", "dataset"],
        "rows": {"simclr": {"cifar10": 66.5, "factors": 60.0}},
        "protocol": {"encoder": "conv_narrow", "metric": "online"},
        "analogue": analogue,
    }
    monkeypatch.setattr("spectral_ssl.papers.printed.read", lambda name: {"grids": {"table9": made}})


def test_a_data_set_may_have_an_experiment_of_its_own(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    grid(
        monkeypatch,
        {"experiment": "rank_baselines", "experiments": {"factors": "graph_others"}, "by": ["method"]},
    )
    context = bench.context("seeds=3")
    bench.fill(context, lambda cell: dict.fromkeys(("few5", "online"), 0.6 + JITTER[cell.seed]))
    found = {value.entry: value for value in values(evidence_of(bench, context, "balestriero2022"))}
    own, other = (found[f"table9/simclr/{name}"].judged for name in ("factors", "cifar10"))
    assert own.found["dataset"] == "factors"
    assert own.decision is not None  # the paper's own data set and encoder: judged
    assert own.source.table == shown("balestriero2022", "graph_others")
    assert other.found["protocol"].startswith("analogue: digits, conv_narrow")
    assert other.decision is None
    alone = bench.context("seeds=3", "companions={}")
    bench.fill(alone, lambda cell: dict.fromkeys(("few5", "online"), 0.6))
    found = {value.entry: value for value in values(evidence_of(bench, alone, "balestriero2022"))}
    assert (
        found["table9/simclr/factors"].judged.found["dataset"] == "digits"
    )  # falls back where the tier has no such set


def evidence_of(bench: Any, context: Any, paper: str) -> Evidence:
    return Evidence(context, paper, bench.frame(context, paper), {})


def shown(paper: str, experiment: str) -> str | None:
    found: str | None = read(f"{paper}/experiments.yaml")["experiments"][experiment].get("table")
    return found


def test_every_printed_value_has_a_measured_analogue_on_a_laptop(bench: Any) -> None:
    context = bench.context(tier="laptop")
    bench.fill(
        context, lambda cell: {"few5": 0.5 + JITTER[cell.seed], "few1": 0.4, "lbfgs": 0.6, "online": 0.6}
    )
    for paper in ("haochen2021", "garrido2023"):
        found = bench.ledger(context, paper)
        value = found[found["kind"] == "value"]
        assert len(value) > 30
        assert value["measured"].notna().all()
        assert set(value["verdict"]) == {NOT_RUN}
        assert value["protocol"].str.startswith("analogue: digits, ").all()
        assert value["seeds"].eq(context.tier.seeds).all()


def test_values_of_the_text_have_analogues_of_their_own(bench: Any) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, level(0.5, vicreg=0.6, simclr_b=0.7, simclr_abs=0.45))
    found = bench.ledger(context, "garrido2023")
    expected = {
        "simclr_best_before": 50.0,
        "simclr_first_reported": 50.0,
        "simclr_tuned": 50.0,
        "simclr_abs": 45.0,
        "vicreg_256_original": 60.0,
        "vicreg_256_tuned": 60.0,
        "vicreg_256_large_projector": 60.0,
        "simclr_dimension_standardised_1000_epochs": 70.0,
        "vicreg_1000_epochs": 60.0,
    }
    assert set(expected) == set(read("garrido2023/published.yaml")["grids"]["values"]["rows"])
    for name, measured in expected.items():
        assert found.loc[f"values/{name}", "measured"] == pytest.approx(measured, abs=0.1)
        assert found.loc[f"values/{name}", "verdict"] == NOT_RUN


def test_a_value_of_the_text_is_judged_where_all_that_it_says_is_the_same(bench: Any) -> None:
    own = ("data.label=imagenet", "training.encoder=resnet50", "training.epochs=100", "seeds=5")
    context = bench.context(*own, "levels.embedding_dim=[256, 8192]", "levels.projector=[d-d-d, 8192-8192-d]")
    bench.fill(context, level(0.9, vicreg=0.6136))
    found = bench.ledger(context, "garrido2023")
    entries = found[found["entry"].str.startswith("values/")]
    judged = entries[entries["verdict"] != NOT_RUN].index.tolist()
    assert judged == ["values/vicreg_256_tuned", "values/vicreg_256_large_projector"]
    assert found.loc[judged, "verdict"].tolist() == ["holds", "differs"]  # 61.36 and 65.01 beside 61.36


def test_values_of_a_grid_are_a_family(bench: Any) -> None:
    context = bench.context(*PAPERS_OWN)
    bench.fill(context, printed_run)
    found = bench.ledger(context, "haochen2021")
    rows = found[found["family"] == "table1/printed"]
    tested = rows[rows["p"].notna()]
    assert set(tested["kind"]) == {"value"}
    assert len(tested) == 9  # three methods, three lengths
    assert tested["p_holm"].tolist() == pytest.approx(holm(tested["p"].tolist()))
    measured = tested.loc["table1/simclr/cifar10/200"]
    error = measured["spread"] * math.sqrt(1 + 1 / 5)
    t = abs(measured["printed"] - measured["measured"]) / error
    assert measured["p"] == pytest.approx(2 * stats.t.sf(t, 4), rel=1e-9)


def test_garridos_figure_has_its_analogue_beside(bench: Any) -> None:
    context = bench.context("seeds=3")
    bench.fill(context, level(0.5, vicreg=0.6))
    found = bench.ledger(context, "garrido2023")
    for dimension in (256, 8192):  # the smallest and the largest, as ours
        row = found.loc[f"figure1/vicreg/8192-8192-d/{dimension}"]
        assert row["verdict"] == NOT_RUN
        assert row["measured"] == pytest.approx(60.0)
