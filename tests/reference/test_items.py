"""The list of long runs: what it may say, and that the committed one names runs of the gpu tier."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import Manifest, build
from spectral_ssl.reference.items import LIST, Asked, asked, read_items, states
from spectral_ssl.reference.place import list_of, tiers

CHECKOUT = Path(__file__).parents[2]
JPEG = ("data.name=folder", "data.label=cifar10-jpeg75", "companions={}")


def test_the_committed_tier_is_the_gpu_tier_on_another_encoding_of_its_images() -> None:
    committed = load_tier(str(CHECKOUT / "reference/gpu-jpeg75/tier.yaml"))
    words = (
        "name=gpu-jpeg75",
        f"description={committed.description}",
        "data.path=data/cifar10-jpeg75.tar.xz",
    )
    assert "JPEG 75" in committed.description
    assert committed == load_tier("gpu", (*JPEG, *words), CHECKOUT / "config")


def test_every_committed_run_is_one_that_its_list_names_and_has_all_its_files() -> None:
    """Else the report, which shows them, would stop or leave them out."""
    found = tiers(CHECKOUT)
    assert "cpu-jpeg75" in [context.tier.name for context in found]
    for context in found:
        named = {one.run.id for state in states(list_of(context), context) for one in state.runs}
        there = {path.name for path in context.layout.runs.iterdir()}
        assert there <= named, context.tier.name
        for run in there:
            files = {path.name for path in (context.layout.runs / run).iterdir()}
            assert files == {"history.csv", "probe.json", "features.npz", "provenance.json", "status.json"}


def manifest(*overrides: str) -> Manifest:
    return build(load_tier("gpu", overrides, CHECKOUT / "config"))


def listed(found: Manifest) -> dict[str, list[Asked]]:
    items = read_items(CHECKOUT / LIST)
    return {name: asked(name, item, found) for name, item in items.items() if item.runs}


@pytest.mark.parametrize("overrides", [(), JPEG], ids=["official", "jpeg"])
def test_the_committed_list_is_of_runs_of_the_gpu_tier(overrides: tuple[str, ...]) -> None:
    found = listed(manifest(*overrides))
    first = [one.run for one in found["table1"]]
    assert [(run.name, run.epochs, run.batch_size, run.seed) for run in first] == [
        ("spectral", 200, 512, 0),
        ("simclr", 200, 512, 0),
        ("simsiam", 200, 512, 0),
    ]
    again = [one.run.model_dump() | {"seed": 0} for one in found["table1-second-seed"]]
    assert again == [run.model_dump() for run in first]
    chain = {one.run.loss for one in found["chain"]}
    assert {"vicreg", "vicreg_exp", "vicreg_ctr", "simclr", "simclr_sq", "simclr_abs"} == chain
    assert {one.run.epochs for name in ("chain", "dimensions", "tuning") for one in found[name]} == {100}
    assert {one.run.embedding_dim for one in found["dimensions"]} == {256, 512, 1024, 2048}
    assert {one.run.epochs for one in found["lengths"]} == {400, 800}
    assert {one.run.hyperparameters["mu"] for one in found["mu"]} == {1, 3, 10}
    assert {one.run.batch_size for one in found["batch-size"]} == {64, 128, 256, 512, 1024}
    methods = {one.run.name for one in found["methods"]}
    assert methods == {"byol", "moco_v2", "barlow_twins", "nnclr", "dcl"}
    assert all(one.run.epochs == 200 for one in found["methods"])


def test_what_may_explain_a_difference_changes_one_setting_each() -> None:
    base, *tried = listed(manifest())["why"]
    assert base.changed is None
    before = base.run.model_dump()
    for one in tried:
        after = one.run.model_dump()
        assert one.changed
        assert len([key for key in after if after[key] != before[key]]) == 1, one.changed


def test_the_chain_is_tuned_over_as_many_candidates_for_every_method() -> None:
    tuned = [one.run for one in listed(manifest())["tuning"]]
    counts = {name: sum(run.loss == name for run in tuned) for name in {run.loss for run in tuned}}
    assert counts == {"vicreg": 5, "vicreg_exp": 5, "vicreg_ctr": 5, "simclr": 5}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found no items"),
        ("[a, b]", "found no items"),
        ("a: 3", "'a'"),
        ("a: {title: t}", "expected one of runs, benchmark and table"),
        ("a: {title: t, runs: [{method: vicreg}], table: haochen2021/table1}", "expected one of"),
        ("a: {title: t, runs: [{}]}", "expected an experiment or a method"),
        ("a: {title: t, runs: [{method: vicreg, experiment: x}]}", "expected an experiment or a method"),
        ("a: {title: t, runs: [{method: vicreg, seeds: []}]}", "'a.runs.0.seeds'"),
        ("a: {title: t, runs: [{method: vicreg, seed: 1}]}", "'a.runs.0.seed'"),
        ("a: {title: t, benchmark: {script: x.py, makes: y}}", "'a.benchmark.seconds'"),
        ("a: {title: t, table: x}\na: {title: t, table: x}", "twice"),
        ('a: {title: "t\\u2028", table: haochen2021/table1}', "'a.title'"),
        ("a: {title: t, table: os/table1}", "'a.table'"),
        ("a: {title: t, benchmark: {script: ../x.py, makes: y, seconds: 1}}", "'a.benchmark.script'"),
        ("a: {title: t, benchmark: {script: x.py, makes: ../y, seconds: 1}}", "'a.benchmark.makes'"),
        ("../a: {title: t, table: haochen2021/table1}", r"item '\.\./a'"),
        ('"<b>": {title: t, table: haochen2021/table1}', "item '<b>'"),
    ],
)
def test_a_list_that_says_something_else_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=told) as refused:
        read_items(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("{title: t, runs: [{experiment: haochen2021/table9}]}", "no run of haochen2021/table9"),
        ("{title: t, runs: [{experiment: haochen2021/table1, seeds: [7]}]}", "seeds 7"),
        ("{title: t, runs: [{experiment: haochen2021/table1, where: {epochs: 5}}]}", "epochs 5"),
        ("{title: t, runs: [{method: vicregg}]}", "did you mean 'vicreg'"),
        ("{title: t, runs: [{method: vicreg, settings: {epoch: 1}}]}", "did you mean 'epochs'"),
    ],
)
def test_an_item_without_a_run_is_told(tmp_path: Path, item: str, told: str) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(f"a: {item}", encoding="utf-8")
    (found,) = read_items(path).values()
    with pytest.raises(UserError, match=told):
        asked("a", found, manifest())
