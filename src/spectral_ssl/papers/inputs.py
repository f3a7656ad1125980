"""What a paper's table functions are given, and what they give back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from spectral_ssl.papers import paper_statements
from spectral_ssl.papers.measure import measurements
from spectral_ssl.shapes import JUDGEMENT, read_as
from spectral_ssl.stages import Context


@dataclass
class Table:
    """A table twice: `tidy` for figures and other tools (CSV), `shown` as people read it (Markdown, LaTeX).

    samples: what claims may be decided on besides the runs' measurements, a row a sample: experiment, seed, run (an
    id), status, dataset, `source` in words, and any factors and values.
    """

    tidy: pd.DataFrame
    shown: pd.DataFrame
    samples: pd.DataFrame | None = None


@dataclass
class Inputs:
    """A paper's measurements and theorem checks at one tier."""

    context: Context
    paper: str

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The tidy measurements."""
        return measurements(self.context, self.paper)

    def experiment(self, name: str) -> pd.DataFrame:
        """The measurements of one experiment."""
        return self.frame[self.frame["experiment"] == name]

    @cached_property
    def theorems(self) -> dict[str, dict[str, Any]]:
        """The paper's theorem checks by statement; of reference results those that are there."""
        paths = {name: self.context.layout.theorem(self.paper, name) for name in paper_statements(self.paper)}
        return {
            name: read_as(path, JUDGEMENT)
            for name, path in paths.items()
            if path.is_file() or not self.context.partial
        }
