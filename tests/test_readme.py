"""What the README and the pages beside it promise exists and runs: commands, targets, files, links, Python, lists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from snakemake.cli import get_argument_parser

from spectral_ssl.__main__ import STAGES, parser
from spectral_ssl.data.sources import dataset_names
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.papers.evidence import VERDICTS
from spectral_ssl.targets import Targets

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
README = TEXTS[Path("README.md")]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TIERS = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))
ARXIV = {"haochen2021": "2106.04156", "balestriero2022": "2205.11508", "garrido2023": "2206.02574"}
BLOCK = re.compile(r"^(?P<head>[^\n]*)\n\n?```(?P<kind>\w+)\n(?P<text>.*?)^```$", flags=re.M | re.S)
# Placeholders, and what worked examples add, which tests/workflow/test_worked_examples.py runs.
MADE_UP = {"path/to/mine.yaml", "config/moons.yaml", "profiles/mysite"}
every_page = pytest.mark.parametrize("name", PAGES, ids=str)


def blocks(kind: str, text: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.M | re.S)


def headed(text: str) -> set[str]:
    """The files that a page's blocks are for, which need not be there."""
    return set(re.findall(r"^`([^`\n]+)`, a new file:$", text, flags=re.M))


def commands(text: str) -> list[list[str]]:
    """The words of a page's shell lines and of the commands inside its sentences."""
    lines = [line for block in blocks("sh", text) for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines += [
        line for line in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(make|python|snakemake) ", line)
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def stage_commands(text: str) -> list[list[str]]:
    """The arguments of `python -m spectral_ssl`, torchrun's among them; an ellipsis stands for more of them."""
    found = []
    for words in commands(text):
        if "spectral_ssl" in words and words[words.index("spectral_ssl") - 1] == "-m":
            found.append(words[words.index("spectral_ssl") + 1 :])
    return found


def make_targets() -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, flags=re.M))


def strangers(words: list[str]) -> list[str]:
    """The words after `make` that are neither a target nor a variable of the Makefile."""
    variables = {*re.findall(r"^(\w+) \?=", MAKEFILE, flags=re.M), *re.findall(r"\$\((PYTHON)\)", MAKEFILE)}
    return [
        word for word in words if word.partition("=")[0] not in (variables if "=" in word else make_targets())
    ]


def anchors(text: str) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(name: Path, text: str) -> list[str]:
    """Relative links of a page without a file or a heading."""
    found = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        file, _, fragment = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        known = (
            anchors(target.read_text(encoding="utf-8"))
            if target.suffix == ".md" and target.is_file()
            else set()
        )
        if not target.exists() or (fragment and fragment not in known):
            found.append(link)
    return found


