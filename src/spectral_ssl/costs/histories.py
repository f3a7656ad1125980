"""Finished runs read as measured costs: their provenance, their sizes on disk and the workflow's own timings."""

from __future__ import annotations

import csv
import json
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_ssl.costs.records import Costs, Kind, Rate, StageCost, probes_text
from spectral_ssl.layout import Layout
from spectral_ssl.papers.manifest import RunSettings

Fit = tuple[float | None, float | None]  # seconds a job takes to start and a run to be probed
Machine = tuple[str, int]  # processor and cores
HERE: Machine = ("", 0)
FOLDED = {"notebooks": "notebook"}  # folders of timings that have another name than their stage
WEIGHTS, FEATURES = "encoder.safetensors", "features.npz"


@dataclass(frozen=True)
class Finished:
    """One run as its folder tells."""

    kind: Kind
    threads: int
    processes: int
    views: int  # of all its epochs
    seconds: float  # in training
    train: int
    test: int
    bytes: Mapping[str, int]
    batch: str  # the job that trained it, if the command says so
    settings: Mapping[str, Any]

    @property
    def views_per_second(self) -> float:
        """Of each core on a CPU, of each process's GPU else."""
        return self.views / self.seconds / (self.threads if self.kind.on == "cpu" else 1) / self.processes


def read_results(
    root: Path, bases: Sequence[str] = ("results", "reference"), machine: Machine = HERE
) -> Costs:
    """The costs of every tier under these folders of `root`. What cannot be read is left out and noted."""
    costs = Costs()
    for base in bases:
        place = root / base
        for folder in sorted(place.iterdir()) if place.is_dir() else []:
            if folder.is_dir() and not folder.name.startswith("."):
                found = costs_of(Layout(folder.name, root, base), machine=machine)
                costs.rates += found.rates
                costs.stages += found.stages
                costs.notes += found.notes
    return costs


def costs_of(
    layout: Layout,
    runs: Sequence[Finished] | None = None,
    timed: Mapping[tuple[str, str], float] | None = None,
    machine: Machine = HERE,
) -> Costs:
    """The costs of one tier: of its finished runs and timed jobs, or of these."""
    notes: list[str] = []
    if runs is None:
        runs, notes = finished_runs(layout)
    if timed is None:
        timed = dict(timings(layout.results / "benchmarks", notes))
    batches = by_batch(runs)
    fits = {
        on: fit_outside([(timed["pretrain", name], members) for name, members in batches.items()
                         if ("pretrain", name) in timed and members[0].kind.on == on])
        for on in ("cpu", "cuda")
    }  # fmt: skip
    kinds: dict[Kind, list[Finished]] = defaultdict(list)
    for run in runs:
        kinds[run.kind].append(run)
    rates = [_rate(kind, members, fits[kind.on], machine) for kind, members in kinds.items()]
    stages = [
        StageCost(stage, job, layout.tier, seconds, *_amounts(layout, stage, job, len(runs)), *machine)
        for (stage, job), seconds in sorted(timed.items())
        if stage != "pretrain"
    ]
    return Costs(rates, stages, notes)


def finished_runs(layout: Layout) -> tuple[list[Finished], list[str]]:
    """The runs of a tier that trained at least one epoch, and a note of those that cannot be read."""
    shapes, found, bad = _data(layout), [], []
    folders = sorted(os.scandir(layout.runs), key=lambda entry: entry.name) if layout.runs.is_dir() else []
    for entry in folders:
        try:
            run = _finished(entry.path, shapes)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            bad.append(f"{entry.name} ({type(error).__name__}: {' '.join(str(error).split())[:80]})")
            continue
        if run is not None:
            found.append(run)
    told = (
        f"skipped {len(bad)} runs of {layout.results} that cannot be read, the first {bad[0]}" if bad else ""
    )
    return found, [told] if told else []


def _data(layout: Layout) -> dict[str, tuple[int, int, int, int]]:
    """Training and test images, side and channels of every ingested data set whose description can be read."""
    found = {}
    place = layout.results / "data"
    for folder in place.iterdir() if place.is_dir() else []:
        if (shape := ingested(folder)) is not None:
            found[folder.name] = shape
    return found


