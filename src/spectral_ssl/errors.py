"""The errors that a user can cause and repair: one line each, shown without a stack trace."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user asked for cannot be; the message says what was found, expected and what to do."""

    exit_code = 2


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
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return UserError(f"unknown {kind} '{name}';{hint} known: {', '.join(names)}")
