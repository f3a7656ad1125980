"""Tables, figures, notebooks and contact sheets on the page, with the files beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spectral_ssl.jobs import products
from spectral_ssl.layout import FIGURE_FORMATS, TABLE_FORMATS
from spectral_ssl.papers import PAPERS
from spectral_ssl.report.inputs import text
from spectral_ssl.report.words import anchor, beside, picture
from spectral_ssl.stages import Context

CELL = re.compile(r"(?<!\\)\|")


def section(context: Context, paper: str, page: Path, prefix: str = "") -> dict[str, Any]:
    """A paper's tables, figures and notebook; what this tier has not made is empty. Ids begin with `prefix`."""
    layout = context.layout
    stem = layout.report(paper)
    return {
        "paper": paper,
        "id": anchor(prefix, paper),
        "title": PAPERS[paper],
        "tables": [
            {
                **_named((prefix, "table", paper, name), words, context),
                "rows": cells(layout.tables(paper) / f"{name}.md"),
                "files": _files(layout.tables(paper), name, TABLE_FORMATS, page),
            }
            for name, words in products(paper, "tables").items()
        ],
        "figures": [
            {
                **_named((prefix, "figure", paper, name), words, context),
                "source": picture(layout.figures(paper) / f"{name}.png"),
                "files": _files(layout.figures(paper), name, FIGURE_FORMATS, page),
            }
            for name, words in products(paper, "figures").items()
        ],
        "notebook": text(stem.with_suffix(".html")),
        "notebook_files": _files(stem.parent, stem.name, ("html", "ipynb"), page),
    }


def sheets(context: Context) -> list[dict[str, str]]:
    """A contact sheet for every data set and augmentation of which the tier has views, the main one first."""
    main = context.layout.views(context.tier.data.slug, context.tier.training.augmentation)
    folders = sorted(path.parent for path in main.parent.glob("*/contact_sheet.png"))
    return [
        {
            "id": anchor("views", folder.name),
            "name": folder.name.replace("-", " under ", 1) if folder != main else _views_of(context),
            "source": picture(folder / "contact_sheet.png"),
        }
        for folder in sorted(folders, key=lambda folder: folder != main)
    ]


def cells(path: Path) -> list[list[str]]:
    """The cells of a Markdown table, header first; nothing where there is no file or no table in it."""
    lines = [line for line in text(path).splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("\\|", "|") for cell in CELL.split(line.rstrip())[1:-1]] for line in lines]
    return [*rows[:1], *rows[2:]]


def _views_of(context: Context) -> str:
    return f"{context.tier.data.slug} under {context.tier.training.augmentation}"


def _named(ids: tuple[str, ...], words: dict[str, str], context: Context) -> dict[str, str]:
    """A product's id, title and caption, which says what it was measured on."""
    data = words.get("data", context.tier.description)
    measured = f"Measured on {data} (tier {context.tier.name})."
    return {
        "id": anchor(*ids),
        "title": words["title"],
        "caption": f"{words['caption']} {measured}",
    }


def _files(folder: Path, name: str, endings: tuple[str, ...], page: Path) -> list[list[str]]:
    return [[ending, at] for ending in endings if (at := beside(folder / f"{name}.{ending}", page))]
