"""What an experiment may ask for: schedules longer than the training, equal budgets, data sets that a tier may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import Cell, Manifest, RunSettings, _experiment, build, resolve
from spectral_ssl.sections import Tier

CONFIG = Path(__file__).parents[2] / "config"
TIERS = ("smoke", "laptop", "gpu", "cluster", "imagenet")
COLUMNS = ("cifar10", "cifar100", "tiny_imagenet")


def tier(*overrides: str, name: str = "smoke") -> Tier:
    return load_tier(name, overrides, CONFIG)


def cells(manifest: Manifest, experiment: str) -> dict[tuple[Any, ...], RunSettings]:
    """The runs of an experiment of HaoChen et al. 2021 by method, length and seed."""
    return {
        (cell.method, cell.factors["epochs"], cell.seed): manifest.runs[cell.run]
        for cell in manifest.paper_cells("haochen2021")
        if cell.experiment == experiment
    }


@pytest.mark.parametrize("name", TIERS)
def test_read_outs_stop_at_each_length_of_one_schedule_as_long_as_the_longest(name: str) -> None:
    manifest = build(tier(name=name))
    own, readouts = (cells(manifest, experiment) for experiment in ("table1", "table1_readout"))
    assert own.keys() == readouts.keys()
    last = manifest.tier.levels.epochs[-1]
    for (method, epochs, seed), run in readouts.items():
        assert (run.epochs, run.schedule) == (epochs, last)
        assert run.model_copy(update={"schedule_epochs": None}) == own[method, epochs, seed]
        assert (run == own[method, epochs, seed]) == (epochs == last)  # the longest is one run
        assert own[method, epochs, seed].schedule == epochs


def test_a_schedule_is_never_shorter_than_the_training() -> None:
    run = resolve(tier(), "simclr", {"epochs": 2, "schedule_epochs": 2}, 0)
    assert run.schedule_epochs is None
    assert run.id == resolve(tier(), "simclr", {"epochs": 2}, 0).id
    assert resolve(tier(), "simclr", {"epochs": 2, "schedule_epochs": 3}, 0).id != run.id
    with pytest.raises(UserError, match="a schedule of 1 epochs ends before 2 are trained"):
        resolve(tier(), "simclr", {"epochs": 2, "schedule_epochs": 1}, 0)


@pytest.mark.parametrize("name", TIERS)
def test_a_column_of_table_1_is_measured_where_the_tier_has_its_data_set(name: str) -> None:
    manifest = build(tier(name=name))
    own = cells(manifest, "table1")
    for dataset in COLUMNS:
        found = cells(manifest, f"table1_{dataset}")
        if dataset not in manifest.tier.datasets:
            assert found == {}
        elif dataset == manifest.tier.data.slug:
            assert found == own  # the very runs
        else:
            assert found == {key: run.model_copy(update={"dataset": dataset}) for key, run in own.items()}
    measured = {dataset for dataset in COLUMNS if cells(manifest, f"table1_{dataset}")}
    expected = {"gpu": {"cifar10", "cifar100"}, "cluster": {"tiny_imagenet"}}
    assert measured == expected.get(name, set())


def test_recipes_hold_on_a_companion_that_says_so() -> None:
    alike, apart = (tier(f"companions.cifar100.recipes={value}", name="gpu") for value in ("true", "false"))
    own, beside = resolve(alike, "spectral", {}, 0), resolve(alike, "spectral", {}, 0, "cifar100")
    assert beside == own.model_copy(update={"dataset": "cifar100"})
    assert (beside.projector, beside.embedding_dim, beside.augmented_probe) == ("spectral:2048", 1000, True)
    without = resolve(apart, "spectral", {}, 0, "cifar100")
    assert (without.projector, without.embedding_dim, without.augmented_probe) == (
        "spectral:256",
        2048,
        False,
    )
    assert without.hyperparameters == own.hyperparameters  # the loss is the recipe's on any data


CANDIDATES = {
    "simclr": [{"hyperparameters.temperature": 0.5}, {"hyperparameters.temperature": 0.1, "batch_size": 32}],
    "vicreg": [{"hyperparameters.covariance": 4.0}, {"projector": "d-d"}],
}


def tuned(spec: dict[str, Any]) -> list[tuple[Cell, RunSettings]]:
    return _experiment(tier(), "garrido2023", "tuning", spec)


def test_candidates_are_a_factor_whose_levels_are_each_methods_own_settings() -> None:
    found = tuned({"methods": ["vicreg", "simclr"], "candidates": CANDIDATES})
    assert [(cell.method, cell.factors, cell.seed) for cell, _ in found] == [
        (method, {"candidate": candidate}, seed)
        for method in ("vicreg", "simclr")
        for candidate in (0, 1)
        for seed in (0, 1)
    ]
    for cell, run in found:
        chosen = CANDIDATES[cell.method][cell.factors["candidate"]]
        assert run == resolve(tier(), cell.method, chosen, cell.seed)
        assert run.id == cell.run
    temperatures = [run.hyperparameters["temperature"] for cell, run in found if cell.method == "simclr"]
    assert temperatures == [0.5, 0.5, 0.1, 0.1]


def test_candidates_are_crossed_with_levels_and_override_what_is_fixed() -> None:
    spec = {
        "methods": ["simclr"],
        "vary": {"embedding_dim": [8, 16]},
        "settings": {"batch_size": 64, "epochs": {"last": "epochs"}},
        "candidates": {"simclr": CANDIDATES["simclr"]},
    }
    found = {tuple(cell.factors.values()): run for cell, run in tuned(spec) if cell.seed == 0}
    assert list(found) == [(8, 0), (8, 1), (16, 0), (16, 1)]
    assert [run.embedding_dim for run in found.values()] == [8, 8, 16, 16]
    assert [run.batch_size for run in found.values()] == [64, 32, 64, 32]
    assert {run.epochs for run in found.values()} == {tier().levels.epochs[-1]}


def test_no_method_has_a_larger_budget() -> None:
    unequal = {"simclr": CANDIDATES["simclr"], "vicreg": CANDIDATES["vicreg"][:1]}
    with pytest.raises(
        UserError,
        match="experiment 'tuning': expected as many candidates for every method; found vicreg 1, simclr 2",
    ):
        tuned({"methods": ["vicreg", "simclr"], "candidates": unequal})
    with pytest.raises(UserError, match="found vicreg 2, byol 0"):
        tuned({"methods": ["vicreg", "byol"], "candidates": CANDIDATES})
    with pytest.raises(UserError, match="unknown setting 'temperature'"):
        tuned({"methods": ["simclr"], "candidates": {"simclr": [{"temperature": 0.5}]}})