def ingested(folder: Path) -> tuple[int, int, int, int] | None:
    """Training and test images, side and channels of an ingested data set; None where nothing tells."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        side, _, channels = meta["image_shape"]
        return int(meta["counts"]["train"]), int(meta["counts"]["test"]), int(side), int(channels)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finished(folder: str, shapes: Mapping[str, tuple[int, int, int, int]]) -> Finished | None:
    with open(f"{folder}/status.json", encoding="utf-8") as file:
        epochs = int(json.load(file)["epochs"])
    if epochs == 0:  # it diverged in its first epoch
        return None
    with open(f"{folder}/provenance.json", encoding="utf-8") as file:
        told = json.load(file)
    seconds = float(told["training_seconds"])
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"training_seconds is {seconds}")
    # Validated, so that a setting that an earlier version had not has its default.
    settings = RunSettings.model_validate(told["settings"]).model_dump(mode="json")
    engine, command = told.get("engine") or {}, told.get("command", [])
    train, test, side, channels = shapes[settings["dataset"]]
    batch_size = int(settings["batch_size"])
    return Finished(
        kind=Kind.of(settings, (side, channels), engine, str(told["device"])),
        threads=int(told["threads"]),
        processes=int(engine.get("processes", 1)),
        views=2 * epochs * (train // batch_size) * batch_size,
        seconds=seconds,
        train=train,
        test=test,
        bytes={entry.name: entry.stat().st_size for entry in os.scandir(folder)},
        batch=command[command.index("--batch") + 1] if "--batch" in command else "",
        settings=settings,
    )


def by_batch(runs: Sequence[Finished]) -> dict[str, list[Finished]]:
    """Runs by the job that trained them; those trained otherwise are left out."""
    found: dict[str, list[Finished]] = defaultdict(list)
    for run in runs:
        if run.batch:
            found[run.batch].append(run)
    return dict(found)


def timings(folder: Path, notes: list[str]) -> Iterator[tuple[tuple[str, str], float]]:
    """(stage, job) and seconds of every job that the workflow timed; the job is empty for a stage of one."""
    for path in sorted(folder.rglob("*.tsv")) if folder.is_dir() else []:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                seconds = float(next(csv.DictReader(file, delimiter="\t"))["s"])
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"s is {seconds}")
        except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
            notes.append(f"skipped {path}, which is no timing ({type(error).__name__})")
            continue
        name = path.parent.name if path.parent != folder else path.stem
        yield (FOLDED.get(name, name), path.stem if path.parent != folder else ""), seconds


def fit_outside(batches: Sequence[tuple[float, Sequence[Finished]]]) -> Fit:
    """Seconds that a job spends outside training: (to start, to probe a run), by least squares over jobs.

    Neither is negative. Where all jobs have equally many runs the two cannot be told apart: all is then probing. A job
    that was resumed was timed for its last part only; one that took less than its runs' training is left out.
    """
    points = [(len(runs), seconds - sum(run.seconds for run in runs)) for seconds, runs in batches]
    points = [(n, outside) for n, outside in points if outside > 0]
    if not points:
        return None, None
    sizes, times = zip(*points, strict=True)
    spread = sum((n - statistics.fmean(sizes)) ** 2 for n in sizes)
    through_zero = sum(n * t for n, t in points) / sum(n * n for n in sizes)
    if spread == 0:
        return 0.0, through_zero
    slope = sum((n - statistics.fmean(sizes)) * t for n, t in points) / spread
    start = statistics.fmean(times) - slope * statistics.fmean(sizes)
    if slope < 0:
        return statistics.fmean(times), 0.0
    return (start, slope) if start >= 0 else (0.0, through_zero)


def _rate(kind: Kind, runs: Sequence[Finished], fit: Fit, machine: Machine) -> Rate:
    speeds = [run.views_per_second for run in runs]
    first = runs[0]
    sizes = {name: statistics.fmean(run.bytes.get(name, 0) for run in runs) for name in (WEIGHTS, FEATURES)}
    return Rate(
        kind=kind,
        runs=len(runs),
        views_per_second=statistics.median(speeds),
        low=min(speeds),
        high=max(speeds),
        threads=first.threads,
        train=first.train,
        test=first.test,
        probes=probes_text(first.settings),
        start_seconds=fit[0],
        probing_seconds=fit[1],
        weights_bytes=sizes[WEIGHTS],
        features_bytes=sizes[FEATURES],
        other_bytes=statistics.fmean(sum(run.bytes.values()) for run in runs) - sum(sizes.values()),
        processor=machine[0],
        cores=machine[1],
        settings=first.settings,
    )


def _amounts(layout: Layout, stage: str, job: str, runs: int) -> tuple[float, float]:
    """Bytes that a job of a finished tier left, and the amount of work that it had; 0 where nothing tells."""
    places = {
        "data": layout.data(job), "views": layout.results / "views", "theorems": layout.results / "theorems" / job,
        "networks": layout.networks(job), "tables": layout.tables(job), "figures": layout.figures(job),
        "report": layout.results.parent / "report.html",
    }  # fmt: skip
    place = places.get(stage)
    size = float(sum(path.stat().st_size for path in layout.results.glob(f"reports/{job}.*")))
    if place is not None:
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        size = float(sum(path.stat().st_size for path in files))
    work = 1.0
    if stage == "data":
        work = image_bytes(shape) if (shape := ingested(layout.data(job))) else 0.0
    elif stage == "tables":
        work = float(runs)
    elif stage == "networks":
        work = _network_steps(layout.networks(job) / "ends.csv")
    return size, work


def image_bytes(shape: tuple[int, int, int, int]) -> float:
    """Bytes of a data set's images: (training images, test images, side, channels)."""
    train, test, side, channels = shape
    return float((train + test) * side * side * channels)


def _network_steps(path: Path) -> float:
    """Seeds times steps of networks trained on a finite graph; 0 where nothing tells."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return float(len({row["seed"] for row in rows}) * max(int(row["step"]) for row in rows))
    except (OSError, ValueError, KeyError):
        return 0.0
