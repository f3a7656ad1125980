"""Tier files: what they may say, and what is said back when they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from spectral_ssl.config import canonical, load_tier, schema, tier_names
from spectral_ssl.errors import UserError
from spectral_ssl.papers.manifest import build
from spectral_ssl.sections import Tier

CONFIG = Path(__file__).parents[1] / "config"
TIERS = tier_names(CONFIG)


def refusal(overrides: list[str], tier: str = "smoke") -> str:
    with pytest.raises(UserError) as caught:
        load_tier(tier, overrides, CONFIG)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CONFIG / "smoke.yaml").read_text(encoding="utf-8")))


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_tiers_are_there() -> None:
    assert TIERS == ["cluster", "gpu", "imagenet", "laptop", "smoke"]


@pytest.mark.parametrize("name", TIERS)
def test_every_tier_validates_and_is_named_after_its_file(name: str) -> None:
    assert load_tier(name, folder=CONFIG).name == name


def test_the_committed_schema_is_the_generated_one() -> None:
    assert json.loads((CONFIG / "tier.schema.json").read_text(encoding="utf-8")) == schema()


@pytest.mark.parametrize("name", TIERS)
def test_a_tier_points_editors_to_the_schema(name: str) -> None:
    first = (CONFIG / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=tier.schema.json"


def test_every_section_is_closed_and_every_field_described() -> None:
    sections = [schema(), *schema()["$defs"].values()]
    for section in sections:
        assert section["additionalProperties"] is False, section["title"]
        for key, field in section["properties"].items():
            target = field.get("$ref", "")  # a section's own text describes the key that holds it
            described = schema()["$defs"][target.rpartition("/")[2]] if target else field
            assert described.get("description"), f"{section['title']}.{key}"


@pytest.mark.parametrize(
    ("override", "wrong", "right"),
    [
        ("sedes=3", "sedes", "seeds"),
        ("training.epoch=3", "epoch", "epochs"),
        ("training.optimiser.learningrate=3", "learningrate", "learning_rate"),
        ("probes.draw=3", "draw", "draws"),
        ("recipes.vicreg.projectr=16-d", "projectr", "projector"),
        (
            "recipes.vicreg.optimiser.warmup_epoch=1",
            "warmup_epoch",
            "warmup_epochs",
        ),
        ("optimisers.sgd.learningrate=3", "learningrate", "learning_rate"),
        ("companions.factors.trainings.epochs=3", "trainings", "training"),
        ("companions.factors.data.image_sise=16", "image_sise", "image_size"),
        ("companions.factors.training.epoch=3", "epoch", "epochs"),
    ],
)
def test_a_misspelt_key_names_the_nearest(override: str, wrong: str, right: str) -> None:
    message = refusal([override])
    assert f"'{wrong}'; did you mean '{right}'?" in message
    assert "known: " in message
    assert str(CONFIG / "smoke.yaml") in message


def test_a_nested_misspelt_key_says_where() -> None:
    assert refusal(["training.optimiser.learningrate=3"]).endswith("(in training.optimiser)")


@pytest.mark.parametrize(
    ("override", "named", "why"),
    [
        ("seeds=many", "'seeds' is \"many\"", "valid integer"),
        ("seeds=0", "'seeds' is 0", "greater than or equal to 1"),
        ("training.batch_size=1", "'training.batch_size' is 1", "greater than or equal to 2"),
        ("training.optimiser.learning_rate=0", "'training.optimiser.learning_rate' is 0", "greater than 0"),
        ("training.optimiser.momentum=1", "'training.optimiser.momentum' is 1", "less than 1"),
        ("training.optimiser.name=lion", "'training.optimiser.name' is \"lion\"", "'sgd', 'adamw' or 'lars'"),
        ("training.precision=float16", "'training.precision' is \"float16\"", "'float32' or 'bfloat16'"),
        ("levels.epochs=[]", "'levels.epochs' is []", "at least 1 item"),
        ("levels.epochs=[1, x]", "'levels.epochs.1' is \"x\"", "valid integer"),
        ("name=My Tier", "'name' is \"My Tier\"", "match pattern"),
        ("data.label=../up", "'data.label' is \"../up\"", "match pattern"),
        ("views.views=1", "'views.views' is 1", "greater than or equal to 2"),
        ("levels.relation=[labels]", "'levels.relation' is [\"labels\"]", "at least 2 items"),
        (
            "companions.factors.training.batch_size=1",
            "'companions.factors.training.batch_size' is 1",
            "equal to 2",
        ),
        ("companions.factors.data.label=A B", "'companions.factors.data.label' is \"A B\"", "match pattern"),
    ],
)
def test_a_wrong_value_is_shown_with_what_was_expected(override: str, named: str, why: str) -> None:
    message = refusal([override])
    assert named in message
    assert why in message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("levels.mu=[10,3,1]", "expected rising levels, each once; sort them"),
        ("levels.epochs=[1,1,2]", "expected rising levels, each once; sort them"),
        ("levels.head=[linear,linear]", "expected each level once; remove the copies"),
    ],
)
def test_levels_rise_and_occur_once(override: str, said: str) -> None:
    """Claims name the least `first` and the largest `last`, and a level twice would count its seeds twice."""
    assert said in refusal([override])


def test_all_problems_are_told_at_once() -> None:
    message = refusal(["seeds=0", "views.views=1"])
    assert "'seeds' is 0" in message
    assert "'views.views' is 1" in message


def test_a_missing_key_is_named(tmp_path: Path, values: dict[str, Any]) -> None:
    del values["training"]["epochs"]
    message = refusal([], written(tmp_path, yaml.safe_dump(values)))
    assert "key 'training.epochs' is missing" in message


def test_an_unknown_tier_lists_the_known() -> None:
    assert refusal([], "lapto") == (
        "unknown tier 'lapto'; did you mean 'laptop'? known: cluster, gpu, imagenet, laptop, smoke"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("seeds: [1", "not valid YAML"), ("- 1\n- 2\n", "found list"), ("", "found NoneType")],
)
def test_a_file_that_is_no_tier_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    message = refusal([], path)
    assert said in message
    assert message.startswith(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "none.yaml")
    message = refusal([], path)
    assert message.startswith(path)
    assert "No such file" in message


def test_overrides_change_single_values_and_nothing_else() -> None:
    plain = load_tier("smoke", folder=CONFIG)
    tier = load_tier("smoke", ["seeds=10", "training.epochs=5"], CONFIG)
    assert (tier.seeds, tier.training.epochs) == (10, 5)
    training = plain.training.model_copy(update={"epochs": 5})
    assert tier == plain.model_copy(update={"seeds": 10, "training": training})


def test_an_override_of_one_recipe_leaves_those_that_share_its_text() -> None:
    plain, changed = load_tier("imagenet"), load_tier("imagenet", ["recipes.vicreg.batch_size=64"])
    assert plain.recipes["vicreg"] == plain.recipes["barlow_twins"]
    assert changed.recipes["vicreg"].batch_size == 64
    assert changed.recipes["barlow_twins"] == plain.recipes["barlow_twins"]


def test_an_override_of_a_section_leaves_its_other_keys() -> None:
    plain, changed = load_tier("gpu"), load_tier("gpu", ["jobs={memory: 32000}"])
    assert changed.jobs == plain.jobs.model_copy(update={"memory": 32000})


def test_an_override_may_open_a_recipe() -> None:
    tier = load_tier("smoke", ["recipes.vicreg.hyperparameters.covariance=4"], CONFIG)
    assert tier.recipes["vicreg"].hyperparameters == {"covariance": 4.0}


def test_a_companion_stands_beside_the_tiers_data() -> None:
    tier = load_tier("smoke", ["companions.factors.data.label=drawn"], CONFIG)
    assert list(tier.datasets.items()) == [("digits", tier.data), ("drawn", tier.companions["factors"].data)]
    assert load_tier("smoke", ["companions={}"], CONFIG).datasets == {"digits": tier.data}


def test_an_optimiser_of_a_tier_by_name() -> None:
    tier = load_tier("smoke", folder=CONFIG)
    assert tier.optimiser("adamw") is tier.training.optimiser
    assert tier.optimiser("sgd") is tier.optimisers["sgd"]
    with pytest.raises(UserError, match="unknown optimiser of this tier 'adam'; did you mean 'adamw'"):
        tier.optimiser("adam")


@pytest.mark.parametrize("override", ["seeds", "=3", "training..epochs=3", "Seeds=3", "levels.a-b=3"])
def test_an_override_with_bad_syntax_is_explained(override: str) -> None:
    assert "expected key=value, for example seeds=10" in refusal([override])


def test_an_override_below_a_value_is_refused() -> None:
    assert "'seeds' is a value, not a section" in refusal(["seeds.more=3"])
    assert "'epochs' is a value, not a section" in refusal(["levels.epochs.0=3"])


def test_an_override_that_is_not_yaml_is_refused() -> None:
    assert "'[1' is not a YAML value" in refusal(["levels.epochs=[1"])


def test_a_tier_cannot_be_changed_after_validation() -> None:
    tier = load_tier("smoke", folder=CONFIG)
    with pytest.raises(ValueError, match="frozen"):
        tier.seeds = 3  # type: ignore[misc]


def test_canonical_text_is_equal_for_equal_values_only(values: dict[str, Any]) -> None:
    backwards = Tier.model_validate(dict(reversed(values.items())))
    assert canonical(backwards) == canonical(Tier.model_validate(values))
    assert canonical({"b": 1, "a": [1.5]}) == '{"a":[1.5],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


def test_the_benchmarks_tier_plans() -> None:
    path = CONFIG.parent / "benchmarks" / "folder.yaml"
    manifest = build(load_tier(str(path)))
    assert {cell.experiment for cell in manifest.paper_cells("haochen2021")} >= {"table1"}
    assert not any(run.dataset == "factors" for run in manifest.runs.values())
