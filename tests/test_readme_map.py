"""docs/map.md says what the papers' files say, and leaves nothing out."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS, claims, paper_statements, read
from spectral_ssl.papers.manifest import build
from spectral_ssl.targets import Targets

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "map.py"))


def test_the_map_is_up_to_date(names: dict[str, Any]) -> None:
    assert names["document"]() == TEXT, (
        "run `make docs`, or `PYTHONPATH=src python docs/map.py` for the map alone"
    )


def test_every_table_and_figure_of_the_workflow_is_there_once() -> None:
    known = Targets({"tier": "smoke"}, ROOT / "config")
    for paper, part in zip(PAPERS, TEXT.split("\n## ")[1:], strict=True):
        files = [Path(file) for file in (*known.tables(paper), *known.figures(paper))]
        made = sorted(file.name for file in files if file.suffix in (".md", ".png"))
        assert sorted(re.findall(r"`(\w+\.(?:md|png))`", part)) == made
        assert f"| {len(paper_statements(paper))} statements |" in part


def test_every_experiment_and_entry_is_there() -> None:
    for paper, part in zip(PAPERS, TEXT.split("\n## ")[1:], strict=True):
        said = set(re.findall(r"`([^`]+)`", part))
        assert set(read(f"{paper}/experiments.yaml")["experiments"]) <= said
        begun = {word.removesuffix("…") for word in said if word.endswith("/…")}
        entries = {*claims(paper), *(f"statement/{name}" for name in paper_statements(paper))}
        assert {
            entry for entry in entries if entry not in said and f"{entry.split('/')[0]}/" not in begun
        } == set()
        for name, grid in read(f"{paper}/published.yaml").get("grids", {}).items():
            assert f"{name}/" in begun or f"{name}/<{grid['keys'][0]}>" in " ".join(said)


def test_known_rows(names: dict[str, Any]) -> None:
    table2 = next(row for row in names["rows"]("haochen2021") if "`table2.md`" in row[2])
    assert table2[0] == read("haochen2021/experiments.yaml")["tables"]["table2"]["title"]
    assert "`table2`" in table2[1]
    assert "`text/no-stop-gradient`" in table2[3]
    assert table2[4:] == ("all", "imagenet")
    arrows = next(row for row in names["rows"]("balestriero2022") if "`correspondences.md`" in row[2])
    assert "`figure1/…`" in arrows[3]


def test_tiers_are_those_whose_runs_there_are(names: dict[str, Any]) -> None:
    """By another route: the manifest's cells."""
    spec = {paper: read(f"{paper}/experiments.yaml")["experiments"] for paper in PAPERS}
    for name, tier in names["tiers"]().items():
        run = {(cell.paper, cell.experiment) for cell in build(load_tier(name, [], ROOT / "config")).cells}
        for paper, experiments in spec.items():
            assert {key for key, one in experiments.items() if names["has"](tier, one)} == {
                experiment for of, experiment in run if of == paper
            }


def test_a_beginning_stands_for_its_entries_only_if_all_are_meant(names: dict[str, Any]) -> None:
    every = {"a/1", "a/2", "b", "b/1", "c/1"}
    assert names["shortened"]({"a/1", "a/2", "b", "c/1"}, every) == ["a/…", "b", "c/1"]
    assert names["shortened"]({"a/1"}, every) == ["a/1"]


def test_the_printed_setting_is_data_set_and_encoder(names: dict[str, Any]) -> None:
    grid = {
        "keys": ["method", "dataset"],
        "rows": {"simclr": {"cifar10": [1]}},
        "protocol": {"encoder": "resnet18_cifar"},
    }
    tier = {"data": {"name": "cifar10"}, "training": {"encoder": "resnet18_cifar"}}
    assert names["as_printed"](tier, grid)
    assert not names["as_printed"](tier | {"training": {"encoder": "conv32"}}, grid)
    assert not names["as_printed"](tier | {"data": {"name": "digits"}}, grid)