def missing_files(text: str) -> set[str]:
    """Paths of the checkout that a page names, in code and in shell lines, and that are not there."""
    words = {word for line in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[\s'(),]", line)}
    words |= {word for line in commands(text) for word in line}
    pattern = r"(src|tests|config|profiles|docs|rules|benchmarks|notebooks|reference|\.ci)/[\w./*-]+"
    named = {word for word in words if re.fullmatch(rf"{pattern}|[\w-]+\.(lock|yml|in|toml|cff)", word)}
    return {word for word in named - headed(text) - MADE_UP if not list(ROOT.glob(word))}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 300
    assert all(len(text.splitlines()) < 300 for text in TEXTS.values())


@every_page
def test_python_runs(name: Path) -> None:
    names: dict[str, Any] = {}
    for block in BLOCK.finditer(TEXTS[name]):
        if block["kind"] == "python" and not re.match(r"`[^`\n]+`, ", block["head"]):
            exec(compile(block["text"], str(name), "exec"), names)
    if name == Path("README.md"):
        assert names["terms"].total.item() == pytest.approx(
            sum(term.item() for term in names["terms"].values())
        )
    if name.stem == "library":
        assert abs(names["duality"].item()) < 1e-3 * names["sample_contrastive"](names["z1"]).item()
        assert names["optimum"].embedding.shape == (60, 8)
        gram, optimum = names["get_graph_loss"]("gram"), names["optimum"]
        total = gram(names["torch"].from_numpy(optimum.embedding), names["G"]).total
        assert total.item() == pytest.approx(optimum.loss, rel=1e-9)


@every_page
def test_stage_commands_are_understood(name: Path) -> None:
    for words in stage_commands(TEXTS[name]):
        args = parser().parse_args(words)
        assert args.stage in STAGES
        known = args.tier is None or args.tier in TIERS or (ROOT / args.tier).is_file()
        assert known or f"config/{args.tier}.yaml" in MADE_UP


def test_a_stage_command_with_a_flag_that_is_not_there_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = stage_commands("`python -m spectral_ssl plan --tier smoke --lists`")
    with pytest.raises(SystemExit):
        parser().parse_args(words)
    assert "unrecognized arguments: --lists" in capsys.readouterr().err


@every_page
def test_make_targets_and_variables_exist(name: Path) -> None:
    for words in commands(TEXTS[name]):
        assert words[0] != "make" or strangers(words[1:]) == []


def test_a_make_target_that_is_not_there_is_noticed() -> None:
    assert {"reproduce", "test", "clean", "ci"} <= make_targets()
    assert strangers(["reproduce", "TIRE=smoke", "coffee"]) == ["TIRE=smoke", "coffee"]


@every_page
def test_snakemake_commands_name_rules_or_files(name: Path) -> None:
    rules = set(
        re.findall(r"^\s*rule (\w+):", "".join(p.read_text() for p in (ROOT / "rules").iterdir()), re.M)
    )
    for words in commands(TEXTS[name]):
        if words[0] == "snakemake" and len(words) > 1:
            args = get_argument_parser().parse_args(words[1:])
            config = dict(word.split("=", 1) for word in args.config or [])
            known = Targets({key: yaml.safe_load(value) for key, value in config.items()}, ROOT / "config")
            assert set(args.targets) <= rules | set(known.everything())


def test_a_snakemake_command_of_the_readme_plans() -> None:
    (words,) = (words for words in commands(README) if words[0] == "snakemake" and "tier=smoke" in words)
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--dry-run", *words[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_page
def test_links_lead_somewhere(name: Path) -> None:
    assert broken_links(name, TEXTS[name]) == []


def test_broken_links_are_noticed() -> None:
    text = "[a](docs/absent.md) [b](README.md#tiers) [c](#absent) [d](https://example.org/absent)"
    assert broken_links(Path("README.md"), text) == ["docs/absent.md", "#absent"]


@every_page
def test_files_that_are_named_exist(name: Path) -> None:
    assert missing_files(TEXTS[name]) == set()


def test_missing_files_are_noticed() -> None:
    assert missing_files(
        "`config/absent.yaml`, `src/spectral_ssl/*/absent.py`, `setup.cff`, `results/a.csv`"
    ) == {
        "config/absent.yaml",
        "src/spectral_ssl/*/absent.py",
        "setup.cff",
    }


def test_one_picture_a_paper_with_words() -> None:
    pictures = re.findall(r"^!\[([^\]]+)\]\(docs/img/([a-z]+\d{4})-\w+\.png\)\n\n(\S.*)$", README, flags=re.M)
    assert sorted(paper for _, paper, _ in pictures) == sorted(PAPERS)
    assert all(len(alt) > 40 and sentence.strip() for alt, _, sentence in pictures)
    for file in re.findall(r"\]\((docs/img/[\w-]+\.png)\)", README):
        with Image.open(ROOT / file) as image:
            assert image.width >= 1000


def first_cells(heading: str) -> list[str]:
    """The code in the first column of a section's table."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        name
        for row in re.findall(r"^\|([^|]*)\|", section, flags=re.M)
        for name in re.findall(r"`(\w+)`", row)
    ]


def test_lists_are_complete() -> None:
    assert sorted(first_cells("Tiers")) == TIERS
    assert sorted(first_cells("Data sets")) == dataset_names()
    verdicts = README.split("\n## How to read the verdicts\n")[1]
    assert [
        cell for cell in re.findall(r"^\| ([a-z ]+) \|", verdicts, flags=re.M) if cell in VERDICTS
    ] == list(VERDICTS)
    counts = {paper: len(paper_statements(paper)) for paper in PAPERS}
    for paper, count in counts.items():
        assert re.search(rf"arxiv.org/abs/{ARXIV[paper]}\).*\| {count} statements", README)
    assert f"{sum(counts.values())} statements" in README
