"""Two runs of a tier, file by file: `python benchmarks/compare.py A B`, each a checkout in which the tier was run.

Prints how many files are the same bytes and which are not, where each of these differs first, whether every verdict
is the same, and the largest difference of every column of numbers (benchmarks/columns.py says how it is measured).
Exempt is what a clock or the machine writes: notebooks, the report, provenance, receipts, logs, benchmarks, and the
columns and keys in `EXEMPT_NAMES`. Exits 1 if a file is on one side only, a verdict differs, or a column is beyond
its tolerance (`columns.TOLERANCES`), with `--same` also if any other file differs.

Runs whose settings differ in the number of threads alone have different ids; they are compared with each other.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from columns import Apart, columns, floors

EXEMPT_FOLDERS = {"benchmarks", "logs", "receipts", "reports", "tensorboard"}
EXEMPT_FILES = {"provenance.json", "report.html", "report.receipt.json"}
EXEMPT_NAMES = {
    "seconds",
    "views_per_second",
    "utilisation",
    "code",
}  # of columns and keys; `code` is provenance
TIMED = "time: "  # begins the names of measured times in a theorem's details
VERDICTS = {"verdict", "control_verdict"}


@dataclass
class Comparison:
    """What two runs have in common: files by name, the distance of each column of numbers."""

    identical: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)  # where each differs first
    exempt: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    verdicts: int = 0
    changed: list[str] = field(default_factory=list)  # verdicts, and what they are on each side
    apart: dict[str, Apart] = field(default_factory=dict)

    @property
    def agree(self) -> bool:
        """Whether both have the same files and verdicts, one at least, and numbers as near as rounding brings them."""
        near = all(one.within(name) for name, one in self.apart.items())
        return near and not self.missing and not self.changed and self.verdicts > 0


def compare(a: Path, b: Path, tier: str = "smoke") -> Comparison:
    """Compare the results and figures of two checkouts. ValueError where neither has any."""
    found, names = Comparison(), aliases(a, b, tier)
    ours = {file: file for file in files(a, tier)}
    theirs = {renamed(file, names): file for file in files(b, tier)}
    if not ours and not theirs:
        raise ValueError(f"neither {a} nor {b} has results of tier {tier}: run it in both first")
    for file in sorted(ours.keys() | theirs.keys()):
        if is_exempt(file):
            found.exempt.append(file)
        elif file not in ours or file not in theirs:
            found.missing.append(f"{file} (in {a if file in ours else b} only)")
        else:
            _pair(found, file, (a / file).read_bytes(), renamed_bytes(b / theirs[file], names))
    return found


def files(root: Path, tier: str) -> Iterator[str]:
    """The files of a tier and those that merge tiers, relative to the checkout."""
    merged = (
        "results/ledger.csv",
        "results/theorems.csv",
        "results/report.html",
        "results/report.receipt.json",
    )
    for folder in (f"results/{tier}", f"figures/{tier}"):
        yield from (str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file())
    yield from (name for name in merged if (root / name).is_file())


def is_exempt(file: str) -> bool:
    """Whether a clock or the machine has a part in what the file says."""
    parts = Path(file).parts
    return parts[-1] in EXEMPT_FILES or bool(EXEMPT_FOLDERS & set(parts[2:3]))


def aliases(a: Path, b: Path, tier: str) -> dict[str, str]:
    """The id in B of each run whose id differs from that in A, to the one in A: their settings but threads agree."""

    def runs(root: Path) -> dict[str, str]:
        made = {}
        for path in root.glob(f"results/{tier}/runs/*/provenance.json"):
            settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
            made[json.dumps({**settings, "threads": None}, sort_keys=True)] = path.parent.name
        return made

    ours, theirs = runs(a), runs(b)
    return {theirs[key]: ours[key] for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}


def renamed(text: str, names: dict[str, str]) -> str:
    """The text with B's ids of runs replaced by A's."""
    if not names:
        return text
    return re.sub(r"[a-z0-9_.-]+-[0-9a-f]{8}\b", lambda found: names.get(found[0], found[0]), text)


def renamed_bytes(path: Path, names: dict[str, str]) -> bytes:
    """A file's bytes, where they are text with the ids replaced."""
    if path.suffix in (".csv", ".json", ".md", ".tex"):
        return renamed(path.read_text(encoding="utf-8"), names).encode()
    return path.read_bytes()


