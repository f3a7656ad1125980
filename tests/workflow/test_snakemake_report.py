"""`snakemake --report`: every product under its paper, with the words that it has elsewhere, in one file."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.jobs import products
from spectral_ssl.papers import PAPERS

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

MERGED = {"results/ledger.csv", "results/theorems.csv", "results/report.html"}
KINDS = {"tables": ("results/tiny/tables", ("csv", "tex")), "figures": ("figures/tiny", ("png", "pdf"))}


def variable(page: str, name: str) -> Any:
    """What the page's script of that name sets."""
    _, _, script = page.partition(f'<script id="{name}">')
    return json.JSONDecoder().raw_decode(script.partition(" = ")[2])[0]


def words(caption: str) -> str:
    """An HTML text without its marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", caption))


@pytest.fixture(scope="module")
def page(finished: Any) -> str:
    done = finished.snakemake("--report", "all.html")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ERROR" not in done.stderr  # docutils reports markup that it cannot read and goes on
    return (finished.folder / "all.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results(page: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = variable(page, "results")
    return found


def test_each_paper_is_a_category_with_its_tables_figures_and_notebook(page: str) -> None:
    categories = variable(page, "categories")
    assert set(categories) == {*PAPERS.values(), "All papers"}
    assert {file for files in categories["All papers"].values() for file in files} == MERGED
    for paper, title in PAPERS.items():
        assert set(categories[title]) == {"tables", "figures", "notebook"}
        assert categories[title]["notebook"] == [f"results/tiny/reports/{paper}.html"]
        for kind, (folder, endings) in KINDS.items():
            names = {f"{folder}/{paper}/{name}.{end}" for name in products(paper, kind) for end in endings}
            assert set(categories[title][kind]) == names


@pytest.mark.parametrize("kind", KINDS)
def test_each_product_has_its_own_title_and_caption(
    results: dict[str, dict[str, Any]], finished: Any, kind: str
) -> None:
    folder, endings = KINDS[kind]
    for paper in PAPERS:
        for name, told in products(paper, kind).items():
            for ending in endings:
                shown = results[f"{folder}/{paper}/{name}.{ending}"]
                data = told.get("data", "digits, one epoch, to see that the graph works")
                assert shown["labels"][kind[:-1]] == told["title"]
                assert f"{told['caption']} Measured on {data}." in " ".join(words(shown["caption"]).split())


def test_a_tables_caption_shows_the_table(results: dict[str, dict[str, Any]], finished: Any) -> None:
    file = "results/tiny/tables/haochen2021/table1"
    (row,) = (line for line in (finished.folder / f"{file}.md").read_text().splitlines() if "SimSiam" in line)
    assert row in words(results[f"{file}.csv"]["caption"])
    assert row not in words(results["figures/tiny/haochen2021/table1.png"]["caption"])


def test_labels_tell_the_files_of_a_list_apart(page: str, results: dict[str, dict[str, Any]]) -> None:
    for parts in variable(page, "categories").values():
        for files in parts.values():
            labels = Counter(tuple(results[file]["labels"].values()) for file in files)
            assert max(labels.values()) == 1, labels.most_common(1)


def test_the_page_holds_the_files_themselves(results: dict[str, dict[str, Any]], finished: Any) -> None:
    for file in (*MERGED, "figures/tiny/garrido2023/figure1.png"):
        _, _, encoded = results[file]["data_uri"].partition("base64,")
        assert base64.b64decode(encoded) == (finished.folder / file).read_bytes()


def test_the_page_says_what_it_is_of_and_loads_nothing(page: str) -> None:
    assert "tiny.yaml" in words(variable(page, "workflow-desc"))
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=[\"']?https?:", page)


def test_a_zip_holds_each_file_once(finished: Any) -> None:
    assert finished.snakemake("--report", "all.zip").returncode == 0
    with zipfile.ZipFile(finished.folder / "all.zip") as archive:
        names = [Path(name).name for name in archive.namelist()]
    assert names.count("ledger.csv") == 1
    assert names.count("relations.pdf") == 1


def test_without_results_it_names_what_is_missing(finished: Any) -> None:
    table = finished.folder / "results/tiny/tables/haochen2021/table1.tex"
    aside = table.rename(table.with_suffix(".aside"))
    try:
        done = finished.snakemake("--report", "holes.html")
    finally:
        aside.rename(table)
    assert done.returncode != 0
    assert "haochen2021/table1.tex" in done.stderr
    assert not (finished.folder / "holes.html").exists()


def test_reporting_leaves_nothing_to_do(page: str, finished: Any) -> None:
    assert finished.plan() == set()
