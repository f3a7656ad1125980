"""What the Snakefile is told: files, parameters and arguments, without running anything."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.jobs import plain
from spectral_ssl.targets import Targets

CONFIG = Path(__file__).parents[2] / "config"


def targets(**config: Any) -> Targets:
    return Targets({"tier": "smoke"} | config, CONFIG)


@pytest.mark.parametrize("tier", ["smoke", "laptop", "gpu", "cluster"])
def test_every_output_is_named_once(tier: str) -> None:
    files = targets(tier=tier).everything()
    assert len(set(files)) == len(files)
    assert all(name.startswith(("results/", f"figures/{tier}/")) for name in files)


def test_laptop_is_the_default() -> None:
    assert Targets({}, CONFIG).tier.name == "laptop"


@pytest.mark.parametrize(
    "config",
    [
        {"seeds": 3},
        {"description": "it's 8 px, quoted"},
        {"levels": {"epochs": [1, 3]}},
        {"training": {"epochs": 5, "optimiser": {"learning_rate": 0.5}}},
        {"data": {"train_limit": None}},
    ],
)
def test_a_stage_command_reads_the_tier_that_the_workflow_planned(config: dict[str, Any]) -> None:
    planned = targets(**config)
    words = shlex.split(planned.arguments)
    assert words[0] == "--tier"
    assert set(words[2::2]) == {"--set"}
    assert load_tier(words[1], words[3::2], CONFIG) == planned.tier
    assert planned.tier != targets().tier


def test_a_nested_value_leaves_its_siblings() -> None:
    changed = targets(training={"epochs": 5}).tier
    assert changed.training.epochs == 5
    assert changed.training.batch_size == targets().tier.training.batch_size


def test_an_unknown_nested_key_is_refused() -> None:
    with pytest.raises(UserError, match="unknown key 'epoch'; did you mean 'epochs'"):
        targets(training={"epoch": 5})


def test_parameters_hold_no_braces_which_would_be_wildcards() -> None:
    found = targets(recipes={"vicreg": {"hyperparameters": {"covariance": 2.0}}})
    texts = [*found.views_parameters().values(), found.arguments]
    for dataset in found.datasets:
        texts += found.data_parameters(dataset).values()
    for batch in found.manifest.batches.values():
        texts += [*found.batch_parameters(batch)["settings"], *found.batch(batch)]
    assert not set("{}") & set("".join(texts))
    assert plain({"a": {"b": 1}}) == '("a":("b":1))'


def test_captions_are_written_anew_when_the_description_changes() -> None:
    before, after = targets(), targets(description="another text")
    for paper in before.papers:
        assert before.tables_parameters(paper) != after.tables_parameters(paper)
        assert before.figures_parameters(paper) != after.figures_parameters(paper)
    batch = next(iter(before.manifest.batches.values()))
    assert before.batch_parameters(batch) == after.batch_parameters(batch)


def test_the_metric_redraws_and_does_not_retrain() -> None:
    before, after = targets(), targets(probes={"metric": "few1"})
    assert set(before.manifest.runs) == set(after.manifest.runs)
    assert before.tables_parameters("haochen2021") != after.tables_parameters("haochen2021")


def test_each_data_set_has_its_files_and_depends_on_itself_alone() -> None:
    plain_targets = targets()
    assert plain_targets.datasets == ["digits", "factors"]
    for dataset in plain_targets.datasets:
        assert plain_targets.data(dataset)
        assert all(f"/data/{dataset}/" in file for file in plain_targets.data(dataset))
    assert plain_targets.all_data() == [*plain_targets.data("digits"), *plain_targets.data("factors")]
    assert set(plain_targets.all_data()) <= set(plain_targets.everything())
    of_digits = [file for file in plain_targets.views() if "/views/digits-digits_affine/" in file]
    sheets = [file for file in plain_targets.views() if file.endswith("contact_sheet.png")]
    assert len(of_digits) == 4
    assert sheets == [of_digits[-1], "results/smoke/views/factors-factors/contact_sheet.png"]
    assert set(plain_targets.views()) == {*of_digits, *sheets}
    changed = targets(companions={"factors": {"data": {"train_limit": 128}}})
    assert changed.data_parameters("factors") != plain_targets.data_parameters("factors")
    assert changed.data_parameters("digits") == plain_targets.data_parameters("digits")
    # What else depends on the companion's size does so through its files.
    assert changed.manifest.runs == plain_targets.manifest.runs


def test_a_batch_is_of_one_data_set_whose_files_it_reads() -> None:
    found = targets()
    for batch in found.manifest.batches.values():
        assert len({run.dataset for run in batch.runs}) == 1
        assert found.data(batch.runs[0].dataset)[0] in found.all_data()


def test_without_companions_there_is_one_data_set() -> None:
    alone = targets(companions="{}")
    assert alone.datasets == ["digits"]
    assert not [file for file in alone.everything() if "/factors" in file]
    assert [file for file in targets().everything() if "/factors" in file]


def test_how_the_machine_is_used_repeats_no_run() -> None:
    used = {"processes": 2, "together": 7, "data": "stream", "checkpoint_seconds": 5.0, "compile": "default"}
    plain, other = targets(), targets(engine=used)
    assert [vars(batch) for batch in plain.manifest.batches.values()] == [
        vars(batch) for batch in other.manifest.batches.values()
    ]
    for batch in plain.manifest.batches.values():
        assert plain.batch_parameters(batch) == other.batch_parameters(batch)


def test_several_processes_are_launched_and_one_is_not() -> None:
    assert targets().launcher == ""
    words = targets(engine={"processes": 3}).launcher.split()
    assert words[:2] == ["-m", "spectral_ssl.train.launch"]
    assert words[words.index("--nproc-per-node") + 1] == "3"
