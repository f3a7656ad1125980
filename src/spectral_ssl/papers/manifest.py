"""From a tier and the papers' experiments to runs, batches and cells. Imports no torch.

A *run* is one encoder trained with resolved settings and a seed. It belongs to no experiment: a *cell* of an
experiment (method, factor levels, seed) points at the run that measures it, and cells of all papers may share one.
A *batch* is the job that trains runs of one data set, one method and one encoder in one process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from spectral_ssl.config import canonical
from spectral_ssl.data.pairing import parse_relation
from spectral_ssl.data.sources import reader_module
from spectral_ssl.errors import UserError, unknown
from spectral_ssl.evaluate import check_validation, measured_names
from spectral_ssl.losses.registry import get_loss
from spectral_ssl.models.specification import parse_head
from spectral_ssl.models.table import encoder_entry
from spectral_ssl.papers import PAPERS, read
from spectral_ssl.papers.experiments import candidates, experiments, fixed_value, levels, size
from spectral_ssl.sections import Optimiser, Recipe, Tier

MOST_CELLS = 20_000  # planned within seconds; the largest tier has hundreds
WIDEST = 1_000_000  # of a head's layers
RECIPE = ("projector", "embedding_dim", "optimiser", "batch_size", "augmentation")


class RunSettings(BaseModel):
    """Everything that decides what a run computes, except the code and the data's bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    augmentation: str
    method: Literal["joint_embedding", "simsiam", "byol", "moco_v2", "nnclr"]
    options: dict[str, float] = {}
    relation: str = "views"
    loss: str
    hyperparameters: dict[str, float | bool | str]
    encoder: str
    projector: str
    embedding_dim: int
    batch_size: int
    epochs: int
    schedule_epochs: int | None = None
    precision: Literal["float32", "bfloat16"]
    optimiser: Optimiser
    probes: list[str]
    draws: int
    augmented_probe: bool = False
    validation: str | None = None
    threads: int
    seed: int

    @property
    def schedule(self) -> int:
        """The length, in epochs, that the rates of learning and momentum are for: a run may stop before its end."""
        return self.schedule_epochs or self.epochs

    @property
    def name(self) -> str:
        """The method's short name: the loss (a file's by its stem), or the method where that decides."""
        return PurePath(self.loss).stem if self.method == "joint_embedding" else self.method

    @cached_property
    def id(self) -> str:
        """`<dataset>-<method>-<hash8>`: equal settings, equal id."""
        return f"{self.dataset}-{self.name}-{digest(canonical(self))}"


@dataclass(frozen=True)
class Cell:
    """One measurement that an experiment asks for."""

    paper: str
    experiment: str
    method: str
    factors: dict[str, Any]
    seed: int
    run: str


@dataclass(frozen=True)
class Batch:
    """Runs trained by one job."""

    id: str
    runs: tuple[RunSettings, ...]


@dataclass(frozen=True)
class Manifest:
    """All that a tier computes."""

    tier: Tier
    cells: tuple[Cell, ...]
    runs: dict[str, RunSettings]
    batches: dict[str, Batch]

    def batch(self, name: str) -> Batch:
        """The batch of that id; UserError naming the known ones."""
        if name not in self.batches:
            raise unknown("batch", name, self.batches)
        return self.batches[name]

    def paper_cells(self, paper: str) -> list[Cell]:
        """The cells of one paper, in the order of its experiments."""
        return [cell for cell in self.cells if cell.paper == paper]


