"""Claims on Table 1 of HaoChen et al. 2021: column by column where the data are there, and on schedules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.jobs import products
from spectral_ssl.papers import claims
from spectral_ssl.papers.decide import decide
from spectral_ssl.papers.evidence import NOT_RUN, Evidence
from spectral_ssl.papers.manifest import Cell, RunSettings
from spectral_ssl.papers.printed import printed_cells
from spectral_ssl.papers.rules import COMPOSITE
from spectral_ssl.stages import Context

CONFIG = Path(__file__).parents[2] / "config"
PAPER = "haochen2021"
PRINTED = {tuple(keys.values()): value for name, keys, value, _ in printed_cells(PAPER) if name == "table1"}
COLUMNS = {entry: claim for entry, claim in claims(PAPER).items() if entry.startswith("table1/column/")}
SCHEDULES = [entry for entry in claims(PAPER) if entry.startswith("table1/own-schedule-over-read-out")]


def evidence(tier: str, accuracy: Callable[[Cell, RunSettings], float]) -> Evidence:
    """Five seeds of every cell, apart by a hundredth of a point."""
    context = Context(load_tier(tier, ["seeds=5"], CONFIG), Path(), quiet=True)
    runs = context.manifest.runs
    rows = [
        {"experiment": cell.experiment, "method": cell.method, "run": cell.run, "status": "finished"}
        | {"seed": cell.seed, "accuracy": accuracy(cell, runs[cell.run]) + 0.01 * (cell.seed % 3)}
        | cell.factors
        for cell in context.manifest.paper_cells(PAPER)
    ]
    return Evidence(context, PAPER, pd.DataFrame(rows), {})


def measured(found: Evidence, entry: str) -> float | None:
    """The difference that the claim is decided on; None if this tier does not measure it."""
    source = decide(found, claims(PAPER)[entry])
    row = source if isinstance(source, dict) else source.found
    return None if row.get("verdict") == NOT_RUN else row["measured"]


def test_a_column_for_each_of_the_nine_in_the_printed_order() -> None:
    assert len(COLUMNS) == 9
    for entry, claim in COLUMNS.items():
        _, _, dataset, epochs = entry.split("/")
        column = {m: PRINTED[m, dataset, int(epochs)] for m in ("simclr", "simsiam", "spectral")}
        best, second, _ = sorted(column, key=lambda method: -column[method])
        sides = [claim["measure"][side] for side in ("high", "low")]
        assert sides == [{"method": method, "epochs": int(epochs)} for method in (best, second)]
        assert claim["printed"] == f"{column[best]:.2f} > {column[second]:.2f}"
        assert claim["measure"]["experiment"] == f"table1_{dataset}"
    assert sum(claim["measure"]["high"]["method"] == "spectral" for claim in COLUMNS.values()) == 6
    assert claims(PAPER)["table1/best-of-each-column"]["entries"] == list(COLUMNS)


@pytest.mark.parametrize(
    ("tier", "present"), [("gpu", {"cifar10", "cifar100"}), ("cluster", {"tiny_imagenet"}), ("laptop", set())]
)
def test_a_column_is_decided_where_its_data_set_is(tier: str, present: set[str]) -> None:
    found = evidence(tier, lambda cell, run: PRINTED.get((cell.method, run.dataset, run.epochs), 0.0))
    for entry in COLUMNS:
        _, _, dataset, epochs = entry.split("/")
        values = sorted(PRINTED[m, dataset, int(epochs)] for m in ("simclr", "simsiam", "spectral"))
        expected = pytest.approx(values[-1] - values[-2]) if dataset in present else None
        assert measured(found, entry) == expected
        analogue = decide(found, COLUMNS[entry])
        assert analogue["protocol"].startswith("analogue: ")
        assert analogue["measured"] is not None


def test_own_schedules_are_set_against_read_outs_at_the_shortest_length() -> None:
    methods = {"simclr": 3.0, "simsiam": -2.0, "spectral": 1.0}
    shortest = load_tier("laptop", [], CONFIG).levels.epochs[0]

    def accuracy(cell: Cell, run: RunSettings) -> float:
        return 50 + methods.get(cell.method, 0.0) * (run.schedule == run.epochs == shortest)

    found = evidence("laptop", accuracy)
    assert len(SCHEDULES) == 3
    for entry in SCHEDULES:
        assert measured(found, entry) == pytest.approx(methods[entry.rpartition("-")[2]])
        assert claims(PAPER)[entry]["family"] == "table1-schedule"
    assert claims(PAPER)["table1/schedule"]["kind"] == "underspecified"
    one = evidence("imagenet", accuracy)  # of one length, whose read-out is itself
    assert all(measured(one, entry) is None for entry in SCHEDULES)


def test_every_experiment_names_a_table_and_a_figure_that_show_it() -> None:
    from spectral_ssl.papers import read

    spec = read(f"{PAPER}/experiments.yaml")
    for name, entry in {**spec["experiments"], **spec["samples"]}.items():
        for kind in ("table", "figure"):
            assert entry[kind] in products(PAPER, f"{kind}s"), name
    decided = {entry: claim for entry, claim in claims(PAPER).items() if claim["kind"] not in COMPOSITE}
    families = {entry: claim.get("family", entry.partition("/")[0]) for entry, claim in decided.items()}
    assert set(families.values()) == {
        *("table1", "table1-schedule", "table1-columns", "table2", "table3"),
        *("heuristics", "head", "agreement", "inductive-bias", "recipe"),
    }
