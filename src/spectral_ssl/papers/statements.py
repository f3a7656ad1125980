"""The statements and the misprints in words and formulas, LaTeX that becomes MathML. Imports no torch."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, TypeVar

from latex2mathml import exceptions
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, paper_statements, read

FORMULA = re.compile(r"\$([^$]+)\$")
NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
PRIMED = re.compile(r"(\\text\{[^}]*\})|(\\mathcal\{\w\}|[A-Za-z])'")
MALFORMED = tuple(
    one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception)
)
SIDES = {"l": "left", "r": "right"}
WORD = re.compile(r"<m([oi])([^>]*)>([A-Za-z]{2,})</m\1>(?=((?:<mrow>)?<mo [^>]*>(?:&#x00028;|\[))|)")

Entry = TypeVar("Entry", bound=BaseModel)

Words = Annotated[str, Field(min_length=1)]
"""Text with LaTeX between dollar signs, or LaTeX throughout."""

Several = Annotated[
    list[Words],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class Statement(BaseModel):
    """A statement of a paper: where it stands, its formulas (LaTeX), hypotheses and what is measured (texts).

    title: None where the check's own does. printed, corrected: LaTeX, and `claimed`, what is printed in words: all of
    them or none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Words
    formula: Several
    hypotheses: Several
    measured: Words
    title: Words | None = None
    printed: Words | None = None
    corrected: Words | None = None
    claimed: Words | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Statement:
        if len({value is None for value in (self.printed, self.corrected, self.claimed)}) > 1:
            raise ValueError("printed, corrected and claimed belong together")
        return self


class Number(BaseModel):
    """Where a misprint's number is: a check `paper/statement`, a key of its detail, and what the number says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: Words
    detail: Words
    says: Words


class Misprint(BaseModel):
    """A wrong form that circulates, where, the right form (both LaTeX), and the numbers that expose it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Words
    where: Words
    printed: Words
    right: Words
    numbers: Annotated[list[Number], Field(min_length=1)]


def statement_texts(paper: str) -> dict[str, Statement]:
    """The texts of a paper's statements, in the order of its checks.

    UserError where a statement has no entry, an entry no check, or an entry lacks a field or has one too many.
    """
    file = f"{paper}/statements.yaml"
    entries, names = read(file), paper_statements(paper)
    if missing := [name for name in names if name not in entries]:
        raise UserError(
            f"papers/{file} has no {', '.join(missing)}: expected an entry a statement of {PAPERS[paper]} that has a "
            f"check; add its {', '.join(_required(Statement))}"
        )
    if strangers := sorted(set(entries) - set(names)):
        raise UserError(
            f"papers/{file} has {', '.join(strangers)}, which no check is called: remove it, or list its check in "
            "MODULES"
        )
    return {name: _validated(Statement, entries[name], f"papers/{file}, {name}") for name in names}


def misprints() -> dict[str, Misprint]:
    """The misprints that circulate, by name. UserError for a faulty entry or a check that there is not."""
    found = {
        name: _validated(Misprint, entry, f"papers/misprints.yaml, {name}")
        for name, entry in read("misprints.yaml").items()
    }
    known = {f"{paper}/{name}" for paper in PAPERS for name in paper_statements(paper)}
    for name, misprint in found.items():
        for number in misprint.numbers:
            if number.check not in known:
                raise UserError(
                    f"papers/misprints.yaml, {name}: no check is called '{number.check}'; expected paper/statement"
                )
    return found


def check_texts() -> None:
    """Refuse, with one line, texts that are not complete: every statement and misprint is to be read in formulas."""
    for paper in PAPERS:
        statement_texts(paper)
    misprints()


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _validated(model: type[Entry], entry: Any, place: str) -> Entry:
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{place}{': ' + field if field else ''}: {first['msg']}; expected {', '.join(_required(model))}"
        ) from None


@cache
def mathml(latex: str, *, display: bool = True) -> Markup:
    """A formula as MathML without a namespace, as HTML has it. UserError where some LaTeX is not understood."""
    # As \left and \right the bars know which side they are on, and grow with what is between them.
    sided = re.sub(r"\\([lr])Vert(?![A-Za-z])", lambda bar: rf"\{SIDES[bar[1]]}\{bar[1]}Vert", latex)
    # A prime as a superscript of a subscript is too small to be seen; as a letter of its own it has its size.
    primed = PRIMED.sub(lambda found: found[1] or f"{{{found[2]}\u2032}}", sided)
    try:
        found = convert(primed, display="block" if display else "inline").replace(NAMESPACE, "")
    except MALFORMED:
        found = "\\"
    # Raw ampersands and leftover commands are how the converter passes on what it does not know.
    if "\\" in found or "<merror" in found or re.search(r"&(?!#?\w+;)", found):
        raise UserError(
            f"LaTeX '{latex}' does not convert to MathML; expected commands that latex2mathml knows: write it otherwise"
        )
    return Markup(WORD.sub(_spaced, found))


def _spaced(word: re.Match[str]) -> str:
    """The name of a function with a thin space on either side, none before its bracket."""
    after = "0" if word[4] else "0.167em"
    return f'<mo{word[2]} lspace="0.167em" rspace="{after}">{word[3]}</mo>'


def worded(text: str) -> Markup:
    """A text with its formulas between dollar signs as MathML; everything else escaped."""
    parts = FORMULA.split(text)
    return Markup("").join(
        mathml(part, display=False) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
