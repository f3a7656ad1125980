"""Stage `reference`: the next missing items of a list of long runs, within a budget of time; what is finished is kept.

Results lie in reference/<tier>/, laid out as results/<tier>/, to be committed: no weights, and of features what figures
show. Weights and unfinished runs stay in results/.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from spectral_ssl import receipts
from spectral_ssl.codes import batch_code
from spectral_ssl.data.sources import load
from spectral_ssl.errors import Interrupted, UserError, unknown
from spectral_ssl.jobs import Jobs, products
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import Batch
from spectral_ssl.provenance import PACKAGE, replacing, sha256_file
from spectral_ssl.reference import items, place
from spectral_ssl.reference.clock import Clock, OutOfTime
from spectral_ssl.reference.items import LIST, Asked, State
from spectral_ssl.stages import Context, data
from spectral_ssl.stages.pretrain import Progress, prepare_device
from spectral_ssl.train.distributed import World
from spectral_ssl.train.job import Place, run_batch

SCRIPTS = Path("benchmarks")


def run(
    context: Context,
    items: Path | None = None,
    item: str | None = None,
    budget: float | None = None,
    device: str | None = None,
    show: bool = False,
    only_tables: bool = False,
) -> int:
    """Do what is missing of the list, or of one item, until the budget (seconds) ends; then say where each item stands.

    With `show` nothing is run, with `only_tables` nothing but the tables and figures of what is kept, which are made
    anew after runs where no budget presses. What fails is told, and does not keep the rest from being done.

    Raises UserError for an unknown item, a list or a tier that does not fit, data that are not there, and, at the end,
    for the first that failed.
    """
    clock = Clock(budget)
    work = _Work(context, items or LIST, device, clock)
    if item is not None and item not in work.items:
        raise unknown("item", item, work.items)
    place.check(context)
    if not show and not only_tables:
        for name in [item] if item else work.items:
            work.do(name)
    if not show and (only_tables or budget is None):
        made(work.reference)
    _tell(work)
    if work.failed:
        name, error = next(iter(work.failed.items()))
        raise UserError(f"{len(work.failed)} failed, the first {name}: {error}")
    return 0


def made(reference: Context) -> None:
    """Tables and figures of a tier's reference results, as far as they go."""
    # Only now: a machine that only trains need not have what they import.
    from spectral_ssl.stages import figures, tables

    for paper in PAPERS:
        tables.run(reference, paper)
        figures.run(reference, paper)


