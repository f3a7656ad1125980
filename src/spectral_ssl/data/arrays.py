"""Arrays from `.npy` and `.npz` files that are not trusted: no pickle, and no memory for what is not there.

A file's header says how large its array is. NumPy makes room for that before it reads, so here the header is first
held against the file's own length.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.errors import UserError
from spectral_ssl.exhaustion import is_exhaustion

MAX_BYTES = 2**32  # of all arrays of an `.npz`, which may be a thousand times its length
RERUN = "delete it and run the stage that writes it"
_KINDS = "biufS"  # booleans, numbers, and text of one byte a character


def read_array(
    path: str | Path,
    *,
    kinds: str = _KINDS,
    ndim: int | None = None,
    mapped: bool = False,
    repair: str = RERUN,
) -> NDArray[Any]:
    """The array of an `.npy` file, mapped read-only or in memory and in this machine's byte order.

    Args:
        path: the file.
        kinds: of the types that are expected, by NumPy's letters: "f" for floating point, "iu" for integers.
        ndim: the dimensions that are expected; None: any number.
        mapped: leave the array on the disk, whatever its byte order.
        repair: what a user is told to do about a file that cannot be used.

    Raises:
        UserError: the file is missing, is none, is not as long as its header says, or holds another kind of array.
    """
    path = Path(path)
    with _reading(path, repair):
        with _opened(path) as file:
            _check(file, os.fstat(file.fileno()).st_size, kinds, ndim)
            if not mapped:
                file.seek(0)
                return _native(np.load(file, allow_pickle=False))
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def read_arrays(
    path: str | Path,
    names: Sequence[str],
    *,
    kinds: str = _KINDS,
    ndim: int | None = None,
    repair: str = RERUN,
) -> dict[str, NDArray[Any]]:
    """Some arrays of an `.npz` file by name, in this machine's byte order; the rest as `read_array`.

    Raises:
        UserError: as `read_array`; an array is absent, or all that are asked for take more than `MAX_BYTES`.
    """
    path = Path(path)
    with _reading(path, repair), _opened(path) as file, zipfile.ZipFile(file) as archive:
        infos = [archive.getinfo(f"{name}.npy") for name in names]
        if sum(info.file_size for info in infos) > MAX_BYTES:
            raise ValueError(f"it expands to more than {MAX_BYTES} bytes")
        found = {}
        for name, info in zip(names, infos, strict=True):
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is compressed by method {info.compress_type}")
            with archive.open(info) as member:
                _check(member, info.file_size, kinds, ndim)
            with archive.open(info) as member:
                found[name] = _native(np.lib.format.read_array(member, allow_pickle=False))
        return found


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check(file: IO[bytes], length: int, kinds: str, ndim: int | None) -> None:
    """Read a header; ValueError if it is not of such an array, or the array not of this length."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"it is of format {version[0]}.{version[1]}, expected 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or dtype.kind not in kinds:
        raise ValueError(f"it holds an array of type {dtype}, expected one of kind {' or '.join(kinds)}")
    if ndim is not None and len(shape) != ndim:
        raise ValueError(f"it holds an array of shape {shape}, expected {ndim} dimensions")
    expected = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != length:
        raise ValueError(f"it has {length} bytes, its header says {expected}")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    # not blocking: opening a pipe would wait for something that writes
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no plain file")
        yield file


@contextmanager
def _reading(path: Path, repair: str) -> Iterator[None]:
    try:
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: {repair.removeprefix('delete it and ')}") from error
    except OSError as error:
        if is_exhaustion(error):  # the file is not to blame
            raise MemoryError(f"{path} cannot be read or mapped") from error
        raise UserError(f"{path} cannot be read ({error.strerror or error}): {repair}") from error
    except KeyError as error:
        raise UserError(f"{path} is damaged ({error.args[0]}): {repair}") from error
    except Exception as error:  # NumPy's and zipfile's readers raise almost anything on damaged files
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} is damaged ({detail}): {repair}") from error
