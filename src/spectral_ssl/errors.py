"""The errors that a user can cause and repair: one line each, shown without a stack trace."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user asked for cannot be; the message says what was found, expected and what to do.

    It is one printable line, whatever names from files and arguments are in it.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


class Divergence(UserError):
    """A run's loss stopped being finite. A result, not a crash: the history is kept and siblings go on."""

    exit_code = 3


class Interrupted(UserError):
    """A signal asked training to stop; what was done lies in a checkpoint, unless the disk is full. The exit status is
    128 + the signal.
    """

    def __init__(self, number: int, step: int, epoch: int, folder: Path, *, written: bool) -> None:
        name = signal.Signals(number).name
        where = (
            f"the checkpoint is in {folder}; the same command goes on from there"
            if written
            else f"the disk of {folder} is full, make room: the same command goes on from the checkpoint before"
        )
        super().__init__(f"stopped by {name} after step {step} (epoch {epoch}); {where}")
        self.exit_code = 128 + number


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that is in no registry: names the nearest right one and lists all known ones."""
    names, told = sorted(known), short(str(name))
    near = difflib.get_close_matches(told, names, n=1, cutoff=0.5)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return UserError(f"unknown {kind} '{told}';{hint} known: {', '.join(names)}")


def printable(text: str) -> str:
    """A text on one line: what ends a line, moves a cursor, turns its direction or is not seen stands as an escape."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in text
    )


def short(text: str, most: int = 80) -> str:
    """A text of at most `most` characters, its end as dots if it has more."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."
