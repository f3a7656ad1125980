"""Files that other stages left, read for the page; one that is damaged is told by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from spectral_ssl.errors import UserError


def table(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV as pandas reads it with these options; UserError naming the file where it is none."""
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # no columns, lines of unequal length, bytes that are no UTF-8
        raise _damaged(path, "CSV", error) from None


def text(path: Path) -> str:
    """A text, empty where there is no file; UserError naming the file where it is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except ValueError as error:
        raise _damaged(path, "text", error) from None


def _damaged(path: Path, kind: str, error: ValueError) -> UserError:
    why = " ".join(str(error).split())
    return UserError(f"{path} cannot be read as {kind} ({why}); delete it and run its stage again")
