"""The licences of the packages that a lock file names, from the metadata of those that are installed.

`.venv/bin/python docs/licences.py [LOCK]`, or `make licences`; requirements.lock by default. A package's licence is
the first that its metadata have of: a licence expression, classifiers, the licence field's first line, the first line
of a licence file; for what has none, `STATED`. Its kind is the strictest of the parts of an `AND` and the mildest of
an `OR`. Metadata speak for the package, not for each library that is built into a wheel. Exit status: 0; 1 if a kind
is unknown; 2 if a package is not installed, or the lock cannot be read.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "permissive": r"\b(0?BSD|MIT|Apache|ISC|PSFL?|Python Software Foundation|Zlib|CC0|Public Domain|HPND|Unlicense)\b",
    "weak copyleft": r"\b(LGPL|GNU Lesser|GNU Library|MPL|Mozilla Public|EPL|CDDL)",
    "strong copyleft": r"\b(GPL|AGPL|GNU General Public|GNU Affero)",
    "proprietary": r"\b(?i:proprietary|EULA)\b",
    "unknown": "",
}
"""What a licence's name says, mildest kind first; a name that matches several is of the strictest."""
ORDER = list(KINDS)
STATED = {"cuda-toolkit": "EULA of the CUDA Toolkit, https://docs.nvidia.com/cuda/eula/"}
"""Packages whose metadata have no licence: what their project's documentation, named here, says."""


class LockError(Exception):
    """A lock and this environment do not go together; the message is one line."""


def locked(text: str) -> list[str]:
    """The names in a lock whose markers hold here, sorted."""
    lines = [line.rstrip("\\ ") for line in text.splitlines() if re.match("[A-Za-z0-9]", line)]
    found = [Requirement(line) for line in lines]
    return sorted(canonicalize_name(one.name) for one in found if one.marker is None or one.marker.evaluate())


def licence(package: Distribution) -> str:
    """A package's licence in the words of its metadata; empty where they have none."""
    about = package.metadata
    classified = [c.split(" :: ")[1:] for c in about.get_all("Classifier") or [] if c.startswith("License")]
    named = [parts[-1] for parts in classified if parts and parts != ["OSI Approved"]]
    field = (about["License"] or "").strip()
    files = (file.locate() for file in package.files or [] if re.match("LICEN[CS]E|COPYING", file.name))
    return (
        about["License-Expression"]
        or " AND ".join(named)
        or ("" if field == "UNKNOWN" else field.partition("\n")[0])
        or next((first for file in files if (first := _first_line(Path(str(file))))), "")
        or STATED.get(canonicalize_name(package.name), "")
    )


def _first_line(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip().partition("\n")[0] if file.is_file() else ""


def kind(text: str) -> str:
    """The kind of a licence, or of an expression; with brackets every part counts as joined by `AND`."""
    between = r" AND | OR " if "(" in text else " OR "
    worst = [max(map(_part, re.split(" AND ", choice))) for choice in re.split(between, text)]
    return ORDER[max(worst) if "(" in text else min(worst)]


def _part(text: str) -> int:
    """The place in `ORDER` of one licence's name."""
    matches = [place for place, name in enumerate(ORDER[:-1]) if re.search(KINDS[name], text)]
    return max(matches, default=len(ORDER) - 1)


def listed(names: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """Package, version, licence and kind of each name; LockError naming what is not installed."""
    rows = []
    for name in names:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            raise LockError(
                f"{name} is not installed; run `make venv`, `make venv-dev` or `make venv-cluster`"
            ) from None
        words = licence(package)
        rows.append((package.name, package.version, words or "none stated", kind(words)))
    return rows


def main(arguments: list[str]) -> int:
    """Print the table; the exit status."""
    lock = Path(arguments[0]) if arguments else ROOT / "requirements.lock"
    try:
        rows = listed(locked(lock.read_text(encoding="utf-8")))
    except LockError as error:
        print(f"error: {lock.name}: {error}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"error: {lock} cannot be read as a lock ({error}); name one of *.lock", file=sys.stderr)
        return 2
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in sorted(rows, key=lambda row: (ORDER.index(row[3]), row[0].lower())):
        print(f"{row[3]:15}  {row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}")
    counts = Counter(row[3] for row in rows)
    print(f"{len(rows)} packages: " + ", ".join(f"{counts[name]} {name}" for name in ORDER if counts[name]))
    if counts["unknown"]:
        print(
            "error: found licences of unknown kind; read them, then add the name to KINDS or a source to STATED of "
            "docs/licences.py",
            file=sys.stderr,
        )
    return int(counts["unknown"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
