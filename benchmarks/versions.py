"""One tier under several interpreters and libraries: `python benchmarks/versions.py REFERENCE OTHER ...`.

Each is a checkout of one commit in which the tier was run; what it was run with is read from its provenance. Writes
results/versions.csv: for each other checkout a row a part of the results, with the files that are the reference's
bytes, the verdicts that changed, and how far the numbers of one column lie apart (`NUMBERS`; benchmarks/columns.py
says how that is measured). Exits 1 if a verdict changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from columns import Apart
from compare import Comparison, compare

MACHINE = ("python", "torch", "numpy", "scipy", "threads")
# What stands for a part: embeddings of test images, the last loss above its optimum, what a verdict rests on.
NUMBERS = {
    "data": "",
    "views": "",
    "runs": "runs/*/features.npz embeddings",
    "networks": "networks/*/ends.csv gap",
    "theorems": "theorems/*/*.json measured",
    "tables": "tables/*/ledger.csv measured",
    "figures": "",
}


def machine(root: Path, tier: str) -> dict[str, Any]:
    """The versions and the threads that the runs of a checkout were made with; one of each, else ValueError."""
    found = []
    for path in sorted(root.glob(f"results/{tier}/runs/*/provenance.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        all_ = {**told["packages"], "python": told["python"], "threads": told["threads"]}
        one = {name: all_[name] for name in MACHINE}
        found += [one] if one not in found else []
    if len(found) != 1:
        raise ValueError(
            f"{root} has runs of {len(found)} environments at tier {tier}: expected one; run it anew"
        )
    return found[0]


def part(file: str) -> str:
    """The part of the results that a file belongs to; "merged" for what covers all tiers."""
    names = file.split("/")
    return "figures" if names[0] == "figures" else names[2] if len(names) > 2 else "merged"


def rows(found: Comparison, made: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a part: what a comparison with the reference found there."""
    written = []
    for name, column in NUMBERS.items():
        identical = [file for file in found.identical if part(file) == name]
        different = [file for file in found.different if part(file) == name]
        missing = [file for file in found.missing if part(file) == name]
        apart = found.apart.get(column, Apart())
        written.append(
            {
                **made,
                "part": name,
                "files": len(identical) + len(different) + len(missing),
                "identical": len(identical),
                "missing": len(missing),
                "verdicts_changed": len([one for one in found.changed if part(one) == name]),
                "number": column,
                "cells_differ": apart.cells,
                "cells": apart.of,
                "largest_relative": f"{apart.relative:.2g}",
                "largest_absolute": f"{apart.absolute:.2g}",
            }
        )
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    parser.add_argument("--tier", default="smoke")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "versions.csv")
    arguments = parser.parse_args()
    written, changed = [], 0
    try:
        base = machine(arguments.reference, arguments.tier)
        reference = {f"reference_{name}": value for name, value in base.items()}
        for other in arguments.others:
            found = compare(arguments.reference, other, arguments.tier)
            changed += len(found.changed)
            written += rows(found, reference | machine(other, arguments.tier))
    except ValueError as error:
        sys.exit(f"error: {error}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(written[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(written)
    print(arguments.out.read_text(encoding="utf-8"), end="")
    sys.exit(changed > 0)


if __name__ == "__main__":
    main()
