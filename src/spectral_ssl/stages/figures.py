"""Stage `figures`: draw a paper's figures from the CSV of its tables."""

from __future__ import annotations

from importlib import import_module

import pandas as pd

from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.plotting import save
from spectral_ssl.stages import Context
from spectral_ssl.targets import products


def run(context: Context, paper: str) -> int:
    """Write figures/<tier>/<paper>/<figure>.{pdf,svg,png}."""
    module = import_module(f"spectral_ssl.papers.{check_papers(paper)}.figures")
    tables = {
        name: pd.read_csv(context.layout.tables(paper) / f"{name}.csv", keep_default_na=True)
        for name in products(paper, "tables")
    }
    for name, words in products(paper, "figures").items():
        figure = getattr(module, name)(tables)
        data = words.get("data", context.tier.description)
        figure.suptitle(f"{words['title']}\n{context.tier.name} tier: {data}", fontsize=9)
        save(figure, context.layout.figures(paper) / name)
    return 0
