"""Stage `notebook`: run a paper's notebook with papermill and write it as HTML that needs no network."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nbformat
import papermill
from latex2mathml.converter import convert
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter

from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import write_text
from spectral_ssl.stages import Context

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
FROM_NETWORK = re.compile(r'<(script|link)\b[^>]*\b(?:src|href)="https?://[^>]*>(?:\s*</script>)?')


def run(context: Context, paper: str) -> int:
    """Write results/<tier>/reports/<paper>.{ipynb,html}; a cell that fails stops it with the cell's error."""
    stem = context.layout.report(check_papers(paper))
    stem.parent.mkdir(parents=True, exist_ok=True)
    part = stem.with_name(f".{paper}.part.ipynb")
    try:
        papermill.execute_notebook(
            NOTEBOOKS / f"{paper}.ipynb",
            part,
            parameters={"tier": context.tier.name, "paper": paper},
            cwd=os.fspath(context.root),
            progress_bar=False,
            kernel_name="python3",  # that of this environment: jupyter prefers it inside a virtual environment
        )
        write_text(stem.with_suffix(".html"), as_html(nbformat.read(part, 4)))
        shutil.move(part, stem.with_suffix(".ipynb"))
    except papermill.PapermillExecutionError as error:
        raise UserError(
            f"notebooks/{paper}.ipynb, cell {error.cell_index}: {error.ename}: {error.evalue}; open {part} to see it"
        ) from None
    except DeadKernelError:
        raise UserError(
            f"notebooks/{paper}.ipynb: its kernel died, out of memory perhaps; run it again alone"
        ) from None
    return 0


def as_html(notebook: nbformat.NotebookNode) -> str:
    """An executed notebook as a page: text and outputs without code, formulas as MathML, no request leaves it."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(_mathml, cell.source)
    exporter = HTMLExporter(template_name="classic", exclude_input=True, exclude_output_prompt=True)
    return FROM_NETWORK.sub("", exporter.from_notebook_node(notebook)[0])


def _mathml(formula: re.Match[str]) -> str:
    display, inline = formula.groups()
    return convert(display or inline, display="block" if display else "inline")
