"""Files of claims: merged, complete, and refused in one line where a claim cannot be decided."""

from __future__ import annotations

import re
from typing import Any

import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, claim_files, claims, merged, read
from spectral_ssl.papers.rules import RULES, TESTED, check_claims, experiments_of, family

WORDS = {"location": "x", "statement": "y", "printed": "z"}
MEASURE = {
    "experiment": "table2",
    "column": "accuracy",
    "high": {"method": "spectral"},
    "low": {"method": "simclr"},
}
ORDER = {"kind": "order", **WORDS, "measure": MEASURE}


def refused(claims: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        check_claims("haochen2021", claims)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("paper", PAPERS)
def test_the_papers_own_claims_are_complete(paper: str) -> None:
    check_claims(paper, claims(paper))
    assert claim_files(paper)[0] == "claims.yaml"
    parts = [read(f"{paper}/{name}") for name in claim_files(paper)]
    assert list(claims(paper)) == [entry for part in parts for entry in part]


def test_files_are_merged_in_the_order_given() -> None:
    assert list(merged({"claims.yaml": "b: {kind: x}\na: {kind: y}", "claims_c.yaml": "c: {}"})) == [
        "b",
        "a",
        "c",
    ]
    assert merged({"claims.yaml": "b: {kind: x}", "claims_empty.yaml": "# nothing\n"}) == {"b": {"kind": "x"}}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            {"claims.yaml": "a: 1", "claims_b.yaml": "a: 2"},
            "claims_b.yaml: claim 'a' stands in a file before it too",
        ),
        ({"claims.yaml": "a: 1\nb: 2\na: 3"}, "key 'a' is there twice in the mapping at line 1"),
        (
            {"claims.yaml": "a:\n  margin: 1\n  margin: 2"},
            "key 'margin' is there twice in the mapping at line 2",
        ),
    ],
)
def test_a_key_that_is_there_twice_is_refused(texts: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        merged(texts)


def test_a_claim_may_say_its_family_and_where_it_is_shown() -> None:
    check_claims("haochen2021", {"a": ORDER | {"family": "f", "table": "table2", "figure": "table1"}})
    assert family("table9/claim", ORDER) == "table9"
    assert family("table9", ORDER) == "table9"
    assert family("table9/claim", ORDER | {"family": "f"}) == "f"
    assert family("table9/claim", {"kind": "underspecified"}) is family("x", {"kind": "figure"}) is None


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"kind": "order", "location": "x", "statement": "y"}, "lacks printed; add it"),
        ({"kind": "same", **WORDS}, "lacks margin; add it"),
        ({"kind": "noninferior", **WORDS}, "lacks margin; add it"),
        ({"kind": "range", **WORDS}, "lacks bounds; add it"),
        ({"kind": "underspecified", **WORDS}, "lacks reason; add it"),
        ({"kind": "figure", **WORDS}, "lacks entries; add it"),
        ({"kind": "ordr", **WORDS}, "unknown kind 'ordr'; did you mean 'order'"),
        (WORDS, "unknown kind 'None'"),
        (ORDER | {"margins": 2.0}, "unknown key 'margins'; known: analogue, family"),
        (ORDER | {"margin": 2.0}, "unknown key 'margin'"),  # an order has none
        (ORDER | {"measure": {"experiment": "table2", "column": "accuracy"}}, "its measure lacks high, low"),
        (
            ORDER | {"measure": MEASURE | {"collumn": "a"}},
            "unknown key of its measure 'collumn'; did you mean 'column'",
        ),
        (
            ORDER | {"measure": MEASURE | {"experiment": "tabel2"}},
            "unknown experiment 'tabel2'; did you mean 'table2'",
        ),
        (ORDER | {"measure": MEASURE | {"low": {"experiment": "tabel2"}}}, "unknown experiment 'tabel2'"),
        (
            ORDER | {"measure": MEASURE, "analogue": {"experiment": "table2"}},
            "its analogue lacks column, high, low",
        ),
        (ORDER | {"measure": MEASURE, "analogue": MEASURE | {"experiment": "x"}}, "unknown experiment 'x'"),
        ({"kind": "figure", "entries": [], **WORDS, "analogue": MEASURE}, "unknown key 'analogue'"),
        (ORDER | {"table": "tabel2"}, "unknown table 'tabel2'; did you mean 'table2'"),
        (ORDER | {"figure": "none"}, "unknown figure 'none'"),
    ],
)
def test_a_claim_that_cannot_be_decided_is_refused(claim: dict[str, Any], said: str) -> None:
    assert f"HaoChen et al. 2021: claim table9/claim: {said}" in refused({"table9/claim": claim})


@pytest.mark.parametrize(
    ("claims", "strangers"),
    [
        ({"a": {"kind": "figure", "entries": ["b"]}}, "a names ['b']"),
        ({"a": {"kind": "keypoint", "entries": ["a"]}}, "a names ['a']"),
        (
            {
                "a": {"kind": "figure", "entries": ["b"]},
                "b": {"kind": "figure", "entries": ["statement/toy-graph"]},
            },
            "a names ['b']",
        ),
        ({"a": {"kind": "figure", "entries": ["statement/toy-grpah"]}}, "a names ['statement/toy-grpah']"),
    ],
    ids=["unknown", "itself", "later composite", "misspelt statement"],
)
def test_a_composite_of_what_is_not_there_is_refused(
    claims: dict[str, dict[str, Any]], strangers: str
) -> None:
    made = {entry: WORDS | claim for entry, claim in claims.items()}
    assert f"claim {strangers}, which no entry before it is called" in refused(made)


def test_a_composite_may_name_later_claims_statements_and_earlier_composites() -> None:
    check_claims(
        "haochen2021",
        {
            "a": {"kind": "figure", "entries": ["c", "statement/toy-graph"], **WORDS},
            "b": {"kind": "keypoint", "entries": ["a"], **WORDS},
            "c": ORDER,
        },
    )


def test_every_tested_kind_has_a_rule_that_names_the_correction() -> None:
    assert set(TESTED) < set(RULES)
    for kind in TESTED:
        assert "Holm" in RULES[kind]
        assert "5 %" in RULES[kind]
        assert "interval not corrected" in RULES[kind]


def test_the_experiments_of_a_measure_are_those_of_its_sides() -> None:
    assert experiments_of(MEASURE) == ["table2"]
    assert experiments_of({"high": {"experiment": "a"}, "low": {"experiment": "b"}}) == ["a", "b"]
    assert experiments_of({}) == []
