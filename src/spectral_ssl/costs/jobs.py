"""A tier's jobs with their predicted costs, and how long they take on so many cores. Imports no torch."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_ssl.costs.estimate import Cost, Estimator
from spectral_ssl.costs.histories import image_bytes
from spectral_ssl.costs.images import Shape, labelled, shape
from spectral_ssl.jobs import Jobs
from spectral_ssl.layout import INDUCTIVE_BIAS
from spectral_ssl.papers.manifest import Batch

if TYPE_CHECKING:
    from spectral_ssl.stages import Context


@dataclass(frozen=True)
class Job:
    """One command of the workflow. `needs` are other jobs' ids; `finished`: all its files are there, and so are those
    of all that it needs.
    """

    id: str
    stage: str
    cost: Cost
    needs: tuple[str, ...] = ()
    threads: int = 1
    gpus: int = 0
    finished: bool = False


def jobs(context: Context, estimator: Estimator, cores: int) -> list[Job]:
    """Every job of the tier in the workflow's order, predicted for a machine with that many cores."""
    listed: dict[str, Job] = {}
    for job in _jobs(Jobs(context.tier, context.layout, context.manifest), estimator, cores):
        # Files that are older than what they are made of are made again; the report's page is shared by tiers.
        finished = job.finished and all(listed[need].finished for need in job.needs)
        listed[job.id] = replace(job, finished=finished)
    return list(listed.values())


def _jobs(planned: Jobs, estimator: Estimator, cores: int) -> Iterator[Job]:
    tier = planned.tier
    shapes = {name: shape(data, planned.layout.data(name)) for name, data in tier.datasets.items()}
    runs = float(len(planned.manifest.runs))
    for job in planned.jobs.values():
        stage, _, name = job.id.partition("/")
        if stage == "pretrain":
            batch = planned.manifest.batches[name]
            yield _training(planned, estimator, batch, shapes[batch.runs[0].dataset], cores)
            continue
        found = shapes.get(name) if stage == "data" else None
        work = {
            "data": image_bytes(found) if found else 0.0,
            "networks": _network_steps(planned, name),
            "tables": runs,
        }.get(stage, 1.0)
        cost = estimator.stage(stage, name, tier.name, work)
        finished = all(Path(file).is_file() for file in job.files)
        foreseen = Job(job.id, stage, cost, job.needs, finished=finished)
        yield foreseen if found is None else _with_bytes(foreseen, work)


def _training(planned: Jobs, estimator: Estimator, batch: Batch, found: Shape | None, cores: int) -> Job:
    tier = planned.tier
    asked, gpus = (
        tier.jobs.threads * tier.engine.processes,
        0 if estimator.device == "cpu" else tier.engine.processes,
    )
    cost = estimator.start
    if found is None:
        name = batch.runs[0].dataset
        estimator.why[
            f"{name}: how many images it has is known after the stage data: training not counted"
        ] += len(batch.runs)
        cost = Cost()
    else:
        fitted, engine = labelled(tier.datasets[batch.runs[0].dataset], found), tier.engine.model_dump()
        for run in batch.runs:
            cost += estimator.run(run, found, fitted, engine)
    return Job(
        id=f"pretrain/{batch.id}",
        stage="pretrain",
        cost=cost,
        needs=(f"data/{batch.runs[0].dataset}",),
        # A GPU is as fast with fewer threads beside it, so that a cluster's jobs may be planned on a small machine.
        threads=asked if gpus else min(asked, cores),
        gpus=gpus,
        finished=all((planned.layout.runs / run.id / "status.json").is_file() for run in batch.runs),
    )


def _with_bytes(job: Job, size: float) -> Job:
    return replace(job, cost=replace(job.cost, bytes=size))


def _network_steps(planned: Jobs, name: str) -> float:
    networks = planned.tier.networks
    if networks is None:
        return 1.0
    return float(networks.seeds * (networks.pair_steps if name == INDUCTIVE_BIAS else networks.steps))


def wall_seconds(jobs: Sequence[Job], cores: int, gpus: int, end: str = "seconds") -> float:
    """How long unfinished jobs take on so many cores and GPUs, each begun as soon as what it needs is there.

    The first in order that fits begins first (list scheduling). `end` says which of a cost's numbers counts: seconds,
    low or high. A job that wants more than there is takes all of it.
    """
    waiting = {job.id: job for job in jobs if not job.finished}
    wants = {name: (min(job.threads, cores), min(job.gpus, gpus)) for name, job in waiting.items()}
    missing = {name: {need for need in job.needs if need in waiting} for name, job in waiting.items()}
    unlocks: dict[str, list[str]] = {}
    for name, needs in missing.items():
        for need in needs:
            unlocks.setdefault(need, []).append(name)
    place = {name: number for number, name in enumerate(waiting)}
    ready: dict[tuple[int, int], list[tuple[int, str]]] = {want: [] for want in wants.values()}
    running: list[tuple[float, int, str]] = []
    clock = 0.0

    def free(name: str) -> None:
        heapq.heappush(ready[wants[name]], (place[name], name))

    for name, needs in missing.items():
        if not needs:
            free(name)
    while True:
        while fitting := [
            queue for (threads, cards), queue in ready.items() if queue and threads <= cores and cards <= gpus
        ]:
            number, name = heapq.heappop(min(fitting, key=lambda queue: queue[0]))
            cores, gpus = cores - wants[name][0], gpus - wants[name][1]
            heapq.heappush(running, (clock + getattr(waiting[name].cost, end), number, name))
        if not running:
            return clock
        clock, _, done = heapq.heappop(running)
        cores, gpus = cores + wants[done][0], gpus + wants[done][1]
        for name in unlocks.get(done, ()):
            missing[name].discard(done)
            if not missing[name]:
                free(name)
