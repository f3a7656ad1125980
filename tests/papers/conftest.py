"""Run folders and theorem checks written by hand, so that tables and verdicts have known answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.evidence import Evidence
from spectral_ssl.papers.ledger import ledger
from spectral_ssl.papers.manifest import Cell
from spectral_ssl.papers.measure import measurements
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context, data, views

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


SMALL = ("data.train_limit=60", "data.test_limit=40", "views.images=20", "views.views=2", "probes.draws=2")
PROBES = ("online", "lbfgs", "knn", "few1", "few5", "separation_before", "separation_after")
SIDES = ("embedding", "representation")
STATISTICS = (
    *("effective_rank_centred", "gram_variance_relative", "dimension_concentration"),
    *("gram_dominance", "covariance_dominance"),
)
Fill = Callable[..., Context]


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke tier's data sets and views, a small part of them."""
    context = Context(load_tier("smoke", SMALL, CONFIG), tmp_path_factory.mktemp("data"), quiet=True)
    data.run(context)
    views.run(context)
    return context.root


@pytest.fixture
def fill(tmp_path: Path, small_data: Path) -> Fill:
    """Writes a whole results folder of the smoke tier: `diverged` says of which methods every run did; `features`
    makes a run's arrays.
    """

    def filled(
        *extra: str,
        diverged: Callable[[str], bool] = lambda method: False,
        features: Callable[[np.random.Generator], dict[str, np.ndarray]] = some_features,
    ) -> Context:
        context = Context(load_tier("smoke", (*SMALL, *extra), CONFIG), tmp_path, quiet=True)
        shutil.copytree(small_data / "results", tmp_path / "results")
        rng = np.random.default_rng(0)
        for cell in {cell.run: cell for cell in context.manifest.cells}.values():
            folder, lost = context.layout.runs / cell.run, diverged(cell.method)
            write_json(
                folder / "status.json", {"run": cell.run, "status": "diverged" if lost else "finished"}
            )
            probe = {name: rng.uniform(0.5, 0.9) for name in PROBES} | {
                "head_parameters": 1000 + 7 * cell.seed
            }
            probe |= {f"{side}_{name}": rng.uniform(1, 5) for side in SIDES for name in STATISTICS}
            write_json(folder / "probe.json", {} if lost else probe)
            empty = {name: np.empty((0, 0), np.float32) for name in ("embeddings", "agreement")}
            np.savez(folder / "features.npz", **(empty if lost else features(rng)))  # type: ignore[arg-type]
        for paper in PAPERS:
            for name in paper_statements(paper):
                write_json(context.layout.theorem(paper, name), check())
        return context

    return filled


def some_features(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Embeddings (40, 8) of no direction, and agreements (2, 2, 25) of any kind."""
    return {
        "embeddings": rng.normal(size=(40, 8)).astype(np.float32),
        "agreement": rng.uniform(-1, 1, size=(2, 2, 25)).astype(np.float32),
    }
