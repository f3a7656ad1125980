"""What the Snakefile is told: files, parameters and arguments, without running anything."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.targets import Targets, plain

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
    texts = [*found.data_parameters().values(), *found.views_parameters().values(), found.arguments]
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
