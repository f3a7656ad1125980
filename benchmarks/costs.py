"""Measured costs of a finished run of the workflow, from which `plan` predicts others, and how well it does.

Run from a checkout: `PYTHONPATH=src python benchmarks/costs.py RESULTS_FOLDER` on the machine that made the folder (or
say which with `--processor` and `--cores`). Writes results/costs.csv: a row for runs of equal kind, with views a second
and core (a GPU's: a second and GPU), the seconds that jobs need to start and runs to be probed, and bytes left; a row
for each other job, with its seconds.

Prints predicted over measured seconds by stage, of that folder or of the one named by `--against`, which a table knows
nothing of; then each pretraining job predicted from the other jobs of its folder alone.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spectral_ssl.costs.arithmetic import network
from spectral_ssl.costs.estimate import Cost, Estimator
from spectral_ssl.costs.histories import Finished, by_batch, costs_of, finished_runs, read_results, timings
from spectral_ssl.costs.jobs import Job, wall_seconds
from spectral_ssl.costs.records import COMMITTED, Costs, write_table
from spectral_ssl.layout import Layout

ORDER = ("data", "views", "pretrain", "theorems", "networks", "tables", "figures", "notebook", "report")
AFTER = {
    "views": "data",
    "pretrain": "data",
    "figures": "tables",
    "notebook": "figures",
    "report": "notebook",
}


def processor() -> str:
    """The model of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def counted(costs: Costs) -> Costs:
    """The same with every kind's arithmetic and width, so that no one who reads the table has to count."""
    rates = []
    for rate in costs.rates:
        found = network(rate.settings, rate.kind.side, rate.kind.channels)
        rates.append(replace(rate, flops=found.flops, width=found.width))
    return replace(costs, rates=rates)


def layouts(folder: Path) -> list[Layout]:
    """The tiers of a results folder."""
    places = sorted(path for path in folder.iterdir() if (path / "runs").is_dir())
    return [Layout(path.name, folder.parent, folder.name) for path in places]


def predicted(costs: Costs, runs: list[Finished]) -> Cost:
    """A job of these runs as `plan` predicts it."""
    first = runs[0]
    estimator = Estimator(costs, first.kind.device, first.threads, first.processes)
    total = estimator.start
    for run in runs:
        epochs = run.views // (2 * run.kind.batch_size * (run.train // run.kind.batch_size))
        settings: Any = SimpleNamespace(**{**run.settings, "epochs": epochs})
        engine = dict(pair.split("=") for pair in run.kind.engine.split())
        total += estimator.run(
            settings, (run.train, run.test, run.kind.side, run.kind.channels), run.train, engine
        )
    return total


def compare(costs: Costs, layout: Layout, cores: int) -> None:
    """Predicted beside measured seconds of every stage of a tier, and the time that list scheduling gives either."""
    runs, _ = finished_runs(layout)
    batches, estimator = by_batch(runs), Estimator(costs, "cpu")
    work = {(row.stage, row.job): row.work for row in costs_of(layout).stages}
    sums: dict[str, list[float]] = {stage: [0.0, 0.0, 0] for stage in ORDER}
    jobs: dict[str, list[Job]] = {"predicted": [], "measured": []}
    for (stage, job), seconds in timings(layout.results / "benchmarks", []):
        if stage == "pretrain" and job not in batches:
            continue
        guess = (
            predicted(costs, batches[job])
            if stage == "pretrain"
            else estimator.stage(stage, job, layout.tier, work[stage, job])
        )
        sums[stage] = [sums[stage][0] + guess.seconds, sums[stage][1] + seconds, sums[stage][2] + 1]
        for name, taken in (("predicted", guess.seconds), ("measured", seconds)):
            jobs[name].append(Job(f"{stage}/{job}", stage, Cost(taken, taken, taken)))
    print(f"tier {layout.tier} of {len(runs)} runs: seconds predicted, measured, ratio")
    for stage, (guessed, seconds, count) in sums.items():
        if count:
            print(f"  {stage:9} {count:3} jobs {guessed:8.1f} {seconds:8.1f} {guessed / seconds:6.3f}")
    total, measured = (sum(column) for column in list(zip(*sums.values(), strict=True))[:2])
    print(f"  {'all':9}          {total:8.1f} {measured:8.1f} {total / measured:6.3f}")
    for name, listed in jobs.items():
        print(
            f"  list scheduling of {name} seconds on {cores} cores: {wall_seconds(graph(listed), cores, 0):.0f} s"
        )


def graph(listed: list[Job]) -> list[Job]:
    """The jobs in the workflow's order, each after all of the stages that its own waits for."""
    listed = sorted(listed, key=lambda job: ORDER.index(job.stage))
    by_stage = {stage: tuple(job.id for job in listed if job.stage == stage) for stage in ORDER}
    before = {stage: by_stage[AFTER[stage]] for stage in AFTER}
    before["tables"] = tuple(name for stage in ORDER[:5] for name in by_stage[stage])
    return [replace(job, needs=before.get(job.stage, ())) for job in listed]


def leave_one_out(layout: Layout) -> None:
    """Each pretraining job predicted from the runs and timings of the others."""
    runs, _ = finished_runs(layout)
    batches = by_batch(runs)
    timed = {key: s for key, s in timings(layout.results / "benchmarks", []) if key[0] == "pretrain"}
    ratios: list[tuple[float, str]] = []
    for name, members in batches.items():
        if ("pretrain", name) not in timed or len(batches) < 2:
            continue
        others = [run for run in runs if run.batch != name]
        rest = {key: s for key, s in timed.items() if key[1] != name}
        ratios.append(
            (predicted(costs_of(layout, others, rest), members).seconds / timed["pretrain", name], name)
        )
    if ratios:
        worst = max(ratios, key=lambda pair: abs(math.log(pair[0])))
        middle = statistics.median(ratio for ratio, _ in ratios)
        print(
            f"tier {layout.tier}, each of {len(ratios)} pretraining jobs from the others: predicted over measured, "
            f"median {middle:.3f}, worst {worst[0]:.3f} ({worst[1]})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a results folder")
    parser.add_argument("--against", type=Path, help="another results folder, to predict from this one")
    parser.add_argument("--processor", default=None, help="default: this machine's")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="default: this machine's")
    parser.add_argument("--out", type=Path, default=COMMITTED)
    arguments = parser.parse_args()
    folder = arguments.results.resolve()
    machine = (arguments.processor or processor(), arguments.cores)
    costs = counted(read_results(folder.parent, (folder.name,), machine))
    if not costs.rates:
        parser.error(f"{folder} holds no finished run")
    write_table(arguments.out, costs)
    for note in costs.notes:
        print(f"note: {note}")
    for layout in layouts((arguments.against or folder).resolve()):
        compare(costs, layout, arguments.cores)
    for layout in layouts(folder):
        leave_one_out(layout)


if __name__ == "__main__":
    main()
