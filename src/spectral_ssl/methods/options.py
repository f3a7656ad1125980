"""A method's options: their defaults, their ranges, and the errors for anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spectral_ssl.errors import UserError, unknown


@dataclass(frozen=True)
class Option:
    """The default of an option and its range, both ends included; `whole` for counts and switches (0 or 1)."""

    default: float
    least: float
    most: float = math.inf
    whole: bool = False

    def takes(self, value: float) -> bool:
        """Whether the value is a finite number in the range."""
        return math.isfinite(value) and self.least <= value <= self.most and not (self.whole and value % 1)

    def __str__(self) -> str:
        bounds = (
            f"of at least {self.least:g}"
            if self.most == math.inf
            else f"from {self.least:g} to {self.most:g}"
        )
        return f"a {'whole ' if self.whole else ''}number {bounds}"


def resolve_options(method: str, known: Mapping[str, Option], given: Mapping[str, float]) -> dict[str, float]:
    """Every option of a method: what is given, and the defaults of the rest.

    Raises UserError for a name that the method does not have and for a value out of its range.
    """
    for name, value in given.items():
        if name not in known:
            raise unknown(f"option of {method}", name, known or ["none"])
        if not known[name].takes(value):
            raise UserError(
                f"option {name} of {method} is {value:g}; expected {known[name]}; "
                f"leave it out for {known[name].default:g}"
            )
    return {name: given.get(name, option.default) for name, option in known.items()}
