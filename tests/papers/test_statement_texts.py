"""Every statement and misprint in formulas: complete, converted to the last command, with a number that exposes it."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, paper_statements, read, statements
from spectral_ssl.papers.statements import (
    check_texts,
    mathml,
    misprints,
    statement_texts,
    worded,
)
from spectral_ssl.theorems.check import find, run

Shown = tuple[list[str], list[str]]
"""What stands by itself as LaTeX, and texts with LaTeX between dollar signs."""


def everything() -> dict[str, Shown]:
    """All that is shown of each statement and misprint."""
    found: dict[str, Shown] = {}
    for paper in PAPERS:
        for name, one in statement_texts(paper).items():
            latex = [*one.formula, *(text for text in (one.printed, one.corrected) if text)]
            words = [one.source, one.measured, *one.hypotheses, *([one.title] if one.title else [])]
            found[f"{paper}/{name}"] = latex, words
    for name, misprint in misprints().items():
        found[name] = [misprint.printed, misprint.right], [misprint.title, misprint.where]
    return found


ARITY = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
"""Children that MathML asks for: one fewer is what a forgotten brace leaves."""


def digits(text: str) -> list[str]:
    return re.findall(r"\d", text)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_statement_has_a_text_and_every_text_a_check(paper: str) -> None:
    assert set(read(f"{paper}/statements.yaml")) == set(paper_statements(paper))
    assert list(statement_texts(paper)) == paper_statements(paper)


@pytest.mark.parametrize(("latex", "words"), everything().values(), ids=everything())
def test_everything_converts_without_leftovers(latex: list[str], words: list[str]) -> None:
    for one in latex:
        root = ElementTree.fromstring(mathml(one))
        assert (root.tag, root.get("display")) == ("math", "block")
        assert not root.findall(".//merror")
        assert all(len(node) == ARITY.get(node.tag, len(node)) for node in root.iter()), one
        assert not root.findall(".//*[@mathvariant='normal']")  # letters of a word that was meant as one
    shown = ["".join(ElementTree.fromstring(mathml(one)).itertext()) for one in latex]
    shown += ["".join(ElementTree.fromstring(f"<p>{worded(one)}</p>").itertext()) for one in words]
    for plain, one in zip(shown, [*latex, *words], strict=True):
        assert not re.search(r"[$\\]", plain), one
        # Digits, which conversion neither adds, drops nor reorders, are read from both.
        assert digits(plain) == digits(one)


def test_a_corrected_form_stands_exactly_where_the_printed_one_is_known_to_differ() -> None:
    printed = {
        f"{paper}/{name}" for paper in PAPERS for name, t in statement_texts(paper).items() if t.printed
    }
    names = [f"{paper}/{name}" for paper in PAPERS for name in paper_statements(paper)]
    assert printed == {name for name in names if find(name).known == "differs"}


def test_known_formulas() -> None:
    assert mathml(r"\frac{a}{2}") == (
        '<math display="block"><mrow><mfrac><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></mfrac></mrow></math>'
    )
    assert 'rspace="0">tr</mo><mo stretchy="false">' in mathml(r"\operatorname{tr}(Z)")
    assert 'rspace="0.167em">tr</mo><mi>Z</mi>' in mathml(r"\operatorname{tr} Z", display=False)
    assert mathml(r"\lVert x \rVert").count('fence="true"') == 2


def test_a_prime_is_a_letter_of_its_own_but_an_apostrophe_is_not() -> None:
    assert "<msub><mi>C</mi><mrow><mi>k</mi><mrow><mi>k</mi><mi>′</mi></mrow></mrow></msub>" in mathml(
        "C_{kk'}"
    )
    assert "<mtext>Fisher's</mtext>" in mathml(r"\text{Fisher's}")


def test_texts_are_escaped_around_their_formulas() -> None:
    found = worded("a < b & $x < y$")
    assert found.startswith("a &lt; b &amp; <math")
    assert "<mi>x</mi><mo>&#x0003C;</mo><mi>y</mi>" in found


@pytest.mark.parametrize(
    "latex", [r"\arg x", r"\begin{aligned} a &= b \end{aligned}", r"\nosuchcommand{x}", "x^", r"\left( x"]
)
def test_latex_that_is_not_understood_is_refused(latex: str) -> None:
    with pytest.raises(
        UserError, match=r"does not convert to MathML; expected commands .* write it otherwise"
    ) as error:
        mathml(latex)
    assert "\n" not in str(error.value)


ENTRY: dict[str, Any] = {"source": "a", "formula": "x", "hypotheses": "b", "measured": "c"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": None}, "papers/garrido2023/statements.yaml, welch: source: "),
        ({"formula": []}, "papers/garrido2023/statements.yaml, welch: formula: "),
        (
            {"printed": "y"},
            "papers/garrido2023/statements.yaml, welch: Value error, printed, corrected and claimed belong",
        ),
        (
            {"formulae": "y"},
            "papers/garrido2023/statements.yaml, welch: formulae: Extra inputs are not permitted",
        ),
    ],
)
def test_a_faulty_entry_is_refused(
    changed: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = read("garrido2023/statements.yaml") | {"welch": ENTRY | changed}
    monkeypatch.setattr(statements, "read", lambda name: entries)
    with pytest.raises(UserError) as error:
        statement_texts("garrido2023")
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("expected source, formula, hypotheses, measured")
    assert "\n" not in str(error.value)


def test_a_statement_without_a_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: entry for name, entry in read("garrido2023/statements.yaml").items() if name != "welch"}
    monkeypatch.setattr(statements, "read", lambda name: without)
    with pytest.raises(
        UserError, match=r"^papers/garrido2023/statements.yaml has no welch: expected an entry .* add"
    ):
        statement_texts("garrido2023")
    monkeypatch.setattr(statements, "read", lambda name: read(name) | {"lemma-9": ENTRY})
    with pytest.raises(UserError, match=r"statements.yaml has lemma-9, which no check is called: remove it"):
        check_texts()


def test_a_misprint_of_no_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"title": "a", "where": "b", "printed": "x", "right": "y"}
    number = {"check": "garrido2023/theorem-9", "detail": "printed form", "says": "c"}
    monkeypatch.setattr(statements, "read", lambda name: {"mine": entry | {"numbers": [number]}})
    with pytest.raises(
        UserError, match=r"mine: no check is called 'garrido2023/theorem-9'; expected paper/statement"
    ):
        misprints()


def test_every_misprint_has_its_numbers() -> None:
    numbers = [number for misprint in misprints().values() for number in misprint.numbers]
    found = {name: run(name, instances=1).detail for name in {number.check for number in numbers}}
    missing = [
        f"{number.check}: {number.detail}" for number in numbers if number.detail not in found[number.check]
    ]
    assert not missing, "not measured:\n" + "\n".join(missing)
