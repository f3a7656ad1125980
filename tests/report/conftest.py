"""A small tier's results written by hand, the page made of them, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.image
import nbformat
import numpy as np
import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.jobs import products
from spectral_ssl.layout import Layout
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.evidence import COLUMNS
from spectral_ssl.provenance import write_json, write_text
from spectral_ssl.stages import Context, report
from spectral_ssl.stages.notebook import as_html

CONFIG = Path(__file__).parents[2] / "config"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ALLOWED = ("file:", "data:", "blob:", "about:")
TESTED = {
    "family": "table1",
    "p": "0.004",
    "p_holm": "0.012",
    "spread": "0.81",
    "ci_low": "1.5",
    "ci_high": "2.5",
}


@dataclass
class Site:
    """A results folder of the smoke tier and the page that the stage `report` makes of it."""

    root: Path

    @cached_property
    def context(self) -> Context:
        return Context(load_tier("smoke", folder=CONFIG), self.root, quiet=True)

    @property
    def layout(self) -> Layout:
        return self.context.layout

    @property
    def page(self) -> Path:
        return self.root / "results" / "report.html"

    def build(self) -> str:
        assert report.run(self.context) == 0
        return self.page.read_text(encoding="utf-8")

    def ledger(self, rows: list[dict[str, Any]], layout: Layout | None = None) -> None:
        """Write the ledgers: a row where its paper is, what it lacks empty."""
        layout = layout or self.layout
        columns = list(dict.fromkeys([*COLUMNS, *TESTED]))
        whole = [dict.fromkeys(columns, "") | {"tier": layout.tier} | row for row in rows]
        for paper in PAPERS:
            own = pd.DataFrame([row for row in whole if row["paper"] == paper], columns=columns)
            write_text(layout.tables(paper) / "ledger.csv", own.to_csv(index=False))

    def run(self, name: str, history: pd.DataFrame, status: str = "finished", **settings: Any) -> None:
        folder = self.layout.runs / name
        write_json(folder / "status.json", {"run": name, "status": status})
        write_text(folder / "history.csv", history.to_csv(index=False))
        origin = {"commit": "abc123", "device": "cpu", "packages": {"torch": "2.11.0"}}
        origin |= {"written": "2001-01-01T00:00:00Z", "command": ["/home/somebody/x"]}
        write_json(folder / "provenance.json", {"settings": settings, **origin})

    def products(self, tables: str = "| a | b |\n|:--|:--|\n| 1 | 2 |\n") -> None:
        for paper in PAPERS:
            for name in products(paper, "tables"):
                for ending in ("md", "csv", "tex"):
                    write_text(self.layout.tables(paper) / f"{name}.{ending}", f"**A caption**\n\n{tables}")
            for name in products(paper, "figures"):
                picture(self.layout.figures(paper) / f"{name}.png")
                write_text(self.layout.figures(paper) / f"{name}.svg", "<svg/>")
            cell = nbformat.v4.new_markdown_cell(f"# Read me, {paper}\n\n$x^2$")
            notebook = nbformat.v4.new_notebook(cells=[cell])
            write_text(self.layout.report(paper).with_suffix(".html"), as_html(notebook, paper))
        for name in ("digits-digits_affine", "factors-factors"):
            picture(self.layout.results / "views" / name / "contact_sheet.png")

    def statements(self) -> None:
        for paper in PAPERS:
            for name in paper_statements(paper):
                write_json(self.layout.theorem(paper, name), check(paper, name))


def check(paper: str, name: str) -> dict[str, Any]:
    """A theorem check's file."""
    found = {"paper": paper, "statement": name, "kind": "identity", "measured": 1e-16, "expected": 0.0}
    found |= {"tolerance": 1e-9, "instances": 3, "verdict": "holds", "control_verdict": "fails"}
    text = {"title": "A statement", "control": "dropped", "statement": "A proof."}
    return found | {"seconds": 0.1, "text": text, "detail": {"control: wrong": 0.5}}


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.image.imsave(path, np.full((60, 200, 3), 0.5))


