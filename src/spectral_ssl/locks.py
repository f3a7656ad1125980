"""Locks on files. The system gives one up with the process that held it, so that a dead process's is no obstacle.

Imports no torch. Where a system or a file system has no locks, nothing is locked and nobody is refused.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from spectral_ssl.errors import UserError


def locked(path: Path, *, wait: bool) -> BinaryIO | None:
    """A file to read and write, locked, as it is or made empty; closing it gives the lock up.

    Its holder may rename or remove it: who has waited opens the one that has the name then. Where another process
    holds it: None, or with `wait` once it is free. Raises OSError where the file cannot be made.
    """
    while True:
        file = open(path, "r+b", opener=_or_make)  # noqa: SIM115, it is handed out open
        try:
            if not _lock(file, wait):
                file.close()
                return None
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


@contextmanager
def one_process(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file, which is made, says who holds it, and is removed at the end.

    Raises:
        UserError: another process holds it; the message says which and since when.
    """
    file = locked(path, wait=False)
    if file is None:
        raise UserError(
            f"{what} is under way already in {_holder(path)}; wait for its end, or end it, then run again"
        )
    with file:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):  # who holds it is a help, on a full disk it is not known
            os.ftruncate(file.fileno(), 0)
            os.pwrite(
                file.fileno(), f"process {os.getpid()} on {socket.gethostname()} since {since}".encode(), 0
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def held(path: Path) -> str | None:
    """Who holds the lock of a file, in words; None where nobody does."""
    if not path.exists():
        return None
    try:
        file = locked(path, wait=False)
    except OSError:  # no right to open it: nobody here may hold it either
        return None
    if file is None:
        return _holder(path)
    with file:
        path.unlink(missing_ok=True)  # of a process that is gone
    return None


def _or_make(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT, 0o666)


def _lock(file: BinaryIO, wait: bool) -> bool:
    """Whether it could be had, or nothing can be locked there."""
    try:
        import fcntl
    except ImportError:  # no POSIX system
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
