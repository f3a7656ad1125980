"""Stage `tables`: a paper's tidy measurements, its tables and its ledger rows."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pandas as pd

from spectral_ssl.jobs import products
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.latex import latex
from spectral_ssl.papers.ledger import as_frame, entries
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.papers.measure import NOT_THERE
from spectral_ssl.papers.sources import experiments_behind
from spectral_ssl.provenance import write_json, write_text
from spectral_ssl.stages import Context

FORMAT = "%.6g"


def run(context: Context, paper: str) -> int:
    """Write results/<tier>/tables/<paper>/: measurements.csv, each table as csv, md and tex, ledger.csv, and
    sources.json, where each entry of the ledger has its table, figure, statements, runs and parts.

    Of reference results the tables of runs alone, each once one of its runs is there.
    """
    inputs = Inputs(context, check_papers(paper))
    folder = context.layout.tables(paper)
    module = import_module(f"spectral_ssl.papers.{paper}.tables")
    made = {}
    for name in products(paper, "tables"):
        if context.partial and not _measured(inputs, name):
            continue
        made[name] = getattr(module, name)(inputs)
        write(context, paper, name, made[name])
    marks = made["table1"].tidy if paper == "garrido2023" and "table1" in made else None
    evidence = Evidence(context, paper, _evidence(inputs.frame, made.values()), inputs.theorems, marks)
    write_csv(folder / "measurements.csv", inputs.frame)
    found = entries(evidence)
    write_csv(folder / "ledger.csv", as_frame(found))
    write_json(folder / "sources.json", {one.row["entry"]: one.source.plain() for one in found})
    return 0


def _measured(inputs: Inputs, table: str) -> bool:
    """Whether a run that the table is about is there."""
    frame = inputs.frame
    run = frame.loc[frame["status"] != NOT_THERE, "experiment"]
    return bool(set(run) & set(experiments_behind(inputs.paper, table)))


def _evidence(frame: pd.DataFrame, tables: Iterable[Table]) -> pd.DataFrame:
    """What claims are decided on: the runs' measurements, and the samples of tables that computed their own."""
    samples = [table.samples for table in tables if table.samples is not None and len(table.samples)]
    return pd.concat([frame, *samples], ignore_index=True) if samples else frame


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """A CSV with six digits, in columns of words and numbers too, whole or not at all."""
    mixed = {str(name): frame[name].map(_six_digits) for name in frame if frame[name].dtype == object}
    write_text(path, frame.assign(**mixed).to_csv(index=False, float_format=FORMAT))


def _six_digits(value: object) -> object:
    return FORMAT % value if isinstance(value, float) and value == value else value


def write(context: Context, paper: str, name: str, table: Table) -> None:
    """Write a table as CSV, Markdown and LaTeX, with its caption in the latter two."""
    words, stem = products(paper, "tables")[name], context.layout.tables(paper) / name
    data = words.get("data", context.tier.description)
    write_csv(stem.with_suffix(".csv"), table.tidy)
    caption = f"{words['title']}. {words['caption']} Measured on {data}."
    markdown = table.shown.to_markdown(index=False, disable_numparse=True)
    write_text(stem.with_suffix(".md"), f"**{caption}**\n\n{markdown}\n")
    write_text(stem.with_suffix(".tex"), latex(table.shown, caption, f"tab:{stem.parent.name}-{stem.name}"))
