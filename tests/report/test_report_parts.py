"""What the page holds, without a browser: thinned histories, links, captions, a policy that fits its script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spectral_ssl.papers import PAPERS, speed
from spectral_ssl.provenance import write_json, write_text
from spectral_ssl.report import entries, products, runs
from spectral_ssl.report.page import MEANING
from spectral_ssl.report.words import anchor, beside, number


def data(text: str, name: str) -> Any:
    """The JSON of one of the page's data elements."""
    return json.loads(
        re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)[0]
    )


def test_the_policy_allows_this_script_and_no_other(built: Any) -> None:
    text = built.page.read_text(encoding="utf-8")
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0])
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert "unsafe-inline" not in policy.split(";")[1]
    assert "unsafe-eval" not in policy


def test_the_page_is_small_and_has_no_date(built: Any, site: Any) -> None:
    text = built.page.read_text(encoding="utf-8")
    assert "2001-01-01" not in text
    assert "somebody" not in text
    assert site.build() == site.build()
    assert built.page.stat().st_size < 2_000_000


def test_every_verdict_has_a_meaning() -> None:
    assert tuple(MEANING) == entries.VERDICTS


@pytest.mark.parametrize("lost", ["tables", "figures", "reports", "views", "runs"])
def test_a_tier_without_a_part_still_has_its_page(site: Any, lost: str) -> None:
    names = {
        "tables": site.layout.tables("haochen2021").glob("*.md"),
        "figures": site.layout.figures("haochen2021").glob("*"),
        "reports": site.layout.results.glob("reports/*"),
        "views": site.layout.results.glob("views/*/*"),
        "runs": site.layout.runs.glob("*/*"),
    }
    for path in list(names[lost]):
        path.unlink()
    text = site.build()
    said = {
        "tables": "Not made at this tier",
        "figures": "Not drawn at this tier",
        "reports": "No notebook at this tier",
        "views": "No contact sheet at this tier",
        "runs": "No run of this tier is here",
    }
    assert [name for name, words in said.items() if words in text] == [lost]
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    assert [href for href in re.findall(r'href="#([^"]*)"', text) if unescape(href) not in ids] == []


def test_without_sources_links_are_left_out(site: Any) -> None:
    (site.layout.tables("haochen2021") / "sources.json").unlink()
    found = data(site.build(), "ledger-data")["links"]
    assert list(found) == ["entry-smoke-garrido2023-statement/welch"]
    assert found["entry-smoke-garrido2023-statement/welch"]["statements"] == [
        ["garrido2023/welch", "#garrido2023-welch"]
    ]


def test_another_tiers_links_lead_to_its_files(site: Any) -> None:
    other = replace(site.layout, tier="gpu", base="reference")
    site.ledger([{"paper": "haochen2021", "entry": "a", "verdict": "holds"}], other)
    at = {"table": "table1", "figure": "table1", "statements": [], "runs": ["there", "not"], "entries": []}
    write_json(other.tables("haochen2021") / "sources.json", {"a": at})
    write_text(other.tables("haochen2021") / "table1.md", "x")
    write_json(other.runs / "there" / "provenance.json", {})
    found = data(site.build(), "ledger-data")["links"]["entry-gpu-reference-haochen2021-a"]
    assert found["table"][0][1] == "../reference/gpu/tables/haochen2021/table1.md"
    assert found["figure"][0][1] == ""
    assert found["runs"] == [["there", "../reference/gpu/runs/there/provenance.json"], ["not", ""]]


def test_long_histories_are_thinned_and_keep_their_ends(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"epoch": range(1, 801), "loss": [1 / epoch for epoch in range(1, 801)]})
    site.run("digits-long-00000000", frame)
    monkeypatch.setattr(runs, "BUDGET", 0)
    found = {run["id"]: run for run in runs.runs(site.context, site.page)}
    long = found.pop("digits-long-00000000")
    assert (long["epochs"], long["thinned"]) == (800, True)
    epochs = long["history"]["epoch"]
    assert (len(epochs), epochs[0], epochs[-1]) == (runs.LEAST, 1, 800)
    assert long["history"]["loss"][-1] == 0.00125
    assert not any(run["thinned"] for run in found.values())
    monkeypatch.setattr(runs, "BUDGET", 10**6)
    assert not any(run["thinned"] for run in runs.runs(site.context, site.page))


def test_runs_stand_in_the_manifests_order_then_what_is_left(site: Any) -> None:
    found = runs.runs(site.context, site.page)
    planned = list(site.context.manifest.runs)[:4]
    assert [run["id"] for run in found] == [*planned, "digits-broken-00000000"]
    assert found[-1]["asked"] == []
    assert found[-1]["history"]["loss"] == [10, None, 3.333]
    assert found[0]["asked"]
    assert all(name.split("/")[0] in PAPERS for name in runs.experiments(found))


def test_an_unfinished_run_folder_is_no_run(site: Any) -> None:
    (site.layout.runs / "digits-half").mkdir()
    assert "digits-half" not in {run["id"] for run in runs.runs(site.context, site.page)}


def test_rows_have_ids_of_their_own_and_commands() -> None:
    row = {"tier": "a b", "paper": "p", "entry": "x/1", "seeds_needed": "12.0"}
    first, second = entries.rows(pd.DataFrame([row, row | {"entry": "x/1"}]), {"a b": "a b"})
    assert first["id"] == "entry-a-b-p-x/1"
    assert second["id"] == "entry-a-b-p-x/1--1"
    assert first["command"] == "snakemake --config 'tier=a b' seeds=12"
    assert first["p_holm"] == ""


def test_cells_of_a_markdown_table(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("**Caption | with a bar**\n\n| a | b |\n|:--|--:|\n| x \\| y |  |\n", encoding="utf-8")
    assert products.cells(path) == [["a", "b"], ["x | y", ""]]
    assert products.cells(tmp_path / "none.md") == []


def test_numbers_and_addresses(tmp_path: Path) -> None:
    assert [number(value) for value in ("", None, "12.0", 0.123456, "1 times", 1e7)] == [
        "", "", "12", "0.1235", "1 times", "1e+07",
    ]  # fmt: skip
    assert anchor("entry", 'a"b', "c d/é") == "entry-a-b-c-d/-"
    (tmp_path / "a b#").mkdir()
    (tmp_path / "a b#" / "x.csv").touch()
    assert beside(tmp_path / "a b#" / "x.csv", tmp_path / "results" / "report.html") == "../a%20b%23/x.csv"
    assert beside(tmp_path / "none", tmp_path / "report.html") == ""


def test_an_entry_stands_beside_its_paper_and_the_engines_aims_are_counted(site: Any) -> None:
    text = site.build()
    for paper in PAPERS:
        assert f">{escape(PAPERS[paper])}</small>" in text
    count = len(speed.speed())
    assert count > 1
    assert f"Tiers in the ledger: smoke, and {count} aims of the engine's speed." in text


def test_no_aims_are_no_words(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "speed", lambda: pd.DataFrame(columns=["paper"]))
    assert "Tiers in the ledger: smoke. Version" in " ".join(site.build().split())
