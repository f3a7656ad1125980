"""Pickles of plain data, read without trusting them: nothing that a pickle names is ever imported or called.

A pickle is a program that may call any importable function. Here the few names that arrays are made of stand for
classes of this module, and every other name is refused. NumPy's own are not used: given a crafted type they take
bytes for object pointers, and versions 2.4.0 to 2.4.4 warn of the integers for booleans in pickles of Python 2.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.errors import UserError


class _Type:
    """Stands for `numpy.dtype`; only its name is looked at."""

    def __init__(self, name: str, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass  # byte order and the like mean nothing for single bytes


class _Array:
    """Stands for `numpy.ndarray`."""

    value: NDArray[np.uint8] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        if not isinstance(dtype, _Type) or dtype.name not in ("u1", "|u1"):
            raise pickle.UnpicklingError("an array that is not of unsigned bytes")
        content = _encode(data) if isinstance(data, str) else data  # Python 2 had no bytes: they come as text
        self.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if column_major else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,  # bytes as Python 3 writes them for Python 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which is neither plain data nor an array"
            )
        return _STAND_INS[module, name]


def _check_memo(data: bytes) -> None:
    """Refuse a length beyond the data and a memo index above it: unpickling would make room for either first."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _PUTS and (argument or 0) > len(data):
            raise pickle.UnpicklingError(f"a memo index of {argument}")


_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


def load_dictionary(data: bytes, name: str) -> dict[str, Any]:
    """A pickled dictionary of lists, text, numbers and arrays of bytes; text of Python 2 is taken for Latin-1.

    Args:
        data: the pickle.
        name: what to call it in messages.

    Raises:
        UserError: the pickle names anything else, which is told, is damaged, or holds no dictionary.
    """
    try:
        _check_memo(data)
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises almost anything
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{name} is no pickle of plain data ({detail}): do not trust this file; get the archive again"
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{name} holds a {type(content).__name__}, expected a dictionary; get the archive again"
        )
    return {key: item.value if isinstance(item, _Array) else item for key, item in content.items()}
