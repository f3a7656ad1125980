"""What the workflow has to know of a tier: files, parameters and arguments of every job. Imports no torch.

The Snakefile builds its rules from this; nothing here knows Snakemake.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from spectral_ssl import codes
from spectral_ssl.config import canonical, load_tier
from spectral_ssl.layout import (
    DATA_FILES,
    FIGURE_FORMATS,
    NETWORK_FILES,
    NETWORKS,
    RUN_FILES,
    SHEET,
    TABLE_FORMATS,
    VIEW_FILES,
    Layout,
)
from spectral_ssl.papers import PAPERS, paper_networks, paper_statements, read
from spectral_ssl.papers.manifest import Batch, Manifest, RunSettings, build
from spectral_ssl.papers.statements import check_texts
from spectral_ssl.sections import Tier


class Targets:
    """The files and parameters of a tier's jobs, from `--config` values (`tier`, `seeds`, ...)."""

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        options = dict(config)
        name = str(options.pop("tier", "laptop"))
        self.overrides = sorted(overrides(options))
        self.tier: Tier = load_tier(name, self.overrides, folder)
        self.file = name if name.endswith((".yaml", ".yml")) else str(folder / f"{name}.yaml")
        self.layout = Layout(self.tier.name)
        self.papers = list(PAPERS)

    @cached_property
    def manifest(self) -> Manifest:
        """The tier's runs, batches and cells."""
        return build(self.tier)

    @property
    def arguments(self) -> str:
        """The command-line arguments that name this tier, quoted for a shell."""
        words = ["--tier", self.file]
        for override in self.overrides:
            words += ["--set", override]
        return shlex.join(words)

    @property
    def launcher(self) -> str:
        """What starts the processes that train a run together; nothing for one process."""
        processes = self.tier.engine.processes
        return (
            f"-m spectral_ssl.train.launch --standalone --nproc-per-node {processes} "
            if processes > 1
            else ""
        )

    @property
    def datasets(self) -> list[str]:
        """The names in paths of the tier's data sets, the main one first."""
        return list(self.tier.datasets)

    def data(self, dataset: str) -> list[str]:
        """An ingested data set's files."""
        return paths(self.layout.data(dataset), DATA_FILES)

    def all_data(self) -> list[str]:
        """The files of every data set."""
        return [file for dataset in self.datasets for file in self.data(dataset)]

    def views(self) -> list[str]:
        """The views stage's files: all of them for the main data set, a contact sheet for the others."""
        main, *beside = (self.layout.views(*names) for names in self.tier.augmentations.items())
        return paths(main, VIEW_FILES) + [str(folder / SHEET) for folder in beside]

    def run(self, run: str) -> list[str]:
        """A run's files."""
        return paths(self.layout.runs / run, RUN_FILES)

    def batch(self, batch: Batch) -> list[str]:
        """The files of all runs of a batch."""
        return [file for run in batch.runs for file in self.run(run.id)]

    def runs(self, paper: str) -> list[str]:
        """The measurements that a paper's tables read, one set a run, and those of networks on finite graphs."""
        names = ("probe.json", "status.json", "history.csv", "features.npz")
        used = dict.fromkeys(cell.run for cell in self.manifest.paper_cells(paper))
        found = [file for run in used for file in paths(self.layout.runs / run, names)]
        graphs = [name for name in paper_networks(paper) if name in self.networks_trained]
        return found + [file for name in graphs for file in self.networks(name)]

    @property
    def networks_trained(self) -> list[str]:
        """What networks on finite graphs are trained for; nothing where the tier has no such section."""
        return list(NETWORKS) if self.tier.networks else []

    def networks(self, name: str) -> list[str]:
        """The files of networks trained on a finite graph."""
        return paths(self.layout.networks(name), NETWORK_FILES)

    def theorems(self, paper: str) -> list[str]:
        """A file a statement."""
        return [str(self.layout.theorem(paper, name)) for name in paper_statements(paper)]

    def tables(self, paper: str) -> list[str]:
        """A paper's tables in every format, its tidy measurements, its ledger rows and what these rest on."""
        names = [f"{table}.{ending}" for table in products(paper, "tables") for ending in TABLE_FORMATS]
        return paths(self.layout.tables(paper), ["measurements.csv", "ledger.csv", "sources.json", *names])

    def figures(self, paper: str) -> list[str]:
        """A paper's figures in every format."""
        names = [f"{figure}.{ending}" for figure in products(paper, "figures") for ending in FIGURE_FORMATS]
        return paths(self.layout.figures(paper), names)

    def notebook(self, paper: str) -> list[str]:
        """A paper's executed notebook and its HTML."""
        return [f"{self.layout.report(paper)}.{ending}" for ending in ("ipynb", "html")]

    def report(self) -> list[str]:
        """What merges every tier present."""
        return paths(self.layout.root / "results", ("ledger.csv", "theorems.csv", "report.html"))

    def everything(self) -> list[str]:
        """Every output of the tier."""
        found = [*self.all_data(), *self.views()]
        for batch in self.manifest.batches.values():
            found += self.batch(batch)
        for name in self.networks_trained:
            found += self.networks(name)
        for paper in self.papers:
            found += self.theorems(paper) + self.tables(paper) + self.figures(paper) + self.notebook(paper)
        return found + self.report()

    def data_parameters(self, dataset: str) -> dict[str, str]:
        """What an ingested data set depends on."""
        data = self.tier.datasets[dataset]
        return {"settings": plain(data), "code": codes.data_code(data.name)}

    def views_parameters(self) -> dict[str, str]:
        """What the views stage's result depends on."""
        seen = ", ".join(f"{name} {preset}" for name, preset in self.tier.augmentations.items())
        return {"settings": plain(self.tier.views), "seen": seen, "code": codes.views_code()}

    def batch_parameters(self, batch: Batch) -> dict[str, Any]:
        """What a batch's results depend on: its resolved values and the code that it runs."""
        return {"settings": [plain(run) for run in batch.runs], "code": codes.batch_code(batch)}

    def theorems_parameters(self, paper: str) -> dict[str, str]:
        """What the results of a paper's checks depend on."""
        return {"settings": plain(self.tier.theorems), "code": codes.theorems_code(paper)}

    def networks_parameters(self, name: str) -> dict[str, str]:
        """What networks trained on a finite graph depend on."""
        return {"settings": plain(self.tier.networks), "code": codes.networks_code(name)}

    def tables_parameters(self, paper: str) -> dict[str, Any]:
        """What a paper's tables and ledger rows depend on besides their input files."""
        cells = [f"{c.experiment} {c.method} {c.seed} {c.run}" for c in self.manifest.paper_cells(paper)]
        code = codes.tables_code(paper)
        tier = self.tier
        return {"metric": tier.probes.metric, "caption": tier.description, "cells": cells, "code": code}

    def figures_parameters(self, paper: str) -> dict[str, str]:
        """What a paper's figures depend on besides its tables."""
        return {"caption": self.tier.description, "code": codes.figures_code(paper)}

    def notebook_parameters(self, paper: str) -> dict[str, str]:
        """What a paper's notebook depends on besides its inputs."""
        return {"code": codes.notebook_code(paper)}

    def report_parameters(self) -> dict[str, str]:
        """What the report depends on besides its inputs; refuses incomplete texts of the statements."""
        check_texts()
        return {"tier": self.tier.name, "code": codes.report_code()}


def products(paper: str, kind: str) -> dict[str, dict[str, str]]:
    """A paper's tables or figures: name -> title and caption."""
    found: dict[str, dict[str, str]] = read(f"{paper}/experiments.yaml")[kind]
    return found


def paths(folder: Path, names: Any) -> list[str]:
    """Files of a folder."""
    return [str(folder / name) for name in names]


def plain(settings: Tier | RunSettings | Any) -> str:
    """Settings as text without braces, which the workflow would take for wildcards."""
    return canonical(settings).replace("{", "(").replace("}", ")")


def overrides(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """`--config` values as `key=value` with dotted keys, so that a nested one leaves its siblings alone."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={canonical_value(value)}"


def canonical_value(value: Any) -> str:
    """A `--config` value as YAML on one line, so that the stage command reads the same value."""
    import json

    return value if isinstance(value, str) else json.dumps(value)
