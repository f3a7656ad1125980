"""From a tier to runs, batches and cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, read
from spectral_ssl.papers.manifest import Manifest, RunSettings, build, check_papers, resolve
from spectral_ssl.sections import Tier

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
TIERS = ("smoke", "laptop", "gpu", "cluster", "imagenet")


def tier(*overrides: str, name: str = "smoke") -> Tier:
    return load_tier(name, overrides, CONFIG)


@pytest.fixture(scope="module", params=TIERS)
def manifest(request: pytest.FixtureRequest) -> Manifest:
    return build(tier(name=request.param))


def test_equal_settings_have_equal_ids() -> None:
    run = resolve(tier(), "vicreg", {}, 0)
    assert RunSettings.model_validate(run.model_dump()).id == run.id
    backwards = dict(reversed(run.hyperparameters.items()))
    assert run.model_copy(update={"hyperparameters": backwards}).model_copy().hyperparameters == backwards
    assert RunSettings(**(run.model_dump() | {"hyperparameters": backwards})).id == run.id


CHANGED: dict[str, Any] = {
    "dataset": "cifar10",
    "augmentation": "haochen",
    "method": "simsiam",
    "options": {"momentum": 0.5},
    "relation": "labels",
    "loss": "simclr",
    "hyperparameters": {"invariance": 1.0},
    "encoder": "mlp",
    "projector": "8-d",
    "embedding_dim": 3,
    "batch_size": 7,
    "epochs": 99,
    "schedule_epochs": 100,
    "precision": "bfloat16",
    "optimiser": {"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.0, "warmup_epochs": 0.0},
    "probes": ["knn"],
    "draws": 3,
    "augmented_probe": True,
    "validation": "knn",
    "threads": 2,
    "seed": 1,
}


@pytest.mark.parametrize("field", RunSettings.model_fields)
def test_any_other_setting_is_another_run(field: str) -> None:
    values = resolve(tier(), "vicreg", {}, 0).model_dump()
    assert RunSettings(**(values | {field: CHANGED[field]})).id != RunSettings(**values).id


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay", "momentum", "warmup_epochs"])
def test_any_other_optimiser_setting_is_another_run(field: str) -> None:
    plain = resolve(tier(), "vicreg", {}, 0)
    assert resolve(tier(f"training.optimiser.{field}=0.125"), "vicreg", {}, 0).id != plain.id


def test_every_cell_has_its_run_and_every_run_a_cell(manifest: Manifest) -> None:
    assert {cell.run for cell in manifest.cells} == set(manifest.runs)
    assert all(run.id == name for name, run in manifest.runs.items())
    assert {cell.paper for cell in manifest.cells} == set(PAPERS)


def test_a_cells_run_has_the_cells_factors(manifest: Manifest) -> None:
    for cell in manifest.cells:
        run = manifest.runs[cell.run]
        assert run.seed == cell.seed
        for name, value in cell.factors.items():
            if name == "candidate":
                continue  # test_experiments.py
            if name == "projector":
                value = value.replace("d-d-d", f"{run.embedding_dim}-{run.embedding_dim}-d")
            if name == "optimiser":
                value = manifest.tier.optimiser(value)
            assert getattr(run, name, run.hyperparameters.get(name)) == value


def test_batches_part_the_runs(manifest: Manifest) -> None:
    batched = [run.id for batch in manifest.batches.values() for run in batch.runs]
    assert sorted(batched) == sorted(manifest.runs)
    for batch in manifest.batches.values():
        assert len({(run.dataset, run.name, run.encoder) for run in batch.runs}) == 1
        assert len(batch.runs) <= (manifest.tier.jobs.runs_per_batch or len(batch.runs))


def test_a_batch_is_as_large_as_asked_for() -> None:
    sizes = [len(batch.runs) for batch in build(tier("jobs.runs_per_batch=3")).batches.values()]
    assert max(sizes) == 3
    whole = build(tier())
    assert len(whole.batches) == len({(run.dataset, run.name, run.encoder) for run in whole.runs.values()})


def test_an_experiment_crosses_its_methods_levels_and_seeds() -> None:
    cells = [cell for cell in build(tier()).cells if cell.experiment == "figure1"]
    assert len(cells) == 5 * 2 * 2 * 2  # methods, dimensions, projectors, seeds
    assert len({(c.method, *c.factors.values(), c.seed) for c in cells}) == len(cells)


def test_papers_share_runs() -> None:
    manifest = build(tier())
    users: dict[str, set[str]] = {}
    for cell in manifest.cells:
        users.setdefault(cell.run, set()).add(cell.paper)
    simclr = resolve(tier(), "simclr", {}, 0).id  # at the smoke tier's default length, a level of Table 1
    assert users[simclr] == {"haochen2021", "balestriero2022", "garrido2023"}  # one of its candidates
    vicreg = resolve(
        tier(), "vicreg", {}, 0
    ).id  # the default projector, dimension and weights are levels too
    assert users[vicreg] == {"garrido2023", "balestriero2022"}
    assert len(manifest.runs) < len(manifest.cells)


def test_projectors_with_the_same_widths_are_one_run() -> None:
    narrow = resolve(tier(), "vicreg", {"embedding_dim": 256, "projector": "d-d-d"}, 0)
    wide = resolve(tier(), "vicreg", {"embedding_dim": 256, "projector": "256-256-d"}, 0)
    assert narrow.id == wide.id
    assert narrow.projector == "256-256-d"
    other = resolve(tier(), "vicreg", {"embedding_dim": 128, "projector": "d-d-d"}, 0)
    assert other.projector == "128-128-d"
    laptop = build(tier(name="laptop"))
    cells = [
        cell
        for cell in laptop.cells
        if cell.factors.get("embedding_dim") == 256 and cell.method == "vicreg" and cell.seed == 0
    ]
    assert len(cells) == 2
    assert len({cell.run for cell in cells}) == 1


def test_a_further_seed_keeps_the_runs_there_are(manifest: Manifest) -> None:
    name, seeds = manifest.tier.name, manifest.tier.seeds
    more = build(tier(f"seeds={seeds + 1}", name=name))
    assert set(manifest.runs) < set(more.runs)
    assert {more.runs[run].seed for run in set(more.runs) - set(manifest.runs)} == {seeds}


def test_a_recipe_overrides_the_tier_and_the_experiment_overrides_the_recipe() -> None:
    chosen = tier("recipes.spectral={embedding_dim: 5, projector: 7-d, hyperparameters: {mu: 2}}")
    run = resolve(chosen, "spectral", {}, 0)
    assert (run.embedding_dim, run.projector) == (5, "7-d")
    assert run.hyperparameters == {"mu": 2.0, "projection": "ball"}
    run = resolve(chosen, "spectral", {"hyperparameters.mu": 9, "embedding_dim": 6}, 0)
    assert run.embedding_dim == 6
    assert run.hyperparameters["mu"] == 9
    assert resolve(chosen, "simclr", {}, 0) == resolve(tier(), "simclr", {}, 0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipes.vicrag.embedding_dim=4", "unknown method in recipes 'vicrag'; did you mean 'vicreg'?"),
        ("data.name=digit", "unknown data set 'digit'; did you mean 'digits'?"),
        ("training.encoder=conv_narow", "unknown encoder 'conv_narow'; did you mean 'conv_narrow'?"),
        ("training.projector=d-e", "head 'd-e' is not understood"),
        ("levels.projector=[d-d-e]", "head 'd-d-e' is not understood"),
        ("probes.names=[few1, kn]", "unknown probe 'kn'; did you mean 'knn'?"),
        ("probes.metric=few2", "'few2'"),
        ("levels.relation=[factor:shape, labels:2]", "relation 'labels:2' takes no ':'"),
        ("levels.optimiser=[sdg]", "unknown optimiser of this tier 'sdg'; did you mean 'sgd'? known: adamw"),
        ("companions.factors.data.name=factor", "unknown data set 'factor'; did you mean 'factors'?"),
        ("companions.factors.training.encoder=conv_narow", "unknown encoder 'conv_narow'"),
        (
            "companions.factors.data.label=digits",
            "two data sets of this tier are called 'digits' and differ; give one another data.label",
        ),
    ],
)
def test_a_name_that_no_table_knows_is_refused_before_anything_runs(override: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        build(tier(override))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_methods_settings_batches_and_papers_are_refused() -> None:
    with pytest.raises(UserError, match="unknown method 'simcler'; did you mean 'simclr'"):
        resolve(tier(), "simcler", {}, 0)
    with pytest.raises(UserError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        resolve(tier(), "simclr", {"epoch": 1}, 0)
    with pytest.raises(UserError, match="unknown batch 'digits'"):
        build(tier()).batch("digits")
    with pytest.raises(UserError, match="unknown paper 'haochen'; did you mean 'haochen2021'"):
        check_papers("haochen")


def test_a_papers_own_length_holds_where_its_experiments_vary_none_on_the_tiers_own_data() -> None:
    plain, changed = (build(tier(*more)) for more in ((), ("papers={garrido2023: {epochs: 7}}",)))
    epochs = {
        (cell.paper, cell.experiment): changed.runs[cell.run].epochs
        for cell in changed.cells
        if "epochs" not in cell.factors
    }
    before = {(cell.paper, cell.experiment): plain.runs[cell.run].epochs for cell in plain.cells}
    for key, found in epochs.items():
        assert found == (7 if key[0] == "garrido2023" else before[key]), key
    assert 7 not in before.values()
    assert len(changed.cells) == len(plain.cells)
    with pytest.raises(UserError, match="unknown paper 'garrido'"):
        build(tier("papers={garrido: {epochs: 7}}"))


@pytest.mark.parametrize("method", read("methods.yaml"))
def test_every_methods_hyperparameters_are_its_losss(method: str) -> None:
    from spectral_ssl.losses import get_loss

    run = resolve(tier(), method, {}, 0)
    assert set(run.hyperparameters) <= set(get_loss(run.loss).hyperparameters)


@pytest.mark.parametrize(
    "module",
    ["spectral_ssl.papers.manifest", "spectral_ssl.targets", "spectral_ssl.codes", "spectral_ssl.__main__"],
)
def test_planning_imports_no_torch(module: str) -> None:
    program = (
        f"import sys, {module}; from spectral_ssl.config import load_tier; from pathlib import Path\n"
        "from spectral_ssl.targets import Targets\n"
        f"targets = Targets({{'tier': 'smoke'}}, Path({str(CONFIG)!r})); targets.everything()\n"
        "[targets.batch_parameters(batch) for batch in targets.manifest.batches.values()]\n"
        "targets.tables_parameters('garrido2023'); targets.report_parameters()\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
