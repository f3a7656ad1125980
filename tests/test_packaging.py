"""`make` lists its targets; the citation names the papers; the picture is the workflow's."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spectral_ssl.papers import PAPERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ARXIV = {"haochen2021": "2106.04156", "balestriero2022": "2205.11508", "garrido2023": "2206.02574"}


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", text, flags=re.M))


def test_make_lists_every_target():
    shown = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    assert make_targets(MAKEFILE) == set(re.findall(r"^  (\S+) +\S", shown, flags=re.M))


def test_citation_names_the_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    identifiers = [entry["identifiers"][0]["value"] for entry in citation["references"]]
    assert set(ARXIV) == set(PAPERS)
    assert sorted(identifiers) == sorted(f"arXiv:{number}" for number in ARXIV.values())
    assert all(entry["authors"] and entry["title"] and entry["year"] for entry in citation["references"])
    for entry, number in zip(citation["references"], ("2106.04156", "2205.11508", "2206.02574"), strict=True):
        assert f"[{entry['title']}](https://arxiv.org/abs/{number})" in README


def test_continuous_integration_can_be_run():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_picture_shows_the_workflow():
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--quiet",
        "all",
        "--rulegraph",
        "dot",
        "--config",
        "tier=smoke",
    ]
    graph = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stages = runpy.run_path(str(ROOT / "docs" / "stages.py"))
    picture = (ROOT / "docs" / "img" / "rulegraph.svg").read_text(encoding="utf-8")
    drawn = set(re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", picture))
    assert drawn == stages["stages"](graph)
    assert set(stages["STAGES"]) <= set(re.findall(r"<title>(\w+)</title>", picture))


def test_a_graph_of_other_stages_is_refused():
    stages = runpy.run_path(str(ROOT / "docs" / "stages.py"))["stages"]
    with pytest.raises(SystemExit, match="error: found the stages data, other, expected data, views"):
        stages('\t0[label = "data"];\n\t1[label = "other_paper"];\n\t0 -> 1\n')
