"""Ranks of trained embeddings by method and hyperparameter, from made-up runs, and the claims on them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from spectral_ssl.papers import read
from spectral_ssl.papers.balestriero2022 import figures, tables
from spectral_ssl.papers.decide import decide
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.inputs import Inputs
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.provenance import read_json, write_json
from spectral_ssl.stages import Context

Fill = Callable[..., Context]
RANK = "embedding_effective_rank_centred"
SWEPT = {"VICReg": [1, 25], "SimCLR": [0.05, 0.15, 0.5], "Barlow Twins": [0.0051, 0.05, 0.5]}


def ranked(context: Context, rank: Callable[[Cell], float]) -> Inputs:
    """The runs' embeddings get the effective rank that `rank` gives them; K is 16."""
    for cell in context.manifest.paper_cells("balestriero2022"):
        if "rank" in cell.experiment:
            path = context.layout.runs / cell.run / "probe.json"
            apart = (
                1e-5 * cell.seed * (len(cell.run) + sum(map(ord, cell.run)) % 7)
            )  # no two runs agree exactly
            write_json(path, read_json(path) | {RANK: rank(cell) + 0.01 * cell.seed + apart})
    return Inputs(context, "balestriero2022")


@pytest.fixture
def swept(fill: Fill) -> Inputs:
    """SimCLR's rank grows with its temperature, Barlow Twins' is 8 whatever its lambda."""
    return ranked(fill(), lambda cell: 4 + 8 * cell.factors.get("temperature", 0.5))


def test_a_row_a_method_and_level(swept: Inputs) -> None:
    table = tables.rank(swept)
    assert table.shown["method"].tolist() == [
        *(name for name, levels in SWEPT.items() for _ in levels),
        *("SimCLR", "Barlow Twins", "NNCLR"),
    ]
    assert table.shown["hyperparameter"].tolist() == [
        *("invariance weight 1", "invariance weight 25"),
        *(f"temperature {level}" for level in SWEPT["SimCLR"]),
        *(f"lambda {level}" for level in SWEPT["Barlow Twins"]),
        *("", "", ""),
    ]
    assert set(table.tidy["dimension"]) == set(table.tidy["bound"]) == {16}
    cell = table.tidy.query("experiment == 'rank_temperature' and level == 0.05")
    assert cell[f"{RANK}_mean"].item() == pytest.approx(
        4.405, abs=1e-3
    )  # 4 + 8 * 0.05, and 0 and 0.01 by seed
    assert cell["n"].item() == 2


def test_few_images_bound_the_rank(fill: Fill) -> None:
    """Two views of each of 60 images: G has rank 120, below K."""
    table = tables.rank(Inputs(fill("training.embedding_dim=200"), "balestriero2022"))
    assert set(table.tidy["dimension"]) == {200}
    assert set(table.tidy["bound"]) == {120}
    assert set(table.shown["of at most"]) == {"120"}


def claims(given: Inputs) -> dict[str, dict[str, object]]:
    samples = tables.rank(given).samples
    assert samples is not None
    frame = pd.concat([given.frame, samples], ignore_index=True)
    evidence = Evidence(given.context, "balestriero2022", frame, {})
    found = read("balestriero2022/claims.yaml")
    return {name: decide(evidence, claim) | {"claim": claim} for name, claim in found.items()}


def test_claims_are_decided_in_percent_of_the_dimension(swept: Inputs) -> None:
    found = claims(swept)
    simclr = found["keypoint3/simclr-rank-whatever-the-temperature"]
    assert simclr["measured"] == pytest.approx(100 * 8 * 0.45 / 16, abs=0.01)  # 0.5 less 0.05
    assert simclr["verdict"] == "differs"
    barlow = found["keypoint3/barlow-twins-rank-whatever-lambda"]
    assert barlow["measured"] == pytest.approx(0, abs=0.01)
    assert barlow["verdict"] == "holds"
    assert str(barlow["protocol"]).startswith("analogue: digits, conv_narrow, rank_share")


def test_every_sample_names_its_table_and_factors(swept: Inputs) -> None:
    spec = read("balestriero2022/experiments.yaml")
    samples = tables.rank(swept).samples
    assert samples is not None
    for name, sample in spec["samples"].items():
        assert sample["table"] in spec["tables"]
        assert sample["figure"] in spec["figures"]
        if sample["table"] == "rank":
            rows = samples[samples["experiment"] == name]
            assert rows[sample["factors"]].notna().all(axis=None)
            assert set(rows["run"]) <= set(swept.context.manifest.runs)


def test_every_experiment_and_claim_names_where_it_is_shown() -> None:
    spec = read("balestriero2022/experiments.yaml")
    for experiment in spec["experiments"].values():
        assert experiment["table"] in spec["tables"]
        assert experiment.get("figure", "rank") in spec["figures"]
    files = [read(f"balestriero2022/{name}.yaml") for name in ("claims", "claims_advice")]
    assert not set(files[0]) & set(files[1])
    for claim in (claim for found in files for claim in found.values()):
        assert ("family" in claim) == ("measure" in claim)
        assert claim.get("table", "rank") in spec["tables"]
        assert claim.get("figure", "rank") in spec["figures"]


def test_a_panel_a_method_with_its_bound(swept: Inputs) -> None:
    table = tables.rank(swept)
    axes = figures.rank({"rank": table.tidy}).axes
    assert [panel.get_title() for panel in axes] == list(SWEPT)
    for panel, levels in zip(axes, SWEPT.values(), strict=True):
        assert panel.get_xscale() == "log"
        assert [tick.get_text() for tick in panel.get_xticklabels()] == [f"{level:g}" for level in levels]
        embedding, representation = panel.containers
        assert len(embedding.lines[0].get_xdata()) == len(representation.lines[0].get_xdata()) == len(levels)
        (bound,) = (drawn for drawn in panel.lines if drawn.get_label() == "min(K, rank(G))")
        assert list(bound.get_ydata()) == [16, 16]
    heights = axes[1].containers[0].lines[0].get_ydata()
    assert list(heights) == pytest.approx([4.405, 5.205, 8.005], abs=1e-3)


def test_diverged_runs_have_no_rank(fill: Fill) -> None:
    table = tables.rank(Inputs(fill(diverged=lambda method: method == "simclr"), "balestriero2022"))
    shown = table.shown[table.shown["method"] == "SimCLR"]
    assert (shown["rank of Z"] == "diverged").all()
    assert len(figures.rank({"rank": table.tidy}).axes) == 3
