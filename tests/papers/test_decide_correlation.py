"""Claims of correlation, from measurements whose verdict is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel
from scipy import stats

from spectral_ssl.papers.decide import FEWEST_CONFIGURATIONS, decide
from spectral_ssl.papers.evidence import Evidence


class Run(BaseModel):
    """What a verdict reads of a run's settings."""

    dataset: str = "factors"
    encoder: str = "conv32"
    level: int
    seed: int


def evidence(measured: Sequence[tuple[int, int, float | None, float | None]]) -> Evidence:
    """A run for each (level, seed, online, offline); None where it diverged."""
    rows = [
        {"experiment": "one", "level": level, "seed": seed, "run": f"{level}-{seed}"}
        | {"status": "diverged" if online is None else "finished", "online": online, "offline": offline}
        for level, seed, online, offline in measured
    ]
    runs = {f"{level}-{seed}": Run(level=level, seed=seed) for level, seed, *_ in measured}
    context: Any = SimpleNamespace(manifest=SimpleNamespace(runs=runs))
    return Evidence(context, "haochen2021", pd.DataFrame(rows), {})


def related(noise: float, configurations: int = 15, seeds: int = 2) -> Evidence:
    """Runs of two measurements; the seeds of a configuration lie near one another."""
    measured = []
    for place in range(configurations * seeds):
        level, seed = divmod(place, seeds)
        online = level + 0.1 * seed
        measured.append((level, seed, online, online + noise * (-1) ** level * (place % 7)))
    return evidence(measured)


CORRELATED = {
    "kind": "correlation",
    "bounds": [0.9],
    "measure": {"experiment": "one", "columns": ["online", "offline"]},
}


@pytest.mark.parametrize(
    ("noise", "verdict"),
    [(0.0, "holds"), (0.05, "holds"), (20.0, "differs"), (0.55, "inconclusive"), (0.65, "inconclusive")],
)
def test_a_correlation_is_judged_against_its_bound(noise: float, verdict: str) -> None:
    bench = related(noise)
    found = decide(bench, CORRELATED)
    assert found["verdict"] == verdict
    expected = stats.pearsonr(bench.frame["online"], bench.frame["offline"]).statistic
    assert found["measured"] == pytest.approx(expected)
    assert found["ci_low"] <= found["measured"] <= found["ci_high"] + 1e-12
    assert found["protocol"] == "analogue: online against offline over 30 runs of 15 configurations"
    assert (found["p"] < 0.05) == (verdict != "inconclusive")
    assert "seeds_needed" not in found  # more seeds are no more configurations
    assert decide(bench, CORRELATED) == found  # the bootstrap's seed is fixed


def test_seeds_of_a_configuration_are_no_draws_of_their_own() -> None:
    """Four times the seeds, all but equal, leave the interval as wide as it was."""
    bench = related(0.4, seeds=1)
    few = decide(bench, CORRELATED)
    copies = [bench.frame.assign(seed=seed, run=bench.frame["run"] + f"-{seed}") for seed in range(4)]
    bench.frame = pd.concat(copies)
    bench.context.manifest.runs.update(
        {row["run"]: Run(level=row["level"], seed=row["seed"]) for row in bench.frame.to_dict("records")}
    )
    many = decide(bench, CORRELATED)
    assert many["protocol"].endswith("over 60 runs of 15 configurations")
    assert (many["ci_low"], many["ci_high"]) == pytest.approx((few["ci_low"], few["ci_high"]))


def test_a_run_counts_once_however_many_cells_share_it_and_a_diverged_one_not_at_all() -> None:
    bench = related(0.1)
    frame = bench.frame
    frame.loc[3, ["status", "online", "offline"]] = ["diverged", None, None]
    frame.loc[4, "offline"] = None
    bench.frame = pd.concat([frame, frame.tail(20)])
    assert decide(bench, CORRELATED)["protocol"].endswith("over 28 runs of 15 configurations")


@pytest.mark.parametrize(
    "values",
    [[float(k) for k in range(FEWEST_CONFIGURATIONS - 1)], [5.0] * 12, [None] * 12],
    ids=["few", "equal", "diverged"],
)
def test_too_little_to_correlate_decides_nothing(values: list[float | None]) -> None:
    bench = evidence([(level, seed, value, value) for level, value in enumerate(values) for seed in range(2)])
    found = decide(bench, CORRELATED)
    assert found["verdict"] == "inconclusive"
    assert found["protocol"] == "fewer than 10 configurations, or all of their runs equal"
    assert "p" not in found
    bench.frame = bench.frame.drop(columns="offline")
    assert decide(bench, CORRELATED)["protocol"] == "this tier does not measure offline"
