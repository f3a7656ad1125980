"""A tier's jobs: the files of each, what they depend on, and which others they need. Imports no torch.

The workflow builds its rules from this, the plan its predictions, and receipts say of each job what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from spectral_ssl import codes
from spectral_ssl.config import canonical
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
from spectral_ssl.sections import Tier


@dataclass(frozen=True)
class Job:
    """One command of the workflow. `id` is its stage and, of several, which; `needs` are other jobs' ids."""

    id: str
    files: tuple[str, ...]
    parameters: Callable[[], dict[str, Any]]
    needs: tuple[str, ...] = ()


class Jobs:
    """The files and parameters of a tier's jobs."""

    def __init__(self, tier: Tier, layout: Layout, manifest: Manifest | None = None) -> None:
        self.tier = tier
        self.layout = layout
        self.papers = list(PAPERS)
        if manifest is not None:
            self.manifest = manifest

    @cached_property
    def manifest(self) -> Manifest:
        """The tier's runs, batches and cells."""
        return build(self.tier)

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
        return [file for job in self.jobs.values() for file in job.files]

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """Every job by its id, each after those that it needs."""
        return {job.id: job for job in self._jobs()}

    def of_command(self, stage: str, options: Mapping[str, Any]) -> list[Job]:
        """The jobs that a stage's command does with these options; what it does not know it will refuse itself."""
        which = next(
            (options[name] for name in ("dataset", "batch", "only", "paper") if options.get(name)), None
        )
        if stage == "theorems":
            which = options.get("paper")
        wanted = f"{stage}/{which}" if which else stage
        return [job for name, job in self.jobs.items() if name == wanted or name.startswith(f"{wanted}/")]

    def _jobs(self) -> Iterator[Job]:
        data = [f"data/{name}" for name in self.datasets]
        for name in self.datasets:
            yield _job(f"data/{name}", self.data(name), partial(self.data_parameters, name))
        yield _job("views", self.views(), self.views_parameters, data)
        trained: dict[str, str] = {}
        for batch in self.manifest.batches.values():
            job, runs = f"pretrain/{batch.id}", batch.runs
            trained |= {run.id: job for run in runs}
            parameters = partial(self.batch_parameters, batch)
            yield _job(job, self.batch(batch), parameters, [f"data/{runs[0].dataset}"])
        for paper in self.papers:
            yield _job(f"theorems/{paper}", self.theorems(paper), partial(self.theorems_parameters, paper))
        for name in self.networks_trained:
            yield _job(f"networks/{name}", self.networks(name), partial(self.networks_parameters, name))
        for paper in self.papers:
            runs_of = dict.fromkeys(trained[cell.run] for cell in self.manifest.paper_cells(paper))
            graphs = [f"networks/{name}" for name in paper_networks(paper) if name in self.networks_trained]
            needs = [*data, "views", f"theorems/{paper}", *runs_of, *graphs]
            yield _job(f"tables/{paper}", self.tables(paper), partial(self.tables_parameters, paper), needs)
        for paper in self.papers:
            parameters = partial(self.figures_parameters, paper)
            yield _job(f"figures/{paper}", self.figures(paper), parameters, [f"tables/{paper}"])
        for paper in self.papers:
            needs = [f"{stage}/{paper}" for stage in ("tables", "theorems", "figures")]
            yield _job(
                f"notebook/{paper}", self.notebook(paper), partial(self.notebook_parameters, paper), needs
            )
        needs = [f"{stage}/{paper}" for stage in ("figures", "notebook") for paper in self.papers]
        yield _job("report", self.report(), self.report_parameters, ["views", *needs])

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
        return {
            "metric": tier.probes.metric,
            "caption": braceless(tier.description),
            "cells": cells,
            "code": code,
        }

    def figures_parameters(self, paper: str) -> dict[str, str]:
        """What a paper's figures depend on besides its tables."""
        return {"caption": braceless(self.tier.description), "code": codes.figures_code(paper)}

    def notebook_parameters(self, paper: str) -> dict[str, str]:
        """What a paper's notebook depends on besides its inputs."""
        return {"code": codes.notebook_code(paper)}

    def report_parameters(self) -> dict[str, str]:
        """What the report depends on besides its inputs; refuses incomplete texts of the statements."""
        from spectral_ssl.papers.statements import (
            check_texts,
        )  # its converter of formulas is the report's alone

        check_texts()
        return {"code": codes.report_code()}


def _job(
    name: str, files: Iterable[str], parameters: Callable[[], dict[str, Any]], needs: Iterable[str] = ()
) -> Job:
    return Job(name, tuple(files), parameters, tuple(needs))


def products(paper: str, kind: str) -> dict[str, dict[str, str]]:
    """A paper's tables or figures: name -> title and caption."""
    found: dict[str, dict[str, str]] = read(f"{paper}/experiments.yaml")[kind]
    return found


def paths(folder: Path, names: Any) -> list[str]:
    """Files of a folder."""
    return [str(folder / name) for name in names]


def plain(settings: Tier | RunSettings | Any) -> str:
    """Settings as text without braces, which the workflow would take for wildcards."""
    return braceless(canonical(settings))


def braceless(text: str) -> str:
    """A text with round brackets in the place of braces."""
    return text.replace("{", "(").replace("}", ")")
