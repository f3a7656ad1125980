"""What a ledger row rests on, and its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spectral_ssl.papers.sources import Source, shown_in
from spectral_ssl.stages import Context

COLUMNS = [
    "paper",
    "entry",
    "kind",
    "location",
    "printed",
    "measured",
    "spread",
    "ci_low",
    "ci_high",
    "margin",
    "family",
    "p",
    "p_holm",
    "seeds",
    "seeds_needed",
    "protocol",
    "tier",
    "dataset",
    "rule",
    "verdict",
]
VERDICTS = ("holds", "differs", "inconclusive", "not run at this tier", "underspecified")
NOT_RUN = "not run at this tier"


@dataclass
class Evidence:
    """What a ledger row rests on."""

    context: Context
    paper: str
    frame: pd.DataFrame
    theorems: Mapping[str, Mapping[str, Any]]
    marks: pd.DataFrame | None = None

    def row(
        self, entry: str, kind: str, location: str, printed: Any, rule: str, **found: Any
    ) -> dict[str, Any]:
        """A ledger row with every column; what was not found is empty."""
        values = {
            "paper": self.paper,
            "entry": entry,
            "kind": kind,
            "location": location,
            "printed": printed,
            "rule": rule,
            "tier": self.context.tier.name,
            "dataset": self.context.tier.data.slug,
            "verdict": NOT_RUN,
        } | found
        return {column: values.get(column) for column in COLUMNS}

    def source(self, experiments: list[str], rows: pd.DataFrame, claim: Mapping[str, Any]) -> Source:
        """Where a claim on these rows is shown, and which of this tier's runs they are; a table's own samples are no
        runs.
        """
        known = self.context.manifest.runs
        runs = [run for run in dict.fromkeys(rows["run"]) if run in known] if len(rows) else []
        table, figure = shown_in(self.paper, experiments, claim)
        return Source(table, figure, runs=tuple(runs))
