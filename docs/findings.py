"""What the laptop tier's ledger says, written into docs/findings.md and between two marks of the README.

`python docs/findings.py` after a laptop run, or `make docs`. `--ledger FILE` reads another one than
results/ledger.csv.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
TIERS = ("laptop", "engine")
VERDICTS = ("holds", "differs", "inconclusive", "not run at this tier", "underspecified")
# A kind of entry by what it is; a kind that is not here stands under its own name.
GROUPS = {
    "printed values": ("value",),
    "orders, samenesses, ranges, correlations": (
        *("order", "same", "noninferior", "different", "range", "correlation"),
        "underspecified",
    ),
    "marks in a table": ("mark",),
    "statements and arrows of the map": ("statement",),
    "figures and keypoints, by the worst of their parts": ("figure", "keypoint"),
    "speed of the engine on a GPU": ("speed",),
}
COMPARED = ("order", "same", "noninferior", "different")
# What bears on the choice of a loss: paper and entry.
CHOICE = (
    ("garrido2023", "tuned/vicreg-and-simclr-on-par"),
    ("garrido2023", "figure1/vicreg-and-simclr-on-par"),
    ("garrido2023", "figure1/vicreg-exp-and-vicreg-ctr-on-par"),
    ("garrido2023", "text/simclr-abs-on-par"),
    ("garrido2023", "figure1/wide-projector-rescues-small-dimension"),
    ("haochen2021", "table2/spectral-over-simclr"),
    ("haochen2021", "table2/simsiam-over-spectral"),
    ("haochen2021", "text/no-large-batches"),
    ("balestriero2022", "alignment/high-invariance-for-few-labels"),
    ("balestriero2022", "advice/simclr-for-few-labels"),
)
HEAD = """# What the laptop tier finds

Written by `make docs` from `results/ledger.csv`. Everything here is small: images of 8 and 16 pixels, an encoder of
three layers, seconds of training a run. The report has these entries with their runs, and all others.
"""


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in cells)


def counts(ledger: pd.DataFrame) -> str:
    """Verdicts by what kind of thing is judged."""
    group = {kind: name for name, kinds in GROUPS.items() for kind in kinds}
    names = ledger["kind"].map(lambda kind: group.get(kind, kind))
    order = [*(name for name in GROUPS if name in set(names)), *sorted(set(names) - set(GROUPS))]
    shown = pd.crosstab(names, ledger["verdict"]).reindex(index=order, columns=VERDICTS, fill_value=0)
    return table(
        ("entries", *VERDICTS), [(str(name), *map(str, row)) for name, *row in shown.itertuples(name=None)]
    )


def measured(row: pd.Series) -> str:
    """What was measured, with its interval; nothing for a statement, whose number is about the form that holds."""
    if row["kind"] == "statement":
        return ""
    try:
        value = f"{float(row['measured']):.3g}"
    except ValueError:
        return row["measured"]
    limits = [row["ci_low"], row["ci_high"]]
    return value + (f" [{float(limits[0]):.3g}, {float(limits[1]):.3g}]" if all(map(str, limits)) else "")


def seeds(row: pd.Series) -> str:
    """The number of seeds."""
    return str(row["seeds"]).removesuffix(".0")


def lines(ledger: pd.DataFrame) -> str:
    """A line an entry."""
    rows = [
        (
            f"`{row['paper']}` `{row['entry']}`",
            row["printed"],
            measured(row),
            seeds(row),
            row["verdict"],
        )
        for _, row in ledger.iterrows()
    ]
    return table(("entry", "printed or claimed", "measured, 95 % interval", "seeds", "verdict"), rows)


def document(ledger: pd.DataFrame) -> str:
    """docs/findings.md."""
    atoms = ~ledger["kind"].isin(("figure", "keypoint"))
    compared = ledger[ledger["kind"].isin(COMPARED) & ledger["verdict"].isin(("holds", "differs"))]
    open_ones = ledger[ledger["kind"].isin(COMPARED) & (ledger["verdict"] == "inconclusive")]
    sections = [
        HEAD + "\n## Verdicts\n\n" + counts(ledger),
        "## What differs\n\nWhat is printed or claimed is not what was found. Figures and keypoints that such an "
        "entry\ndecides are left out; the report has a statement's right form beside the printed one.\n\n"
        + lines(ledger[atoms & (ledger["verdict"] == "differs")]),
        "## Which comparisons are decided\n\nDifferences, in percentage points where they are accuracies.\n\n"
        + lines(compared),
        "## Which are not\n\n" + lines(open_ones),
    ]
    return "\n\n".join(sections) + "\n"


def choice(ledger: pd.DataFrame) -> str:
    """The entries that bear on the choice of a loss, a line each."""
    found = []
    for paper, entry in CHOICE:
        for _, row in ledger[(ledger["paper"] == paper) & (ledger["entry"] == entry)].iterrows():
            said = f"Measured {measured(row) or 'nothing'}, {seeds(row) or 0} seeds"
            found.append(f"- **{row['verdict']}**: {row['printed']} {said}: `{entry}`")
    return "\n".join(found)


def between(text: str, mark: str, inside: str) -> str:
    """A text with what stands between the marks `<!-- mark -->` and `<!-- /mark -->` replaced."""
    pattern = rf"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->)"
    changed, count = re.subn(pattern, lambda _: f"\n{inside}\n\n", text, flags=re.S)
    if count != 1:
        sys.exit(
            f"error: README.md has {count} places between the marks '{mark}' and '/{mark}', expected one"
        )
    return changed


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ledger", type=Path, default=ROOT / "results" / "ledger.csv")
    path = parser.parse_args().ledger
    if not path.is_file():
        sys.exit(f"error: {path} is not there; run `make reproduce` first")
    ledger = pd.read_csv(path, dtype=str, keep_default_na=False)
    ledger = ledger[ledger["tier"].isin(TIERS)]
    if "laptop" not in set(ledger["tier"]):
        sys.exit(f"error: {path} has no entry of the laptop tier; run `make reproduce` first")
    readme = ROOT / "README.md"
    text = between(readme.read_text(encoding="utf-8"), "verdicts", counts(ledger))
    readme.write_text(between(text, "choice", choice(ledger)), encoding="utf-8")
    (ROOT / "docs" / "findings.md").write_text(document(ledger), encoding="utf-8")


if __name__ == "__main__":
    main()
