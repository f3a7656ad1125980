"""Run folders and theorem checks written by hand, so that tables and verdicts have known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.ledger import ledger
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.measure import measurements
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context

CONFIG = Path(__file__).parents[2] / "config"
Probe = Callable[[Cell], dict[str, float] | None]  # None: the run diverged


def check(verdict: str = "holds", control: str = "fails", **changed: Any) -> dict[str, Any]:
    """A theorem check's file."""
    return {
        "kind": "identity",
        "measured": 0.25,
        "expected": 0.0,
        "tolerance": 0.5,
        "instances": 7,
        "verdict": verdict,
        "control_verdict": control,
        "text": {"title": "A statement", "statement": "In full.", "control": "Its control"},
    } | changed


@dataclass
class Bench:
    """A results folder, and the ledger that follows from what is put there."""

    root: Path
    theorems: dict[str, dict[str, Any]] = field(default_factory=dict)

    def context(self, *overrides: str, tier: str = "smoke") -> Context:
        return Context(load_tier(tier, overrides, CONFIG), self.root, quiet=True)

    def fill(self, context: Context, probe: Probe) -> None:
        """A run folder for every cell, with the probe values that `probe` gives it; the last cell of a run wins."""
        for cell in context.manifest.cells:
            values = probe(cell)
            folder = context.layout.runs / cell.run
            status: dict[str, Any] = {"run": cell.run, "status": "finished" if values else "diverged"}
            write_json(folder / "status.json", status)
            write_json(folder / "probe.json", values or {})

    def frame(self, context: Context, paper: str) -> pd.DataFrame:
        return measurements(context, paper)

    def ledger(self, context: Context, paper: str, marks: pd.DataFrame | None = None) -> pd.DataFrame:
        theorems = {name: self.theorems[name] for name in paper_statements(paper)}
        evidence = Evidence(context, paper, self.frame(context, paper), theorems, marks)
        return ledger(evidence).set_index("entry", drop=False)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    theorems = {name: check() for paper in PAPERS for name in paper_statements(paper)}
    return Bench(tmp_path, theorems)