class _Work:
    """What the items need in common: the device, data sets as they are first asked for, the time."""

    def __init__(self, context: Context, path: Path, device: str | None, clock: Clock) -> None:
        self.context, self.clock, self.path = context, clock, path
        self.reference = place.reference_of(context)
        self.items = items.read_items(path)
        self.device = prepare_device(context, World(), device)
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def states(self) -> list[State]:
        return items.states(self.items, self.reference)

    def do(self, name: str) -> None:
        """What is missing of one item, as far as the time goes."""
        (state,) = items.states({name: self.items[name]}, self.reference)
        if state.finished or not self.clock.left:
            return
        if state.item.benchmark:
            self.benchmark(state)
        elif state.item.table:
            self.table(state)
        for asked in state.runs:
            if not items.kept(self.reference, asked.run) and self.clock.left:
                if (data_folder := self.data(asked.run.dataset)) is None:
                    return
                try:
                    self.train(asked, data_folder, embeddings=state.item.embeddings)
                except (Interrupted, OutOfTime):
                    raise
                except UserError as error:  # too little memory for this one, for example
                    self.failed[asked.run.id] = str(error)

    def train(self, asked: Asked, data_folder: Path, *, embeddings: bool) -> None:
        """Train and probe a run, from its last checkpoint if it has one, and keep it."""
        run = asked.run
        folder = self.context.layout.runs / run.id
        if not (folder / "status.json").is_file():
            with self.clock.ending():
                batch = Batch(run.id, (run,))
                where = Place(
                    self.context.layout.runs,
                    self.context.layout.scratch,
                    batch_code(batch),
                    sha256_file(data_folder / "meta.json"),
                )
                progress = None if self.context.quiet else Progress(batch.runs)
                run_batch(
                    batch.runs,
                    load(data_folder),
                    where,
                    device=self.device,
                    engine=self.context.tier.engine,
                    progress=progress,
                )
        if (folder / "status.json").is_file():
            place.describe(self.context, self.path, run.dataset)
            place.keep(self.context, run, asked.item, embeddings=embeddings)

    def data(self, dataset: str) -> Path | None:
        """The folder of an ingested data set, made if it is not there; None if the time ends before."""
        layout, jobs = self.context.layout, Jobs(self.context.tier, self.context.layout)
        if not (layout.data(dataset) / "meta.json").is_file():
            asked = jobs.of_command("data", {"dataset": dataset})
            with self.clock.ending(), receipts.writing(layout, asked):
                data.run(self.context, dataset)
        if not self.clock.left:
            return None
        receipts.check(layout, [f"data/{dataset}"])
        place.check_data(self.context, dataset)
        return layout.data(dataset)

    def benchmark(self, state: State) -> None:
        """Run a script of benchmarks/ by itself, if its packages are there and time is left for it."""
        asked = state.item.benchmark
        assert asked is not None
        if missing := [name for name in asked.needs if importlib.util.find_spec(name) is None]:
            self.skipped[state.name] = f"{missing[0]} is not installed"
            return
        if self.clock.left < asked.seconds:
            self.skipped[state.name] = f"takes up to {asked.seconds:g} s, {self.clock.left:.0f} s were left"
            return
        words = [*asked.arguments, *(asked.on_cpu if self.device.type == "cpu" else [])]
        wait = None if self.clock.left == float("inf") else self.clock.left
        with tempfile.TemporaryDirectory() as folder:  # what does not end leaves nothing
            words = [word.replace("{folder}", folder).replace("{device}", self.device.type) for word in words]
            script = [sys.executable, str(SCRIPTS / asked.script), *words]
            try:
                # Standard output is this command's own; the package need not be installed.
                source = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
                environment = {**os.environ, "PYTHONPATH": source}
                subprocess.run(script, check=True, timeout=wait, stdout=2, env=environment)
            except subprocess.TimeoutExpired:
                self.skipped[state.name] = f"did not end within {wait:.0f} s"
            except subprocess.CalledProcessError as error:
                self.failed[state.name] = (
                    f"{script[1]} ended with status {error.returncode}; its own message says why"
                )
            else:
                place.describe(self.context, self.path)
                for path in sorted(Path(folder).iterdir()):
                    with replacing(items.benchmarks(self.reference) / path.name) as file:
                        shutil.copyfile(path, file.name)

    def table(self, state: State) -> None:
        """A table that needs the tier's own data set alone, made among the reference results."""
        try:
            from spectral_ssl.papers.inputs import Inputs
            from spectral_ssl.stages.tables import write
        except ModuleNotFoundError as error:
            self.skipped[state.name] = f"{error.name} is not installed"
            return
        tier = self.context.tier.model_copy(update={"companions": {}})
        here = replace(self.context, tier=tier)
        assert state.item.table is not None
        paper, _, name = state.item.table.partition("/")
        if name not in products(paper, "tables"):
            raise unknown(f"table of {paper}", name, products(paper, "tables"))
        if self.data(tier.data.slug) is None:
            return
        with self.clock.ending():
            table = getattr(import_module(f"spectral_ssl.papers.{paper}.tables"), name)(Inputs(here, paper))
            place.describe(self.context, self.path, tier.data.slug)
            write(self.reference, paper, name, table)


def _tell(work: _Work) -> None:
    """A line an item, and what comes next."""
    found = work.states()
    width = max(len(state.name) for state in found)
    for state in found:
        said = "done" if state.finished else f"{state.done} of {state.asked}"
        why = f" ({work.skipped[state.name]})" if state.name in work.skipped else ""
        print(f"{state.name:{width}}  {said:>10}{why}  {state.item.title}")
    missing = [state.name for state in found if not state.finished]
    if missing:
        print(f"next: {missing[0]}; the same command goes on, from a checkpoint where a run was interrupted")
    else:
        print(f"{work.path}: nothing is missing; commit {work.reference.layout.results}")
