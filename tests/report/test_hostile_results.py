"""Nothing in results or settings becomes markup, script, a request or a command of its own."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from markupsafe import escape

from spectral_ssl.config import load_tier
from spectral_ssl.papers.evidence import COLUMNS
from spectral_ssl.provenance import read_json, write_json, write_text
from spectral_ssl.stages.notebook import as_html

CONFIG = Path(__file__).parents[2] / "config"
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "\"><img src=x onerror='window.hacked = 1'>",
    "'); window.hacked = 1; ('",
    "<!--<script>",
    "{{ 7 * 7 }} $& \\u2028 \u2028 &lt;b&gt; 50 %",
)
EVIL = "".join(HOSTILE)
DESCRIPTION = "".join(HOSTILE[:4])  # the last has an end of a line, which a tier's description cannot


@pytest.fixture
def hostile(site: Any) -> Any:
    """The site with such names wherever a name can stand."""
    entry = dict.fromkeys(set(COLUMNS) - {"paper", "tier"}, EVIL) | {"paper": "haochen2021", "verdict": EVIL}
    site.ledger(
        [entry, entry | {"verdict": "differs"}, {"paper": "garrido2023", "entry": "x", "verdict": "holds"}]
    )
    other = replace(site.layout, tier='it\'s "<b>"; rm -rf')
    site.ledger([entry | {"seeds_needed": "9", "paper": "garrido2023"}], other)
    site.products(f"| {EVIL} | b |\n|:--|:--|\n| {EVIL} | 2 |\n")
    write_text(site.layout.report("haochen2021").with_suffix(".html"), f"<h1>Shown</h1>{EVIL}<p onclick='1'>")
    frame = pd.DataFrame({"epoch": [1, 2], EVIL: [3.0, 4.0], "loss": [float("inf"), 1e-3]})
    settings = {"dataset": EVIL, "loss": EVIL, "method": "joint_embedding", EVIL: EVIL, "seed": EVIL}
    site.run("x<y>&'\"", frame, status=EVIL, **settings)
    runs = {
        "table": EVIL,
        "figure": EVIL,
        "statements": [f"{EVIL}/{EVIL}"],
        "runs": ["x<y>&'\"", EVIL],
        "entries": [EVIL],
    }
    write_json(site.layout.tables("haochen2021") / "sources.json", {EVIL: runs})
    path = site.layout.theorem("garrido2023", "welch")
    words = {"title": EVIL, "control": EVIL, "statement": EVIL}
    write_json(path, read_json(path) | {"detail": {EVIL: EVIL}, "text": words})
    tier = load_tier("smoke", [f"description={json.dumps(DESCRIPTION)}"], CONFIG)
    cells = tuple(replace(cell, experiment=EVIL) for cell in site.context.manifest.cells)
    manifest = replace(site.context.manifest, cells=cells)
    site.__dict__["context"] = context = replace(site.context, tier=tier)
    context.__dict__["manifest"] = manifest
    site.build()
    return site


class Markup(HTMLParser):
    """What a page opens: scripts that run, pictures, handlers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts = 0
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.scripts += tag == "script" and "type" not in named
        self.found += [f"{tag} {name}" for name in named if name.startswith("on")]
        if tag == "img" and not (named.get("src") or "").startswith("data:"):
            self.found.append(f"{tag} {named.get('src')}")


def test_no_name_is_markup_in_the_file(hostile: Any) -> None:
    text = hostile.page.read_text(encoding="utf-8")
    page = Markup(text)
    assert (page.scripts, page.found) == (1, [])
    for piece in HOSTILE[:2]:
        assert piece not in text
    assert "{{ 7 * 7 }}" in text  # shown, and not worked out
    assert f"Tier <b>smoke</b>: {escape(DESCRIPTION)};" in text


