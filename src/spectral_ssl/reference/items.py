"""The list of long runs, `reference/list.yaml`, and the runs of a tier that its items name. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from spectral_ssl import strict_yaml
from spectral_ssl.bounds import LEVELS, SLUG, Line, Slug, Strict, Word
from spectral_ssl.errors import UserError, short
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import Manifest, RunSettings, resolve
from spectral_ssl.stages import Context

LIST = Path("reference/list.yaml")
TABLE = rf"^({'|'.join(PAPERS)})/[a-z0-9_]+$"


class Selection(Strict):
    """Runs: some cells of an experiment, or a method with settings that no experiment asks for."""

    experiment: Word | None = Field(default=None, description="paper/experiment.")
    methods: list[Slug] | None = Field(default=None, description="Of the experiment; null: all.")
    where: dict[Slug, Any] = Field(default={}, description="Levels of its factors, one or a list of them.")
    method: Slug | None = Field(default=None, description="A method, instead of an experiment.")
    settings: dict[Word, Any] = Field(default={}, description="What differs from the method's recipe.")
    seeds: list[int] = Field(default=[0], min_length=1, max_length=LEVELS, description="Seeds of each cell.")
    changed: Line | None = Field(
        default=None, description="In words, what sets it apart from the item's first."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.experiment is None) == (self.method is None):
            raise ValueError("expected an experiment or a method, and not both")
        return self


class Benchmark(Strict):
    """A script of benchmarks/. `{folder}` in an argument is where to write, `{device}` is cpu or cuda."""

    script: str = Field(pattern=r"^[a-z0-9_]{1,64}\.py$")
    arguments: list[Word] = Field(default=[], description="Words of its command line.")
    on_cpu: list[Word] = Field(default=[], description="Further arguments on a CPU.")
    makes: str = Field(
        pattern=r"^[a-z0-9_{}.]{1,64}$", description="The file whose presence says that it is done."
    )
    needs: list[Word] = Field(default=[], description="Packages besides the project's own.")
    seconds: float = Field(gt=0, description="How long it may take; it is not begun with less time left.")


class Item(Strict):
    """An item of the list: runs, a benchmark, or a table that needs the data alone."""

    title: Line
    runs: list[Selection] = Field(default=[], description="Trained one after another, in this order.")
    benchmark: Benchmark | None = None
    table: str | None = Field(default=None, pattern=TABLE, description="paper/table.")
    embeddings: bool = Field(default=False, description="Keep test images' embeddings, which figures show.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum((bool(self.runs), self.benchmark is not None, self.table is not None)) != 1:
            raise ValueError("expected one of runs, benchmark and table")
        return self


@dataclass(frozen=True)
class Asked:
    """A run that an item asks for, and what it is to show beside the item's first."""

    item: str
    run: RunSettings
    changed: str | None


def read_items(path: Path) -> dict[str, Item]:
    """The list by the items' names, in its order. UserError, in one line, for what it may not be."""
    values = strict_yaml.read(path)
    if not isinstance(values, dict) or not values:
        raise UserError(f"{path}: found no items, expected a name and a title, and what to run, of each")
    found = {}
    for name, value in values.items():
        if not re.fullmatch(SLUG, name):
            raise UserError(
                f"{path}: item '{short(name)}': expected a name of small letters, digits, - and _"
            )
        try:
            found[name] = Item.model_validate(value)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(short(str(part)) for part in (name, *problem["loc"]))
            raise UserError(f"{path}: '{where}': {problem['msg'].lower()}") from None
    return found


def asked(name: str, item: Item, manifest: Manifest) -> list[Asked]:
    """The runs of an item, each once, in the order of its selections. UserError for a selection without any."""
    found: dict[str, Asked] = {}
    for chosen in item.runs:
        runs = _of_experiment(chosen, manifest) if chosen.experiment else _of_method(chosen, manifest)
        if not runs:
            raise UserError(
                f"item '{name}': this tier has no run of {chosen.experiment} with {_words(chosen)}; "
                "change the item, or the tier's levels, seeds or data sets"
            )
        for run in runs:
            found.setdefault(run.id, Asked(name, run, chosen.changed))
    return list(found.values())


def _of_experiment(chosen: Selection, manifest: Manifest) -> list[RunSettings]:
    cells = [
        cell
        for seed in chosen.seeds
        for cell in manifest.cells
        if f"{cell.paper}/{cell.experiment}" == chosen.experiment
        and cell.seed == seed
        and (chosen.methods is None or cell.method in chosen.methods)
        and all(cell.factors.get(name) in _several(level) for name, level in chosen.where.items())
    ]
    if chosen.methods:  # in their order; a sort keeps that of seeds and levels
        cells.sort(key=lambda cell: (cell.seed, chosen.methods.index(cell.method)))  # type: ignore[union-attr]
    return [manifest.runs[cell.run] for cell in cells]


def _of_method(chosen: Selection, manifest: Manifest) -> list[RunSettings]:
    assert chosen.method is not None
    return [resolve(manifest.tier, chosen.method, chosen.settings, seed) for seed in chosen.seeds]


def _several(level: Any) -> list[Any]:
    return level if isinstance(level, list) else [level]


def _words(chosen: Selection) -> str:
    parts = [f"methods {', '.join(chosen.methods)}"] if chosen.methods else []
    parts += [f"{name} {level}" for name, level in chosen.where.items()]
    return ", ".join([*parts, f"seeds {', '.join(map(str, chosen.seeds))}"])


@dataclass(frozen=True)
class State:
    """How much of an item is kept: `done` of `asked` runs, or of one benchmark or table."""

    name: str
    item: Item
    runs: tuple[Asked, ...]
    done: int
    asked: int

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return self.done == self.asked


def states(items: dict[str, Item], context: Context) -> list[State]:
    """Where every item stands; `context` is of reference results."""
    return [_state(name, item, context) for name, item in items.items()]


def _state(name: str, item: Item, context: Context) -> State:
    runs = tuple(asked(name, item, context.manifest))
    if item.runs:
        done = sum(kept(context, one.run) for one in runs)
        return State(name, item, runs, done, len(runs))
    if item.benchmark:
        pattern = item.benchmark.makes.replace("{device}", "*")
        return State(name, item, (), int(any(benchmarks(context).glob(pattern))), 1)
    return State(name, item, (), int(table_file(context, item).is_file()), 1)


def kept(context: Context, run: RunSettings) -> bool:
    """Whether a run is among the reference results."""
    return (context.layout.runs / run.id / "status.json").is_file()


def benchmarks(context: Context) -> Path:
    """Where benchmarks write."""
    return context.layout.results / "benchmarks"


def table_file(context: Context, item: Item) -> Path:
    """The CSV of an item's table."""
    assert item.table is not None
    paper, _, name = item.table.partition("/")
    return context.layout.tables(paper) / f"{name}.csv"
