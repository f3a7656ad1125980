"""Numbers, names and addresses as the page has them."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote


def number(value: Any) -> str:
    """A number to four digits, as people read it; a text as it is."""
    if value in ("", None):
        return ""
    try:
        found = float(value)
    except ValueError:
        return str(value)
    return f"{found:.0f}" if found.is_integer() and abs(found) < 1e6 else f"{found:.4g}"


def anchor(*parts: str) -> str:
    """An id that needs no escaping in an attribute or an address, e.g. `entry-laptop-haochen2021-table1/simclr`."""
    return re.sub(r"[^A-Za-z0-9_./]+", "-", "-".join(filter(None, parts)))


def beside(path: Path, page: Path) -> str:
    """The address of a file relative to the page, quoted; empty where there is no such file."""
    return quote(Path(os.path.relpath(path, page.parent)).as_posix()) if path.is_file() else ""


def picture(path: Path) -> str:
    """A PNG as a data address; empty where there is no such file."""
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
