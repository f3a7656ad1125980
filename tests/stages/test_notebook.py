"""Notebooks as pages: formulas without a script, nothing from a network, and a failing cell named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.stages import Context, notebook

CONFIG = Path(__file__).parents[2] / "config"


def test_formulas_become_mathml_and_no_request_leaves_the_page() -> None:
    page = notebook.as_html(
        nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("inline $x^2$ and\n\n$$\\sum_i \\lambda_i$$"),
                nbformat.v4.new_code_cell("hidden_by_design = 1"),
            ]
        ),
        "<Title>",
    )
    assert "<title>&lt;Title&gt;</title>" in page
    assert page.count("<math") == 2
    assert 'display="block"' in page
    assert "$x^2$" not in page
    assert "hidden_by_design" not in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"https?:|@import|url\(", page.replace("http://www.w3.org/1998/Math/MathML", ""))


SCRIPTS = (
    '<script src="https://example.org/x.js"></script>',
    "<SCRIPT type='module'>\nimport x from 'https://example.org/x.mjs'\n</SCRIPT >",
    '<link rel="stylesheet" href="http://example.org/y.css">',
    '<iframe src="https://example.org"></iframe>',
    "<script>never closed",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_an_output_smuggles_in_is_taken_out(script: str) -> None:
    shown = nbformat.v4.new_output("display_data", {"text/html": f"<p>kept</p>{script}"})
    page = notebook.as_html(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[shown])]), "a"
    )
    assert "<p>kept</p>" in page
    assert "example.org" not in page
    assert "<script" not in page.lower()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cell_that_fails_is_named_and_leaves_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("1 / 0")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    broken = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    (tmp_path / "haochen2021.ipynb").write_text(json.dumps(broken))
    monkeypatch.setattr(notebook, "NOTEBOOKS", tmp_path)
    context = Context(load_tier("smoke", folder=CONFIG), tmp_path, quiet=True)
    with pytest.raises(
        UserError, match=r"notebooks/haochen2021\.ipynb, cell \d+: ZeroDivisionError: division by zero"
    ):
        notebook.run(context, "haochen2021")
    assert not context.layout.report("haochen2021").with_suffix(".html").exists()
    assert not context.layout.report("haochen2021").with_suffix(".ipynb").exists()