def digest(text: str, length: int = 8) -> str:
    """The first `length` hexadecimal digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def build(tier: Tier) -> Manifest:
    """Resolve every experiment of every paper at a tier. Raises UserError for a name that no table knows."""
    for data in (tier.data, *(beside.data for beside in tier.companions.values())):
        reader_module(data.name)
        if tier.datasets[data.slug] != data:
            raise UserError(
                f"two data sets of this tier are called '{data.slug}' and differ; give one another data.label"
            )
    measured = measured_names(tier.probes.names)
    if tier.probes.metric not in measured:
        raise unknown("metric of these probes", tier.probes.metric, measured)
    if tier.probes.validation is not None:
        check_validation(tier.probes.validation)
    for paper in tier.papers:
        check_papers(paper)
    for method in tier.recipes:
        if method not in read("methods.yaml"):
            raise unknown("method in recipes", method, read("methods.yaml"))
    asked = sum(size(tier, spec) for *_, spec in experiments(tier))
    if asked > MOST_CELLS:
        raise UserError(
            f"this tier asks for {asked} cells, expected at most {MOST_CELLS}; give it fewer seeds or levels"
        )
    cells: list[Cell] = []
    runs: dict[str, RunSettings] = {}
    for paper, name, spec in experiments(tier):
        for cell, run in _experiment(tier, paper, name, spec):
            cells.append(cell)
            runs[run.id] = run
    return Manifest(tier, tuple(cells), runs, _batches(runs.values(), tier.jobs.runs_per_batch))


def _experiment(tier: Tier, paper: str, name: str, spec: dict[str, Any]) -> list[tuple[Cell, RunSettings]]:
    vary = spec.get("vary", {})
    asked = spec.get("dataset")
    companion = asked if asked in tier.companions else None  # or the tier's own data set, which has that name
    own = {"epochs": tier.papers[paper].epochs} if paper in tier.papers and not asked else {}
    fixed = own | {key: fixed_value(tier, value) for key, value in spec.get("settings", {}).items()}
    tuned = candidates(name, spec)
    found = []
    for method, values in product(spec["methods"], product(*levels(tier, spec))):
        factors = dict(zip(vary, values, strict=True))
        short = {key.split(".")[-1]: value for key, value in factors.items()}
        for index, candidate in enumerate(tuned.get(method, [{}])):
            named = short | ({"candidate": index} if tuned else {})
            for seed in range(tier.seeds):
                run = resolve(tier, method, {**fixed, **factors, **candidate}, seed, companion)
                found.append((Cell(paper, name, method, named, seed, run.id), run))
    return found


def resolve(
    tier: Tier, method: str, settings: dict[str, Any], seed: int, companion: str | None = None
) -> RunSettings:
    """A run's settings: the tier's, overridden by the method's, the tier's recipe for it and the experiment's.

    On a companion data set that set's overrides stand in the place of the recipe's networks and optimiser, which are
    for the tier's own data, unless the companion says that recipes hold there too.

    `settings` may set a hyperparameter by a dotted key (`hyperparameters.mu`) and an optimiser by its name.
    A schedule as long as the training is none of its own.
    """
    presets = read("methods.yaml")
    if method not in presets:
        raise unknown("method", method, presets)
    preset = presets[method]
    get_loss(preset["loss"])
    values = _defaults(tier, preset, seed)
    if companion:
        beside = tier.companions[companion]
        values |= {"dataset": beside.data.slug, "augmented_probe": beside.recipes and tier.probes.augmented}
        values |= beside.training.model_dump(exclude_none=True)
        values["projector"] = preset.get("projector", values["projector"])
    recipe = tier.recipes.get(method, Recipe())
    if not companion or tier.companions[companion].recipes:
        values |= {key: value for key in RECIPE if (value := getattr(recipe, key)) is not None}
    values["options"] = {**values["options"], **recipe.options}
    hyperparameters = {**preset.get("hyperparameters", {}), **recipe.hyperparameters}
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        if section == "hyperparameters":
            hyperparameters[name] = value
        elif key == "optimiser":
            values[key] = tier.optimiser(value)
        elif key in values:
            values[key] = value
        else:
            raise unknown("setting", key, values)
    width = encoder_entry(values["encoder"]).width
    if values["projector"] == "none":  # the embedding is the representation, whatever heads put out
        values["embedding_dim"] = width
    parse_relation(values["relation"])
    values["projector"] = projector(values["projector"], values["embedding_dim"])
    if values["schedule_epochs"] == values["epochs"]:
        values["schedule_epochs"] = None
    if (schedule := values["schedule_epochs"] or values["epochs"]) < values["epochs"]:
        raise UserError(f"a schedule of {schedule} epochs ends before {values['epochs']} are trained")
    return RunSettings(**values, hyperparameters=hyperparameters)


def _defaults(tier: Tier, preset: dict[str, Any], seed: int) -> dict[str, Any]:
    """A method's settings on the tier's own data, before recipes and experiments."""
    training = tier.training
    return {
        "dataset": tier.data.slug,
        "augmentation": training.augmentation,
        "method": preset.get("method", "joint_embedding"),
        "options": preset.get("options", {}),
        "relation": "views",
        "loss": preset["loss"],
        "encoder": training.encoder,
        "projector": preset.get("projector", training.projector),
        "embedding_dim": training.embedding_dim,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "schedule_epochs": None,
        "precision": training.precision,
        "optimiser": training.optimiser,
        "probes": tier.probes.names,
        "draws": tier.probes.draws,
        "augmented_probe": tier.probes.augmented,
        "validation": tier.probes.validation,
        "threads": tier.jobs.threads,
        "seed": seed,
    }


def projector(spec: str, embedding_dim: int) -> str:
    """A projector's name with its hidden widths in numbers, so that d-d-d and 256-256-d are one at d = 256."""
    head = parse_head(
        spec, embedding_dim, embedding_dim
    )  # refuses what cannot be, whatever the encoder's width
    if (widest := max(head.widths)) > WIDEST:
        raise UserError(f"head '{spec}': found a layer of {widest} units, expected at most {WIDEST}")
    *hidden, last = spec.split("-")
    return "-".join([*(str(embedding_dim) if width == "d" else width for width in hidden), last])


def _batches(runs: Iterable[RunSettings], runs_per_batch: int | None) -> dict[str, Batch]:
    """Runs of one data set and method in jobs of at most `runs_per_batch`, equal networks side by side."""
    groups: dict[str, list[RunSettings]] = {}
    for run in runs:
        groups.setdefault(f"{run.dataset}-{run.name}-{run.encoder}", []).append(run)
    batches = {}
    for members in groups.values():
        members.sort(key=lambda run: (run.projector, run.embedding_dim))
        size = runs_per_batch or len(members)
        for start in range(0, len(members), size):
            part = tuple(members[start : start + size])
            name = f"{part[0].dataset}-{part[0].name}-{digest(' '.join(run.id for run in part))}"
            batches[name] = Batch(name, part)
    return batches


def check_papers(paper: str) -> str:
    """`paper` itself, or UserError listing the known ones."""
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    return paper
