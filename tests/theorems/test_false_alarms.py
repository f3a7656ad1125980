"""Seeds that once gave a false alarm, and numbers that must not count as evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spectral_ssl.theorems import run
from spectral_ssl.theorems.balestriero2022 import barlow
from spectral_ssl.theorems.check import Outcome, evaluate, find


@pytest.mark.parametrize(
    ("statement", "seed"),
    [("simclr-linear", 6), *(("barlow-kernel-cca", seed) for seed in (12, 13, 15, 16, 19))],
)
def test_no_false_alarm(statement: str, seed: int) -> None:
    assert run(f"balestriero2022/{statement}", seed=seed).ok


def test_column_normalisation_gains_nothing_where_rho_sum_to_1() -> None:
    # The condition under which the control is a falsehood at all: rho_1 + rho_2 != 1.
    rng, gains = np.random.default_rng(0), []
    for sum_of_two in (1.0, 1.2):
        rho = np.array([sum_of_two / 2 + 0.1, sum_of_two / 2 - 0.1])
        left = np.eye(4)[:, :2]
        right = np.zeros((4, 2))
        right[[0, 1], [0, 1]] = rho
        right[[2, 3], [0, 1]] = np.sqrt(1 - rho**2)
        best = barlow.minimise(barlow.objective(left, right, 1.0, whiten=False), (2, 2), rng, restarts=4)
        gains.append(float(((1 - rho) ** 2).sum()) - best.loss)
    assert gains[0] < 1e-9 < 1e-4 < gains[1]


@pytest.mark.parametrize("outcome", [Outcome(0.0, {"c": np.nan})])
def test_a_control_that_is_nan_has_not_failed(outcome: Outcome) -> None:
    one = replace(find("haochen2021/toy-graph"), measure=lambda rng, n: outcome)
    assert not evaluate(one).ok


def test_a_printed_form_that_is_nan_does_not_differ() -> None:
    one = replace(
        find("haochen2021/toy-graph"),
        measure=lambda rng, n: Outcome(0.0, {"c": 1.0}, printed=np.nan),
        known="differs",
    )
    assert not evaluate(one).ok
