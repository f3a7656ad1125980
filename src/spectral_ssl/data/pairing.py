"""Which images make a positive pair, by name; needs no torch, so that a plan can be checked before a run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spectral_ssl.errors import UserError

ACCEPTED = "views, labels, neighbours:<k> or factor:<name>, each with an optional +wrong:<fraction>"
_SPEC = re.compile(
    r"(views|labels|neighbours|factor)(?::([a-z0-9_]+))?(?:\+wrong:(0?\.[0-9]+|[01](?:\.0+)?))?"
)


@dataclass(frozen=True)
class Relation:
    """A relation graph to draw positive pairs from.

    kind: "views" (two views of one image), "labels" (two images of a class), "neighbours" (an image and one of its
    `argument` nearest in pixel space, or one that it is near to), "factor" (two images that share the factor
    `argument`). wrong: the chance that a pair is two different images drawn at random instead, which may be related
    all the same.
    """

    kind: str
    argument: str | None = None
    wrong: float = 0.0


def parse_relation(spec: str) -> Relation:
    """Read a relation's name, e.g. `views`, `neighbours:5`, `factor:colour+wrong:0.5`.

    Raises UserError, in one line with the accepted grammar, for anything else.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise UserError(f"relation '{spec}' is not understood; accepted: {ACCEPTED}")
    kind, argument, wrong = match.groups()
    if (argument is None) == (kind in ("neighbours", "factor")):
        raise UserError(
            f"relation '{spec}' {'needs' if argument is None else 'takes no'} ':'; accepted: {ACCEPTED}"
        )
    if kind == "neighbours" and not (str(argument).isdigit() and int(str(argument)) > 0):
        raise UserError(f"relation '{spec}': found {argument} neighbours; expected a whole number above 0")
    return Relation(kind, argument, float(wrong or 0.0))