def _pair(found: Comparison, file: str, a: bytes, b: bytes) -> None:
    a, b = without_exempt(file, a), without_exempt(file, b)
    if a == b:
        found.identical.append(file)
    else:
        found.different[file] = where(a, b)
    ours, theirs = columns(file, a), columns(file, b)
    for name in ours.keys() | theirs.keys():
        if name.rsplit(" ", 1)[-1] in VERDICTS:
            here, there = ours.get(name, ()), theirs.get(name, ())
            if len(here) != len(there):
                found.changed.append(f"{file} {name}: {len(here)} and {len(there)} verdicts")
            pairs = list(zip(here, there, strict=False))
            found.verdicts += len(pairs)
            found.changed += [f"{file} {name}: {one} and {other}" for one, other in pairs if one != other]
    for name in sorted(ours.keys() & theirs.keys()):
        one = Apart.between(file, ours[name], theirs[name], floors(ours, name))
        found.apart[name] = found.apart[name].with_(one) if name in found.apart else one


def without_exempt(file: str, content: bytes) -> bytes:
    """The content without its exempt columns and keys."""
    if file.endswith(".csv"):
        rows = list(csv.reader(io.StringIO(content.decode())))
        kept = [i for i, name in enumerate(rows[0]) if name not in EXEMPT_NAMES] if rows else []
        if rows and len(kept) < len(rows[0]):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([row[i] for i in kept] for row in rows)
            return text.getvalue().encode()
    elif file.endswith(".json"):
        value = json.loads(content)
        if (kept := _kept(value)) != value:
            return json.dumps(kept, indent=1).encode()
    return content


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return [_kept(one) for one in value]
    if isinstance(value, dict):
        keys = (key for key in value if key not in EXEMPT_NAMES and not key.startswith(TIMED))
        return {key: _kept(value[key]) for key in keys}
    return value


def where(a: bytes, b: bytes) -> str:
    """The first place at which two contents differ: a line with both texts, or the number of a byte."""
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    try:
        ours, theirs = (content.decode().split("\n") for content in (a, b))
    except UnicodeDecodeError:
        return f"byte {first + 1} of {len(a)} and {len(b)}"
    number = a[:first].count(b"\n")
    shown = [lines[number][:80] if number < len(lines) else "" for lines in (ours, theirs)]
    return f"line {number + 1}: {shown[0]!r} and {shown[1]!r}"


def told(found: Comparison, lines: int = 20) -> str:
    """The comparison in words."""
    compared = len(found.identical) + len(found.different)
    said = [
        f"{compared} files compared: {len(found.identical)} identical, {len(found.different)} different; "
        f"{len(found.exempt)} exempt",
        *(f"missing: {name}" for name in found.missing[:lines]),
        *(f"different: {name}, {place}" for name, place in list(found.different.items())[:lines]),
        f"{found.verdicts} verdicts: {len(found.changed) or 'none'} changed",
        *(f"verdict: {one}" for one in found.changed[:lines]),
    ]
    if beyond := [name for name, one in found.apart.items() if not one.within(name)]:
        said.append(f"beyond what rounding explains: {', '.join(beyond)}")
    moved = {name: one for name, one in found.apart.items() if one.cells}
    for name, one in sorted(moved.items(), key=lambda item: item[1], reverse=True)[: 2 * lines]:
        share = f"{one.cells} of {one.of} cells differ"
        said.append(
            f"{name}: {share}, by {one.relative:.2g} relative, {one.absolute:.2g} absolute at most ({one.file})"
        )
    return "\n".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--tier", default="smoke")
    parser.add_argument("--same", action="store_true", help="fail where any compared file differs")
    arguments = parser.parse_args()
    try:
        found = compare(arguments.a, arguments.b, arguments.tier)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(told(found))
    sys.exit(not found.agree or (arguments.same and bool(found.different)))


if __name__ == "__main__":
    main()
