"""The smoke tier through each profile for batch systems: everything is there, and the profiles measure the same."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from .slurm import Job
from .snakemake import ClusterCheckout

HERE_ALONE = ("figures_", "notebook_", "report")
LIMIT = 1500


@pytest.fixture(scope="module", params=["slurm", "generic"])
def ran(
    request: pytest.FixtureRequest, new_checkout: Callable[[], ClusterCheckout]
) -> tuple[str, ClusterCheckout]:
    """A copy in which the smoke tier has been run by a profile."""
    checkout = new_checkout()
    planned = checkout.plan(tier="smoke")
    running = checkout.start(profile=request.param, tier="smoke")
    assert running.wait(LIMIT) == 0, running.text[-4000:]
    sent = rules(request.param, checkout.jobs())
    here = {rule for rule in planned if rule.startswith(HERE_ALONE)}
    assert here
    assert sorted(sent) == sorted(planned - here)
    return request.param, checkout


def rules(profile: str, jobs: list[Job]) -> list[str]:
    """The rule of each job, where the profile writes it."""
    return [job.comment.removeprefix("rule_") if profile == "slurm" else job.name for job in jobs]


def test_every_job_ran_once_with_what_its_rule_asks_for(ran: tuple[str, ClusterCheckout]) -> None:
    profile, checkout = ran
    jobs = checkout.jobs()
    assert {(job.state, job.restarts) for job in jobs} == {("COMPLETED", "0")}
    asked = {
        rule: (job.cpus, job.memory, job.time_limit)
        for rule, job in zip(rules(profile, jobs), jobs, strict=True)
    }
    pretraining = {value for rule, value in asked.items() if rule.startswith("pretrain_")}
    assert pretraining == {("1", "2000M", "1:00:00")}
    assert asked["views"] == ("1", "4000M", "1:00:00")
    assert asked["data_digits"] == ("1", "2000M", "30:00")


def test_nothing_is_left_to_do_and_the_ledger_is_there(ran: tuple[str, ClusterCheckout]) -> None:
    _, checkout = ran
    assert checkout.plan(tier="smoke") == set()
    assert len((checkout.folder / "results/ledger.csv").read_text(encoding="utf-8").splitlines()) > 200


def test_profiles_measure_the_same(
    ran: tuple[str, ClusterCheckout], tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, checkout = ran
    found = {
        path.parent.name: path.read_text(encoding="utf-8")
        for path in (checkout.folder / "results/smoke/tables").glob("*/measurements.csv")
    }
    assert len(found) == 3
    kept = {paper: tmp_path_factory.getbasetemp() / f"measured-{paper}.csv" for paper in found}
    others = {paper: path.read_text(encoding="utf-8") for paper, path in kept.items() if path.exists()}
    for paper, text in found.items():
        kept[paper].write_text(text, encoding="utf-8")
    if not others:
        pytest.skip("the first profile has nothing to be compared with")
    assert {paper: timeless(text) for paper, text in others.items()} == {
        paper: timeless(text) for paper, text in found.items()
    }


def timeless(text: str) -> list[str]:
    """The lines of a table but those that tell seconds."""
    return [line for line in text.splitlines() if not re.search("second|exponent", line)]
