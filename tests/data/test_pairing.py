"""Relations by name: what each name means, and what is no name."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl.config import load_tier, tier_names
from spectral_ssl.data.pairing import ACCEPTED, Relation, parse_relation
from spectral_ssl.errors import UserError

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize(
    ("spec", "relation"),
    [
        ("views", Relation("views")),
        ("labels", Relation("labels")),
        ("neighbours:5", Relation("neighbours", "5")),
        ("neighbours:1", Relation("neighbours", "1")),
        ("factor:shape", Relation("factor", "shape")),
        ("factor:hue_2", Relation("factor", "hue_2")),
        ("views+wrong:0.25", Relation("views", None, 0.25)),
        ("labels+wrong:.5", Relation("labels", None, 0.5)),
        ("neighbours:12+wrong:0", Relation("neighbours", "12", 0.0)),
        ("factor:colour+wrong:1.0", Relation("factor", "colour", 1.0)),
        ("labels+wrong:1", Relation("labels", None, 1.0)),
    ],
)
def test_a_name_is_a_kind_an_argument_and_a_share_of_wrong_pairs(spec: str, relation: Relation) -> None:
    assert parse_relation(spec) == relation


@pytest.mark.parametrize(
    "spec",
    [
        *("", "view", "Labels", " labels", "labels ", "labels\n", "factor:", "factor:Shape", "factor:a b"),
        *("labels+wrong", "labels+wrong:", "labels+wrong:1.5", "labels+wrong:2", "labels+wrong:-0.5"),
        *("labels+wrong:1e-1", "labels+wrong:nan", "labels+wrong:0.5+wrong:0.5", "labels+right:0.5"),
        *("+wrong:0.5", "neighbours:-1", "neighbours:2.5", "views,labels"),
    ],
)
def test_anything_else_is_refused_with_the_grammar(spec: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_relation(spec)
    shown = spec.replace("\n", "\\n")
    assert str(caught.value) == f"relation '{shown}' is not understood; accepted: {ACCEPTED}"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("factor", f"relation 'factor' needs ':'; accepted: {ACCEPTED}"),
        ("neighbours+wrong:0.5", f"relation 'neighbours+wrong:0.5' needs ':'; accepted: {ACCEPTED}"),
        ("views:2", f"relation 'views:2' takes no ':'; accepted: {ACCEPTED}"),
        ("labels:shape", f"relation 'labels:shape' takes no ':'; accepted: {ACCEPTED}"),
        (
            "neighbours:0",
            "relation 'neighbours:0': found 0 neighbours; expected a whole number above 0",
        ),
        (
            "neighbours:few",
            "relation 'neighbours:few': found few neighbours; expected a whole number above 0",
        ),
    ],
)
def test_an_argument_too_many_or_too_few_is_told(spec: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_relation(spec)
    assert str(caught.value) == said
    assert "\n" not in said


@pytest.mark.parametrize("name", tier_names(CONFIG))
def test_every_tiers_relations_go_from_aligned_to_misaligned(name: str) -> None:
    relations = [parse_relation(spec) for spec in load_tier(name, folder=CONFIG).levels.relation]
    assert relations[0] == Relation("factor", "shape")  # the class of the data set `factors`
    assert relations[-1].argument != "shape"
