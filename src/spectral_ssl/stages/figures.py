"""Stage `figures`: draw a paper's figures from the CSV of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.errors import UserError
from spectral_ssl.jobs import products
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.plotting import save, titled
from spectral_ssl.report.inputs import table
from spectral_ssl.stages import Context


class Tables(dict[str, pd.DataFrame]):
    """A paper's tables by name, each read when a figure first asks for it."""

    def __init__(self, folder: Path, paper: str) -> None:
        super().__init__()
        self.folder, self.paper = folder, paper

    def __missing__(self, name: str) -> pd.DataFrame:
        file = self.folder / f"{name}.csv"
        if not file.is_file():
            raise Absent(f"{file} is not there: run `tables --paper {self.paper}` first")
        return self.setdefault(name, table(file, keep_default_na=True))


class Absent(UserError):
    """A table that a figure is drawn from is not there."""


def run(context: Context, paper: str) -> int:
    """Write figures/<tier>/<paper>/<figure>.{pdf,svg,png}."""
    for name, figure in drawn(context, paper):
        save(figure, context.layout.figures(paper) / name)
    return 0


def drawn(context: Context, paper: str) -> Iterator[tuple[str, Figure]]:
    """A paper's figures by name, each with its title, the tier and the data that it is about; of reference results
    those whose tables are there.
    """
    module = import_module(f"spectral_ssl.papers.{check_papers(paper)}.figures")
    tables = Tables(context.layout.tables(paper), paper)
    for name, words in products(paper, "figures").items():
        try:
            figure = getattr(module, name)(tables)
        except Absent:
            if context.partial:
                continue
            raise
        titled(
            figure, words["title"], f"{context.tier.name} tier: {words.get('data', context.tier.description)}"
        )
        yield name, figure
