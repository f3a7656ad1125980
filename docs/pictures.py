"""Copy the figures that the README shows, docs/img/<paper>-<figure>.png, from a laptop run's figures/laptop/."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def wanted(text: str) -> list[tuple[str, str]]:
    """Paper and figure of every picture of that name in a text."""
    return re.findall(r"\]\(docs/img/([a-z]+\d{4})-(\w+)\.png\)", text)


def copy(root: Path) -> None:
    """Copy the pictures, or none of them where one has not been drawn."""
    named = wanted((root / "README.md").read_text(encoding="utf-8"))
    files = {
        root / "figures/laptop" / paper / f"{figure}.png": f"{paper}-{figure}.png" for paper, figure in named
    }
    if missing := [str(file.relative_to(root)) for file in files if not file.is_file()]:
        sys.exit(
            f"error: {missing[0]} is not there; run `make reproduce` first, or name another figure in README.md"
        )
    for file, name in files.items():
        shutil.copyfile(file, root / "docs" / "img" / name)


if __name__ == "__main__":
    copy(ROOT)
