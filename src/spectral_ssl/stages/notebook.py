"""Stage `notebook`: run a paper's notebook with papermill and write it as HTML."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter

from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import write_text
from spectral_ssl.stages import Context

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def run(context: Context, paper: str) -> int:
    """Write results/<tier>/reports/<paper>.{ipynb,html}; a cell that fails stops it with the cell's error."""
    stem = context.layout.report(check_papers(paper))
    stem.parent.mkdir(parents=True, exist_ok=True)
    part = stem.with_name(f".{paper}.part.ipynb")
    try:
        papermill.execute_notebook(
            NOTEBOOKS / f"{paper}.ipynb",
            part,
            parameters={"tier": context.tier.name, "paper": paper, "root": os.fspath(context.root.resolve())},
            progress_bar=False,
            kernel_name="python3",  # that of this environment: jupyter prefers it inside a virtual environment
        )
        body, _ = HTMLExporter(template_name="classic").from_notebook_node(nbformat.read(part, 4))
        write_text(stem.with_suffix(".html"), body)
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
