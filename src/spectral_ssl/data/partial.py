"""A folder that is written beside its place and takes it at the end: none is ever half written.

Its files are on the disk before it takes its place, so that a power cut leaves the earlier folder, this one or none.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spectral_ssl.errors import UserError
from spectral_ssl.locks import locked


@contextmanager
def replacing(out: Path, needed: int) -> Iterator[Path]:
    """A folder for about `needed` bytes that takes the place of `out` at the end; after an error it is gone.

    What a killed process has left beside `out` is removed first. It is told by its lock, which nobody holds; one that
    another process still writes stays. Of several that end at once the last one's folder stays.

    Raises:
        UserError: the disk has too little room, told before anything is written, or writing fails.
    """
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    lock = part.with_suffix(".lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(out)
        _check_room(out, needed)
        with ExitStack() as stack:
            file = locked(lock, wait=True)  # who removes what is left may hold it for a moment
            assert file is not None
            stack.enter_context(file)
            stack.callback(lock.unlink, missing_ok=True)
            stack.callback(shutil.rmtree, part, ignore_errors=True)
            part.mkdir()
            yield part
            _sync(part)
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
    for lock in out.parent.glob(f".{glob.escape(out.name)}.????????.lock"):
        file = locked(lock, wait=False)
        if file is None:  # another process still writes
            continue
        with file:
            for suffix in (".part", ".old"):
                shutil.rmtree(lock.with_suffix(suffix), ignore_errors=True)
            lock.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(part: Path, out: Path) -> None:
    """Rename; a folder cannot replace one that has files, so an earlier one steps aside for that moment."""
    old = part.with_suffix(".old")
    while True:
        try:
            part.rename(out)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):  # another process has it step aside
            out.rename(old)
    shutil.rmtree(old, ignore_errors=True)
