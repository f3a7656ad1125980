"""Load and use the report of 5,000 runs and 5,000 ledger entries in a browser: `python benchmarks/report.py`.

Writes benchmarks/results/report.csv: seconds of each action from its event to the frame that shows its result, the
median and the worst of several pages, and the page's size. Runs and entries are made up, with settings of the smoke
tier and a history of 20 epochs and six columns each. Needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from spectral_ssl.config import load_tier  # noqa: E402
from spectral_ssl.papers import PAPERS  # noqa: E402
from spectral_ssl.papers.evidence import COLUMNS, VERDICTS  # noqa: E402
from spectral_ssl.provenance import write_json, write_text  # noqa: E402
from spectral_ssl.stages import Context, report  # noqa: E402

TIMED = """async action => {
    const start = performance.now();
    action();
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    return (performance.now() - start) / 1000;
}"""
"""Runs an action; seconds until the frame after the one that it changes begins, which is when that is painted."""

ACTIONS = {
    "search the ledger": "set('f-q', 'input', 'rule 77')",
    "filter the ledger by verdict": "set('f-verdict', 'change', 'differs')",
    "filter it by paper": "set('f-paper', 'change', 'garrido2023')",
    "clear the filters": "document.getElementById('clear').click()",
    "sort by measured value": "document.querySelector('th[data-column=measured] button').click()",
    "sort by rule": "document.querySelector('th[data-column=rule] button').click()",
    "open an entry": "document.querySelector('#entries tbody th button').click()",
    "lay out all entries": "document.getElementById('all').click()",
    "choose every run": "set('c-experiment', 'change', '')",
    "choose a method": "set('c-method', 'change', document.getElementById('c-method').options[2].value)",
    "choose a column": "set('c-column', 'change', 'rank')",
    "logarithmic": "document.getElementById('c-log').click()",
    "open the list of runs": "document.getElementById('run-list').open = true",
    "open a run": "document.querySelector('#run-list .run').open = true",
    "draw one run": "document.querySelector('#run-list .run .do').click()",
}
"""What a reader does, in this order; `set` gives a control its value and its event."""

SET = """(id, kind, value) => {
    const control = document.getElementById(id);
    control.value = value;
    if (control.value !== value) throw new Error(id + ' has no choice ' + value);
    control.dispatchEvent(new Event(kind, { bubbles: true }));
}"""


def large(root: Path, count: int) -> Path:
    """Results of the smoke tier with `count` runs and `count` ledger entries, and the page made of them."""
    context = Context(load_tier("smoke", folder=ROOT / "config"), root, quiet=True)
    planned = list(context.manifest.runs.items())
    generator = np.random.default_rng(0)
    columns = ("loss", "online_accuracy", "rank", "variance", "covariance", "seconds")
    values = np.round(generator.random((50, 20, len(columns))), 4)
    frames = [pd.DataFrame(one, columns=list(columns), index=range(1, 21)) for one in values]
    histories = [frame.to_csv(index_label="epoch") for frame in frames]
    for index in range(count):
        name, settings = planned[index % len(planned)]
        turn = index // len(planned)
        folder = context.layout.runs / (f"{name}-{turn}" if turn else name)
        write_text(folder / "history.csv", histories[index % len(histories)])
        write_json(folder / "status.json", {"run": folder.name, "status": "finished"})
        own = settings.model_dump() | {"seed": index, "embedding_dim": 8 * (turn + 1)}
        write_json(folder / "provenance.json", {"settings": own, "commit": "0" * 40, "device": "cpu"})
    for place, paper in enumerate(PAPERS):
        rows = [entry(paper, index) for index in range(place, count, len(PAPERS))]
        write_text(
            context.layout.tables(paper) / "ledger.csv",
            pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False),
        )
    report.run(context)
    return root / "results" / "report.html"


def entry(paper: str, index: int) -> dict[str, Any]:
    """A ledger row."""
    found = dict.fromkeys(COLUMNS, "") | {"paper": paper, "entry": f"table{index % 7}/entry-{index}"}
    found |= {"kind": "order", "printed": f"A beats B by {index}.", "measured": (index * 7919) % 5003 / 10}
    found |= {"rule": f"rule {index % 211}: the interval lies above zero", "family": f"family {index % 40}"}
    return found | {"tier": "smoke", "verdict": VERDICTS[index % len(VERDICTS)], "seeds": 4, "spread": 0.1}


def timings(tab: Any, page: Path, actions: Mapping[str, str] = ACTIONS) -> dict[str, float]:
    """Seconds of loading the page and of every action, in a tab of playwright's."""
    begin = time.perf_counter()
    tab.goto(page.as_uri())
    tab.evaluate(TIMED.replace("action();", ""))
    found = {"load": time.perf_counter() - begin}
    for name, code in actions.items():
        found[name] = tab.evaluate(f"() => {{ const set = {SET}; return ({TIMED})(() => {{ {code} }}); }}")
    return found


def tabs(count: int) -> Iterator[Any]:
    """Tabs of a Chromium, each fresh."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        path = shutil.which("chromium") or shutil.which("google-chrome") or running.chromium.executable_path
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(count):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.set_default_timeout(120_000)
            yield tab
            tab.close()
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="runs, and entries of the ledger")
    parser.add_argument("--pages", type=int, default=5, help="how often the page is loaded and used")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "report.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        page = large(Path(folder), options.count)
        made = time.perf_counter() - begin
        size = page.stat().st_size / 2**20
        measured = [timings(tab, page) for tab in tabs(options.pages)]
    rows = [(name, "s", [found[name] for found in measured]) for name in measured[0]]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["action", "runs", "entries", "median", "worst", "unit"])
        writer.writerow(
            ["the page's size", options.count, options.count, f"{size:.1f}", f"{size:.1f}", "MiB"]
        )
        for name, unit, seconds in rows:
            both = (f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}")
            writer.writerow([name, options.count, options.count, *both, unit])
    print(options.output.read_text(encoding="utf-8"), f"results and page made in {made:.1f} s", sep="\n")


if __name__ == "__main__":
    main()
