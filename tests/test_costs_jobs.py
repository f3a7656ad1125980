"""A tier's jobs and their time on a machine: schedules by hand, bounds of any schedule, the workflow's own files."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.costs.estimate import Cost, Estimator
from spectral_ssl.costs.histories import image_bytes
from spectral_ssl.costs.images import shape
from spectral_ssl.costs.jobs import Job, jobs, wall_seconds
from spectral_ssl.costs.records import COMMITTED, read_table
from spectral_ssl.papers.manifest import build
from spectral_ssl.stages import Context
from spectral_ssl.targets import Targets

ROOT = Path(__file__).parents[1]


def job(
    name: str, seconds: float, needs: str = "", threads: int = 1, gpus: int = 0, finished: bool = False
) -> Job:
    return Job(name, "x", Cost(seconds, seconds / 2, 2 * seconds), tuple(needs), threads, gpus, finished)


@pytest.mark.parametrize(
    ("listed", "cores", "gpus", "seconds"),
    [
        ([], 2, 0, 0),
        ([job("a", 3), job("b", 4), job("c", 5)], 1, 0, 12),
        ([job("a", 3), job("b", 4), job("c", 5)], 2, 0, 8),  # c begins when a ends
        ([job("a", 3), job("b", 4), job("c", 5)], 3, 0, 5),
        ([job("a", 3), job("b", 4, "a"), job("c", 5)], 2, 0, 7),
        ([job("a", 3), job("b", 4, "a"), job("c", 5, "ab")], 9, 0, 12),
        ([job("a", 3, finished=True), job("b", 4, "a"), job("c", 5)], 2, 0, 5),
        ([job("a", 3, threads=2), job("b", 4), job("c", 5)], 2, 0, 8),
        ([job("a", 3), job("b", 4, threads=2), job("c", 5)], 2, 0, 9),  # c fits beside a, b waits for both
        ([job("a", 3, threads=8)], 2, 0, 3),  # wants more than there is
        ([job("a", 3, gpus=1), job("b", 4, gpus=1), job("c", 5)], 8, 1, 7),
        ([job("a", 3, gpus=1), job("b", 4, gpus=1), job("c", 5)], 8, 2, 5),
    ],
)
def test_schedules_by_hand(listed: list[Job], cores: int, gpus: int, seconds: float) -> None:
    assert wall_seconds(listed, cores, gpus) == seconds
    assert wall_seconds(listed, cores, gpus, "high") == 2 * seconds


def test_any_schedule_keeps_grahams_bounds() -> None:
    draw = random.Random(0)
    for _ in range(200):
        cores = draw.randint(1, 5)
        names = "abcdefghijklmnop"[: draw.randint(1, 16)]
        listed = [
            job(
                name, draw.uniform(0.1, 9.0), "".join(other for other in names[:place] if draw.random() < 0.2)
            )
            for place, name in enumerate(names)
        ]
        longest: dict[str, float] = {}
        for one in listed:
            longest[one.id] = one.cost.seconds + max((longest[need] for need in one.needs), default=0.0)
        work, chain = sum(one.cost.seconds for one in listed), max(longest.values())
        found = wall_seconds(listed, cores, 0)
        assert max(work / cores, chain) <= found + 1e-9
        assert found <= work / cores + (1 - 1 / cores) * chain + 1e-9


@pytest.fixture
def smoke(tmp_path: Path) -> Context:
    return Context(load_tier(str(ROOT / "config" / "smoke.yaml")), tmp_path)


@pytest.fixture
def estimator() -> Estimator:
    return Estimator(read_table(COMMITTED), "cpu")


def test_every_job_of_the_workflow_is_there_once(smoke: Context, estimator: Estimator) -> None:
    listed = jobs(smoke, estimator, 2)
    targets = Targets({"tier": "smoke"}, ROOT / "config")
    papers = len(targets.papers)
    assert Counter(one.stage for one in listed) == {
        "data": len(targets.datasets), "views": 1, "pretrain": len(targets.manifest.batches), "theorems": papers,
        "networks": len(targets.networks_trained), "tables": papers, "figures": papers, "notebook": papers, "report": 1,
    }  # fmt: skip
    ids = [one.id for one in listed]
    assert len(set(ids)) == len(ids)
    for place, one in enumerate(listed):
        assert set(one.needs) <= set(ids[:place])
    assert all(one.cost.seconds > 0 and not one.finished for one in listed)
    assert wall_seconds(listed, 1, 0) == pytest.approx(sum(one.cost.seconds for one in listed))


def test_a_finished_job_has_all_its_files(smoke: Context, estimator: Estimator) -> None:
    whole, part = list(smoke.manifest.batches.values())[:2]
    for file in Targets({"tier": "smoke"}, ROOT / "config").data("digits"):
        (smoke.root / file).parent.mkdir(parents=True, exist_ok=True)
        (smoke.root / file).touch()
    for run in (*whole.runs, part.runs[0]):
        folder = smoke.layout.runs / run.id
        folder.mkdir(parents=True)
        (folder / "status.json").touch()
    assert len(part.runs) > 1
    finished = [one.id for one in jobs(smoke, estimator, 2) if one.finished]
    assert finished == ["data/digits", f"pretrain/{whole.id}"]
    (smoke.layout.data("digits") / "meta.json").unlink()
    assert [one.id for one in jobs(smoke, estimator, 2) if one.finished] == []


def test_the_report_of_another_tier_finishes_none_of_this_one(smoke: Context, estimator: Estimator) -> None:
    for file in Targets({"tier": "smoke"}, ROOT / "config").report():
        (smoke.root / file).parent.mkdir(parents=True, exist_ok=True)
        (smoke.root / file).touch()
    assert [one.id for one in jobs(smoke, estimator, 2) if one.finished] == []


def test_a_batch_costs_its_start_and_its_runs(smoke: Context, estimator: Estimator) -> None:
    listed = {one.id: one.cost for one in jobs(smoke, estimator, 2)}
    engine = smoke.tier.engine.model_dump()
    for batch in smoke.manifest.batches.values():
        name = batch.runs[0].dataset
        images = shape(smoke.tier.datasets[name], smoke.layout.data(name))
        assert images is not None
        found = estimator.start
        for run in batch.runs:
            found += estimator.run(run, images, images[0], engine)
        assert listed[f"pretrain/{batch.id}"] == found
        assert listed[f"data/{name}"].bytes == image_bytes(images)


def test_images_that_nobody_has_counted_are_not_counted(tmp_path: Path, estimator: Estimator) -> None:
    tier = load_tier(str(ROOT / "config" / "smoke.yaml"), ["data={name: folder, path: x}"])
    listed = jobs(Context(tier, tmp_path), estimator, 2)
    costs = {one.id: one.cost for one in listed if one.id.startswith("pretrain/folder-")}
    assert costs
    assert set(costs.values()) == {Cost()}
    (why,) = [why for why in estimator.why if why.startswith("folder: ")]
    assert why == "folder: how many images it has is known after the stage data: training not counted"
    found = [batch for batch in build(tier).batches.values() if f"pretrain/{batch.id}" in costs]
    assert estimator.why[why] == sum(len(batch.runs) for batch in found)


def test_a_gpus_jobs_keep_their_threads_on_a_small_machine(tmp_path: Path) -> None:
    tier = load_tier(str(ROOT / "config" / "smoke.yaml"), ["jobs.threads=8"])
    for device, threads, gpus in (("cpu", 2, 0), ("NVIDIA A100", 8, 1)):
        listed = jobs(Context(tier, tmp_path), Estimator(read_table(COMMITTED), device), 2)
        assert {(one.threads, one.gpus) for one in listed if one.stage == "pretrain"} == {(threads, gpus)}
        assert {(one.threads, one.gpus) for one in listed if one.stage != "pretrain"} == {(1, 0)}