def history(epochs: int, seed: int = 0) -> pd.DataFrame:
    """A history whose loss is 10 / epoch + seed."""
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame({"epoch": epoch, "loss": 10 / epoch + seed, "online_accuracy": 1 - 0.5 / epoch})


ENTRIES: list[dict[str, Any]] = [
    {
        "paper": "haochen2021",
        "entry": "table1/order",
        "kind": "order",
        "printed": "A beats B.",
        "measured": "2.004",
    }
    | TESTED
    | {"verdict": "holds", "seeds": "4", "margin": "0.5", "rule": "a rule", "protocol": "analogue: digits"},
    {
        "paper": "haochen2021",
        "entry": "table1/few",
        "kind": "order",
        "printed": "B beats C.",
        "measured": "-10",
    }
    | {"verdict": "inconclusive", "seeds": "4", "seeds_needed": "12", "family": "table1"},
    {
        "paper": "haochen2021",
        "entry": "figure1",
        "kind": "figure",
        "printed": "A figure.",
        "verdict": "holds",
    },
    {
        "paper": "garrido2023",
        "entry": "statement/welch",
        "kind": "statement",
        "measured": "1e-16",
        "verdict": "holds",
    },
    {"paper": "garrido2023", "entry": "values/x", "kind": "value", "printed": "68.13", "measured": "9.5"}
    | {"verdict": "not run at this tier"},
    {
        "paper": "garrido2023",
        "entry": "marks/y",
        "kind": "mark",
        "measured": "1 times, cv 0.2",
        "verdict": "differs",
    },
    {"paper": "balestriero2022", "entry": "rank/z", "kind": "range", "measured": "100", "verdict": "differs"},
]


def filled(root: Path) -> Site:
    """Four runs that finished, one that diverged and is of other settings, and links for some entries."""
    made = Site(root)
    made.ledger(ENTRIES)
    made.products()
    made.statements()
    runs = list(made.context.manifest.runs.items())[:4]
    for index, (name, settings) in enumerate(runs):
        made.run(name, history(5, index), **settings.model_dump())
    broken = history(3).replace(5.0, np.nan)
    made.run(
        "digits-broken-00000000", broken, status="diverged", loss="mine", method="joint_embedding", seed=0
    )
    names = [name for name, _ in runs]
    none = {"table": None, "figure": None, "statements": [], "runs": [], "entries": []}
    haochen = {"table1/few": none | {"runs": names[2:3]}}
    haochen["table1/order"] = none | {
        "table": "table1",
        "figure": "table1",
        "runs": [*names[:2], "digits-gone"],
    }
    haochen["figure1"] = none | {"entries": ["table1/order", "no/such"]}
    write_json(made.layout.tables("haochen2021") / "sources.json", haochen)
    welch = {"statement/welch": none | {"statements": ["garrido2023/welch"]}}
    write_json(made.layout.tables("garrido2023") / "sources.json", welch)
    return made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Everything that a page can show, its page made; for tests that only look."""
    made = filled(tmp_path_factory.mktemp("site"))
    made.build()
    return made


@pytest.fixture
def site(tmp_path: Path, built: Site) -> Site:
    """The same in a folder of its own, for tests that change something."""
    shutil.copytree(built.root, tmp_path, dirs_exist_ok=True)
    return Site(tmp_path)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as running:
        found = next(filter(None, map(shutil.which, BROWSERS)), running.chromium.executable_path)
        if not Path(found).is_file():
            pytest.skip("found no Chromium in the search path nor one of playwright's own")
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A tab in which nothing may go wrong and from which no request may leave."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(8000)
    wrong: list[str] = []
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: asked.url.startswith(ALLOWED) or wrong.append(asked.url))
    yield opened
    opened.close()
    assert wrong == []
