"""Stage `notebook`: run a paper's notebook with papermill and write it as HTML that needs no network."""

from __future__ import annotations

import html
import os
import re
import tempfile
from pathlib import Path

import nbformat
import papermill
from latex2mathml.converter import convert
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from traitlets.config import Config

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import replacing, write_text
from spectral_ssl.stages import Context

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
ACTIVE = re.compile(
    r"<script\b.*?(?:</script\s*>|\Z)|<(?:link|base|meta|iframe|object|embed|form)\b[^>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }}
body {{ max-width: 60rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; }} a {{ color: #005a9c; }}
.output_area, .text_cell_render {{ overflow-x: auto; }} img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: .86rem; margin: 1rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid #d9d9d9; }}
pre {{ font-size: .82rem; overflow-x: auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def run(context: Context, paper: str) -> int:
    """Write results/<tier>/reports/<paper>.{ipynb,html}; a cell that fails stops it with the cell's error."""
    stem = context.layout.report(check_papers(paper))
    stem.parent.mkdir(parents=True, exist_ok=True)
    part = stem.with_name(f".{paper}.part.ipynb")
    try:
        with tempfile.TemporaryDirectory(prefix="spectral-ssl-", dir=_short_folder()) as folder:
            papermill.execute_notebook(
                NOTEBOOKS / f"{paper}.ipynb",
                part,
                parameters={"tier": context.tier.name, "paper": paper},
                cwd=os.fspath(context.root),
                progress_bar=False,
                kernel_name="python3",  # that of this environment: jupyter prefers it inside a virtual environment
                config=_sockets(folder),
            )
        write_text(stem.with_suffix(".html"), as_html(nbformat.read(part, 4), PAPERS[paper]))
        with replacing(stem.with_suffix(".ipynb")) as file:
            file.write(part.read_bytes())
        part.unlink()
    except papermill.PapermillExecutionError as error:
        raise UserError(
            f"notebooks/{paper}.ipynb, cell {error.cell_index}: {error.ename}: {error.evalue}; open {part} to see it"
        ) from None
    except RuntimeError as error:
        # nbclient's DeadKernelError, or a plain one of a kernel that never answered
        if not isinstance(error, DeadKernelError) and "ernel d" not in str(error):
            raise
        raise UserError(
            f"notebooks/{paper}.ipynb: its kernel died or never answered, out of memory perhaps; run it again alone"
        ) from None
    return 0


def _sockets(folder: str) -> Config:
    """Where kernel and client speak: files of this user instead of ports, which others see and need a network."""
    return Config(
        {"KernelManager": {"transport": "ipc", "connection_file": os.path.join(folder, "kernel.json")}}
    )


def _short_folder() -> str:
    """The folder for temporary files, unless a socket's name in it would be longer than the system allows (108)."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= 60 else "/tmp"


def as_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as a page: text and outputs without code, formulas as MathML, nothing from a network.

    No script is left in it and its policy allows none, so that it may be shown inside another page.
    """
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # papermill draws one at random
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(_mathml, cell.source)
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    body = _passive(exporter.from_notebook_node(notebook)[0])
    return PAGE.format(policy=POLICY, title=html.escape(title), body=body)


def _passive(body: str) -> str:
    """A page's body without what acts; again and again, since what is left may close up to more of it."""
    while (less := ACTIVE.sub("", body)) != body:
        body = less
    return body


def _mathml(formula: re.Match[str]) -> str:
    display, inline = formula.groups()
    return convert(display or inline, display="block" if display else "inline")
