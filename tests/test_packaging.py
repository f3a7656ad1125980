"""What the README promises exists and runs; the citation names the papers; the picture is the workflow's."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spectral_ssl.__main__ import STAGES, parser
from spectral_ssl.papers import PAPERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ARXIV = {"haochen2021": "2106.04156", "balestriero2022": "2205.11508", "garrido2023": "2206.02574"}
WRITTEN = ("results/", "figures/")  # by the workflow


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands() -> list[str]:
    """The README's shell lines and the code inside its sentences."""
    prose = re.sub(r"^```.*?^```", "", README, flags=re.M | re.S)
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"`([^`\n]+)`", prose)


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", text, flags=re.M))


def named_targets(lines: list[str]) -> set[str]:
    return {match[1] for line in lines if (match := re.match(r"make ([a-z-]+)", line))}


def named_paths(lines: list[str]) -> set[str]:
    words = {word.split("=")[-1] for line in lines for word in re.split(r"[\s'()]", line)}
    kept = {
        word
        for word in words
        if re.fullmatch(r"(src|tests|config|profiles|docs|rules|\.ci)/[\w./*-]+|[\w-]+\.(lock|yml|in)", word)
    }
    links = set(re.findall(r"\]\((?!https?://)([^)#]+)\)", README))
    return {path for path in kept | links if not path.startswith(WRITTEN)}


def missing(paths: set[str]) -> set[str]:
    return {path for path in paths if not list(ROOT.glob(path))}


def test_python_of_the_readme_runs():
    names: dict[str, object] = {}
    assert len(blocks("python")) == 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert abs(names["duality"].item()) < 1e-3 * names["sample_contrastive"](names["z1"]).item()
    assert names["terms"].total.item() == pytest.approx(
        sum(t.item() for t in names["terms"].values()), rel=1e-6
    )
    assert names["optimum"].embedding.shape == (60, 8)


def test_make_targets_of_the_readme_exist():
    named = named_targets(commands())
    assert {"reproduce", "test", "clean", "ci"} <= named
    assert named <= make_targets(MAKEFILE)
    assert not named_targets(["make coffee"]) <= make_targets(MAKEFILE)


def test_make_lists_every_target():
    shown = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    assert make_targets(MAKEFILE) == set(re.findall(r"^  (\S+) +\S", shown, flags=re.M))


def test_files_named_in_the_readme_exist():
    paths = named_paths(commands() + "".join(blocks("sh")).splitlines())
    assert {"docs/img/rulegraph.svg", "config/tier.schema.json", "LICENSE", "environment.yml"} <= paths
    assert missing(paths) == set()
    assert missing(named_paths(["edit config/absent.yaml"])) == {"config/absent.yaml"}


def test_stage_commands_of_the_readme_are_understood():
    found = [line.split() for line in commands() if line.startswith("python -m spectral_ssl")]
    assert len(found) > 5
    for words in found:
        assert parser().parse_args(words[3:]).stage in STAGES


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
