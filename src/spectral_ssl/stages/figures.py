"""Stage `figures`: draw a paper's figures from the CSV of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from matplotlib.figure import Figure

from spectral_ssl.errors import UserError
from spectral_ssl.jobs import products
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.plotting import save, titled
from spectral_ssl.report.inputs import table
from spectral_ssl.stages import Context


def run(context: Context, paper: str) -> int:
    """Write figures/<tier>/<paper>/<figure>.{pdf,svg,png}."""
    for name, figure in drawn(context, paper):
        save(figure, context.layout.figures(paper) / name)
    return 0


def drawn(context: Context, paper: str) -> Iterator[tuple[str, Figure]]:
    """A paper's figures by name, each with its title, the tier and the data that it is about."""
    module = import_module(f"spectral_ssl.papers.{check_papers(paper)}.figures")
    files = {name: context.layout.tables(paper) / f"{name}.csv" for name in products(paper, "tables")}
    if absent := [file for file in files.values() if not file.is_file()]:
        raise UserError(f"{absent[0]} is not there: run `tables --paper {paper}` first")
    tables = {name: table(file, keep_default_na=True) for name, file in files.items()}
    for name, words in products(paper, "figures").items():
        figure = getattr(module, name)(tables)
        titled(
            figure, words["title"], f"{context.tier.name} tier: {words.get('data', context.tier.description)}"
        )
        yield name, figure
