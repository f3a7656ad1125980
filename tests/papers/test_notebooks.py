"""The papers' notebooks as committed: every table and figure is shown, and nothing of a run is left in them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from spectral_ssl.jobs import products
from spectral_ssl.papers import PAPERS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("paper", PAPERS)
def test_a_notebook_shows_every_table_and_figure_once(paper: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{paper}.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for kind in ("table", "figure"):
        shown = re.findall(rf'^{kind}\("(\w+)"\)$', code, flags=re.MULTILINE)
        assert sorted(shown) == sorted(products(paper, f"{kind}s"))


@pytest.mark.parametrize("paper", PAPERS)
def test_a_notebook_is_committed_without_outputs(paper: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{paper}.ipynb", as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert [cell.id for cell in notebook.cells] == [f"cell-{n:02d}" for n in range(len(notebook.cells))]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_code_cell_but_the_first_two_has_a_heading_before_it(paper: str) -> None:
    cells = nbformat.read(NOTEBOOKS / f"{paper}.ipynb", as_version=4).cells
    code = [n for n, cell in enumerate(cells) if cell.cell_type == "code"][2:]
    assert all(cells[n - 1].source.startswith("## ") for n in code)