def test_no_name_runs_or_asks_in_a_browser(tab: Any, hostile: Any) -> None:
    tab.goto(hostile.page.as_uri())
    tab.evaluate("document.querySelectorAll('#entries tbody th button').forEach(one => one.click())")
    tab.select_option("#c-experiment", "")
    for place in ("#c-method", "#c-column"):
        values = tab.eval_on_selector_all(f"{place} option", "found => found.map(one => one.value)")
        assert any("hacked" in value for value in values)
        tab.select_option(place, next(value for value in values if "hacked" in value))
    assert tab.locator("#curves path.line").count() == 1
    tab.evaluate("document.querySelectorAll('details:not(.notebook)').forEach(one => { one.open = true; })")
    tab.wait_for_timeout(100)
    tab.fill("#f-q", EVIL[:40])
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("script:not([type])").count() == 1
    assert HOSTILE[1] in tab.locator(".detail").first.inner_text()
    assert DESCRIPTION in tab.locator("p.lead").inner_text()
    assert EVIL[:20] in tab.locator("#c-experiment").inner_text()


def test_a_notebook_that_is_hostile_runs_nothing(chromium: Any, hostile: Any) -> None:
    """Scripts that a page of another origin has are refused, which a browser tells; nothing is asked of anyone."""
    opened = chromium.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(hostile.page.as_uri())
    opened.locator(".notebook summary").first.click()
    inside = opened.frame_locator(".notebook[open] iframe")
    assert inside.locator("h1").text_content() == "Shown"
    assert inside.locator("h1").evaluate("() => window.hacked") is None
    assert opened.evaluate("window.hacked") is None
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
    opened.close()


LIVELY = (
    "<svg onload='window.hacked = 1'></svg><img src='https://example.org/x.png' onerror='window.hacked = 1'>",
    "<a id='go' href='javascript:window.hacked=1'>go</a><form action='https://example.org'><button>b</button></form>",
    "<object data='https://example.org/x'></object><embed src='https://example.org/x'>",
    "<meta http-equiv='refresh' content='0;url=https://example.org/'><base href='https://example.org/'>",
    "<me<base>ta http-equiv='refresh' content='0;url=https://example.org/'>",
    "<style>@import url('https://example.org/x.css'); body { background: url(https://example.org/b.png) }</style>",
    "<meta http-equiv='refresh' content='0;url=https://example.org/' ",  # which the page's own end would close
)


def test_a_notebooks_page_by_itself_runs_nothing_and_asks_nobody(chromium: Any, tmp_path: Path) -> None:
    """Of results that somebody else gave: what a cell of the notebook shows of them is markup of theirs."""
    shown = [nbformat.v4.new_output("display_data", {"text/html": text}) for text in LIVELY]
    shown += [nbformat.v4.new_output("display_data", {"text/markdown": text}) for text in (*HOSTILE, *LIVELY)]
    cells = [nbformat.v4.new_markdown_cell("# Shown"), nbformat.v4.new_code_cell("1", outputs=shown)]
    page = tmp_path / "page.html"
    write_text(page, as_html(nbformat.v4.new_notebook(cells=cells), EVIL))
    opened = chromium.new_page()
    asked: list[str] = []
    opened.on("requestfinished", lambda request: asked.append(request.url))
    opened.on("requestfailed", lambda request: asked.append(f"{request.url} {request.failure}"))
    opened.goto(page.as_uri())
    opened.wait_for_timeout(300)
    opened.locator("#go").first.click()
    opened.wait_for_timeout(100)
    assert opened.url == page.as_uri()
    assert opened.locator("h1").text_content().startswith("Shown")
    assert opened.evaluate("window.hacked") is None
    refused = ("file:", "data:", "about:")
    assert [url for url in asked if not url.startswith(refused) and "csp" not in url.lower()] == []
    opened.close()


def test_a_command_is_one_word_where_a_tiers_name_is_not(hostile: Any) -> None:
    text = hostile.page.read_text(encoding="utf-8")
    commands = {unescape(found) for found in re.findall(r"<code>(snakemake[^<]*)</code>", text)}
    (words,) = [words for words in map(shlex.split, commands) if words[-1] == "seeds=9"]
    assert words == ["snakemake", "--config", 'tier=it\'s "<b>"; rm -rf', "seeds=9"]
    assert all(len(shlex.split(command)) == 4 for command in commands)
    assert Path(hostile.root / "results" / 'it\'s "<b>"; rm -rf').is_dir()
