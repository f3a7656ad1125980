"""A folder that is written beside its place and takes it at the end: none is ever half written."""

from __future__ import annotations

import glob
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spectral_ssl.errors import UserError


@contextmanager
def replacing(out: Path, needed: int) -> Iterator[Path]:
    """A folder for about `needed` bytes that takes the place of `out` at the end; after an error it is gone.

    What a killed process has left beside `out` is removed first. It is told by its lock, which nobody holds; one that
    another process still writes stays.

    Raises:
        UserError: the disk has too little room, told before anything is written, or writing fails.
    """
    import fcntl  # here: data sets are read where there is none, too

    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    lock = part.with_suffix(".lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(out)
        _check_room(out, needed)
        with ExitStack() as stack:
            file = stack.enter_context(lock.open("w"))
            stack.callback(lock.unlink, missing_ok=True)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            stack.callback(shutil.rmtree, part, ignore_errors=True)
            part.mkdir()
            yield part
            _replace(part, out)
    except OSError as error:
        raise UserError(
            f"cannot write {out}: {error.strerror or error}; about {_mebibytes(needed)} are needed there: "
            "make room or choose another folder, then run again"
        ) from error


def _check_room(out: Path, needed: int) -> None:
    """Hours of decoding come before a disk is full: tell it now."""
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise UserError(
            f"cannot write {out}: about {_mebibytes(needed)} are needed there, the disk has {_mebibytes(free)} free: "
            "make room or choose another folder, then run again"
        )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def _remove_left(out: Path) -> None:
    import fcntl

    for lock in out.parent.glob(f".{glob.escape(out.name)}.????????.lock"):
        with suppress(OSError), lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error where another process holds it
            for suffix in (".part", ".old"):
                shutil.rmtree(lock.with_suffix(suffix), ignore_errors=True)
            lock.unlink()


def _replace(part: Path, out: Path) -> None:
    if not out.exists():
        part.rename(out)
        return
    old = part.with_suffix(".old")
    out.rename(old)
    part.rename(out)
    shutil.rmtree(old)
