"""Stage `tables`: a paper's tidy measurements, its tables and its ledger rows."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pandas as pd

from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.ledger import ledger
from spectral_ssl.papers.manifest import check_papers
from spectral_ssl.provenance import write_text
from spectral_ssl.stages import Context
from spectral_ssl.targets import products

FORMAT = "%.6g"
LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"±": "$\\pm$", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "\\": "\\textbackslash{}"}
)


def run(context: Context, paper: str) -> int:
    """Write results/<tier>/tables/<paper>/: measurements.csv, each table as csv, md and tex, and ledger.csv."""
    inputs = Inputs(context, check_papers(paper))
    folder = context.layout.tables(paper)
    module = import_module(f"spectral_ssl.papers.{paper}.tables")
    made = {}
    for name, words in products(paper, "tables").items():
        made[name] = getattr(module, name)(inputs)
        _write(folder / name, made[name], words, words.get("data", context.tier.description))
    marks = made["table1"].tidy if paper == "garrido2023" else None
    evidence = Evidence(context, paper, _evidence(inputs.frame, made.values()), inputs.theorems, marks)
    write_csv(folder / "measurements.csv", inputs.frame)
    write_csv(folder / "ledger.csv", ledger(evidence))
    return 0


def _evidence(frame: pd.DataFrame, tables: Iterable[Table]) -> pd.DataFrame:
    """What claims are decided on: the runs' measurements, and the samples of tables that computed their own."""
    samples = [table.samples for table in tables if table.samples is not None and len(table.samples)]
    return pd.concat([frame, *samples], ignore_index=True) if samples else frame


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """A CSV with six digits, whole or not at all."""
    write_text(path, frame.to_csv(index=False, float_format=FORMAT))


def _write(stem: Path, table: Table, words: dict[str, str], data: str) -> None:
    write_csv(stem.with_suffix(".csv"), table.tidy)
    caption = f"{words['title']}. {words['caption']} Measured on {data}."
    markdown = table.shown.to_markdown(index=False, disable_numparse=True)
    write_text(stem.with_suffix(".md"), f"**{caption}**\n\n{markdown}\n")
    shown = table.shown.map(_latex).rename(columns=_latex)
    body = shown.to_latex(index=False, escape=False, caption=_latex(caption), na_rep="")
    write_text(stem.with_suffix(".tex"), "% needs \\usepackage{booktabs}\n" + body)


def _latex(value: object) -> str:
    """Text with LaTeX's special characters escaped."""
    text = "" if value is None or value != value else str(value)
    return text.translate(LATEX)
