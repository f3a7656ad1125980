"""Companion data sets, levels of an experiment's own, optimisers by name: from a tier to resolved runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, read
from spectral_ssl.papers.manifest import Manifest, build, resolve
from spectral_ssl.sections import Optimiser, Tier

CONFIG = Path(__file__).parents[2] / "config"
TIERS = ("smoke", "laptop", "gpu", "cluster")
GRAPH = {"graph_vicreg", "graph_others"}
COLUMNS = {
    "table1_cifar10": "cifar10",
    "table1_cifar100": "cifar100",
    "table1_tiny_imagenet": "tiny_imagenet",
}


def tier(*overrides: str, name: str = "smoke") -> Tier:
    return load_tier(name, overrides, CONFIG)


def experiments(manifest: Manifest) -> set[str]:
    return {cell.experiment for cell in manifest.cells}


@pytest.mark.parametrize("name", TIERS)
def test_an_experiment_on_a_companion_trains_on_it_and_no_other_does(name: str) -> None:
    manifest = build(tier(name=name))
    for cell in manifest.cells:
        run = manifest.runs[cell.run]
        expected = "factors" if cell.experiment in GRAPH else manifest.tier.data.slug
        assert run.dataset == COLUMNS.get(cell.experiment, expected)
        assert (run.relation != "views") == (cell.experiment in GRAPH)
    assert experiments(manifest) >= GRAPH


def test_without_the_companion_its_cells_are_absent_and_the_others_as_before() -> None:
    whole, without = build(tier()), build(tier("companions={}"))
    assert without.cells == tuple(cell for cell in whole.cells if cell.experiment not in GRAPH)
    assert experiments(whole) - experiments(without) == GRAPH
    assert without.runs == {run.id: run for run in whole.runs.values() if run.dataset == "digits"}
    assert list(without.tier.datasets) == ["digits"]


def test_a_companion_overrides_the_tiers_training_and_keeps_the_rest() -> None:
    chosen = tier(
        "companions.factors.training={}",
        "companions.factors.training={encoder: mlp, embedding_dim: 5, projector: 7-d, epochs: 3}",
    )
    plain, beside = resolve(chosen, "simclr", {}, 1), resolve(chosen, "simclr", {}, 1, "factors")
    expected = {"dataset": "factors", "encoder": "mlp", "embedding_dim": 5, "projector": "7-d", "epochs": 3}
    assert beside == plain.model_copy(update=expected)


def test_the_projector_that_defines_a_method_wins_over_the_companions() -> None:
    chosen = tier("companions.factors.training={projector: 7-d}")
    assert (
        resolve(chosen, "spectral", {}, 0, "factors").projector
        == read("methods.yaml")["spectral"]["projector"]
    )
    assert resolve(chosen, "simclr", {}, 0, "factors").projector == "7-d"
    assert resolve(chosen, "spectral", {"projector": "9-d"}, 0, "factors").projector == "9-d"


def test_a_recipe_gives_a_companion_its_loss_and_method_but_no_networks() -> None:
    recipe = "{embedding_dim: 3, hyperparameters: {temperature: 0.7}, options: {queue: 77}}"
    chosen = tier(f"recipes.moco_v2={recipe}")
    own, beside = (resolve(chosen, "moco_v2", {}, 0, name) for name in (None, "factors"))
    assert own.embedding_dim == 3
    assert beside.embedding_dim == resolve(tier(), "moco_v2", {}, 0, "factors").embedding_dim != 3
    assert own.hyperparameters["temperature"] == beside.hyperparameters["temperature"] == 0.7
    assert own.options["queue"] == beside.options["queue"] == 77


def test_a_companion_is_never_probed_with_crops() -> None:
    chosen = tier("probes.augmented=true")
    assert resolve(chosen, "simclr", {}, 0).augmented_probe
    assert not resolve(chosen, "simclr", {}, 0, "factors").augmented_probe


def test_a_tier_whose_own_data_is_the_companions_needs_none() -> None:
    own = tier("data={name: factors, image_size: 16}", "training.augmentation=factors", "companions={}")
    manifest = build(own)
    assert experiments(manifest) >= GRAPH
    assert {run.dataset for run in manifest.runs.values()} == {"factors"}


def test_two_companions_may_share_one_data_set_and_not_differ_in_it() -> None:
    shared = "companions.more={data: {name: factors, image_size: 16, train_limit: 256, test_limit: 256}}"
    assert list(build(tier(shared)).tier.datasets) == ["digits", "factors"]
    with pytest.raises(UserError, match="two data sets of this tier are called 'factors' and differ"):
        build(tier("companions.more={data: {name: factors}}"))


def test_levels_may_be_an_experiments_own() -> None:
    cells = [cell for cell in build(tier()).cells if cell.experiment == "projection"]
    assert [(cell.factors, cell.seed) for cell in cells] == [
        ({"projection": projection}, seed) for projection in ("ball", "sphere") for seed in range(2)
    ]


def test_an_optimiser_is_asked_for_by_name() -> None:
    manifest = build(tier())
    found = {
        cell.factors["optimiser"]: manifest.runs[cell.run].optimiser
        for cell in manifest.cells
        if cell.experiment == "function_class"
    }
    assert found == {"sgd": manifest.tier.optimisers["sgd"], "adamw": manifest.tier.training.optimiser}
    assert found["sgd"] == Optimiser(name="sgd", learning_rate=0.1, weight_decay=5e-4, warmup_epochs=1)
    with pytest.raises(UserError, match=r"unknown optimiser of this tier 'lars'.*known: adamw, sgd"):
        resolve(tier(), "spectral", {"optimiser": "lars"}, 0)


def test_options_come_from_the_preset_and_the_recipe_over_it() -> None:
    preset = read("methods.yaml")["byol"]["options"]
    assert resolve(tier("recipes={}"), "byol", {}, 0).options == preset
    chosen = tier("recipes={byol: {options: {momentum: 0.5, predictor_width: 32}}}")
    assert resolve(chosen, "byol", {}, 0).options == {**preset, "momentum": 0.5, "predictor_width": 32}
    assert resolve(chosen, "simclr", {}, 0).options == {}


@pytest.mark.parametrize("name", TIERS)
def test_every_experiment_has_cells_at_every_tier_that_has_its_data_set(name: str) -> None:
    manifest = build(tier(name=name))
    absent = {column for column, dataset in COLUMNS.items() if dataset not in manifest.tier.datasets}
    for paper in PAPERS:
        asked = set(read(f"{paper}/experiments.yaml")["experiments"])
        assert {cell.experiment for cell in manifest.paper_cells(paper)} == asked - absent
