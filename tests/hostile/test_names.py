"""Names that would be commands, wildcards or markup somewhere: refused in one line, or shown as they are."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from spectral_ssl.config import flattened, load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.papers.latex import latex
from spectral_ssl.papers.manifest import build
from spectral_ssl.plotting import new_figure, save, titled
from spectral_ssl.targets import Targets

from ..workflow.checkout import Checkout, copy_project
from .mutations import BASE

CONFIG = Path(__file__).parents[2] / "config"
SHELL = 'it\'s "q" $(touch canary) `touch canary`; touch canary &|'
MARKUP = (
    "<script>a</script></style> --> ]]> \\input{x} $x$ $5 %s %(a)s {input} {{ 7 * 7 }} {% x %} *b* _c_ "
    "[d](javascript:e) # |"
)
LITERAL = f"{SHELL} {MARKUP} ünï 漢 שלום"
UNSEEN = tuple(f"a{mark}b" for mark in "\n\r\t\x00\x1b\x7f\u2028\u202e\u200f\ufeff\ufffe")
NAMES = (SHELL, MARKUP, "..", "../up", "a/b", "a b", "", "-a", "A", "ünï", "a" * 65, *UNSEEN)


def refusal(values: dict[str, Any]) -> str:
    """What is said of a tier with these values."""
    with pytest.raises(UserError) as caught:
        build(load_tier("smoke", flattened(values), CONFIG))
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 2500
    return said


def quoted(text: str) -> str:
    """A text as YAML that is that text whatever stands in it."""
    return json.dumps(text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "key",
    [
        *(
            "name",
            "data.name",
            "data.label",
            "training.augmentation",
            "training.encoder",
            "training.projector",
        ),
        *("probes.metric", "probes.validation", "companions.factors.data.label", "recipes.vicreg.projector"),
    ],
)
def test_what_becomes_a_name_has_no_mark_of_its_own(key: str, name: str) -> None:
    refusal({key: quoted(name)})


@pytest.mark.parametrize("name", [name for name in NAMES if name != ".."])
@pytest.mark.parametrize(
    "section", ["recipes", "optimisers", "companions", "levels", "recipes.vicreg.options"]
)
def test_keys_are_names_too(section: str, name: str) -> None:
    entry = {"optimisers": {"name": "sgd"}, "companions": {"data": {"name": "factors"}}}.get(section, 1)
    refusal({section: json.dumps({name: entry})})


@pytest.mark.parametrize("text", [*UNSEEN, "a" * 301])
def test_a_description_is_one_line_that_can_be_read(text: str) -> None:
    said = refusal({"description": quoted(text)})
    assert "'description' is " in said


@pytest.mark.parametrize("text", [*UNSEEN, ""])
def test_a_path_is_one_line_too(text: str) -> None:
    assert "'data.path' is " in refusal({"data.path": quoted(text)})


@pytest.mark.parametrize("tier", [SHELL, MARKUP, "../config/smoke", "a" * 5000, *UNSEEN])
@pytest.mark.parametrize("ending", ["", ".yaml"])
def test_a_tiers_own_name_is_refused(tier: str, ending: str) -> None:
    with pytest.raises(UserError) as caught:
        Targets({"tier": f"{tier}{ending}"}, CONFIG)
    assert str(caught.value).isprintable()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for name in ("pipe", "folder", "loop"):
        with pytest.raises(UserError, match=r"cannot read this tier file \(.+\); give a YAML file's path"):
            load_tier(str(tmp_path / f"{name}.yaml"))


def test_a_description_is_literal_in_figures_and_tables(tmp_path: Path) -> None:
    """In a figure's text as in LaTeX, where `$` begins a formula; the letters are those that the font has."""
    text = LITERAL.replace("漢 ", "").replace("שלום", "")
    figure, _ = new_figure()
    titled(figure, "A title", text)
    figure.draw_without_rendering()
    shown = figure._suptitle.get_text().replace("\\$", "$")
    assert shown == f"A title\n{text}"
    save(figure, tmp_path / "figure")
    assert ElementTree.parse(tmp_path / "figure.svg").getroot().tag.endswith("svg")
    import pandas as pd

    made = latex(pd.DataFrame({"a": [text]}), text, "tab:a")
    assert "\\input" not in made
    assert made.count("\\textbackslash{}input") == 2


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with a tier whose file, description, images' folder, classes and files have such names."""
    folder = tmp_path_factory.mktemp("names")
    copy_project(folder)
    images = folder / SHELL.replace("/", "") / "{input} %s\nב"
    classes = ["$(touch canary)", "{input}", "<script>a<", "a b", "-rf", "🙂'\""]
    for split in ("train", "test"):
        for index, name in enumerate(classes):
            place = images / split / name
            place.mkdir(parents=True)
            for number in range(10):
                pixels = np.full((8, 8), index * 20 + number, np.uint8)
                Image.fromarray(pixels).save(place / f"{number} ; touch canary {{x}} '\n.png")
    values = yaml.safe_load(BASE)
    shutil.move(images, folder / "{input} 'images'")
    path = str(folder / "{input} 'images'")
    values |= {"data": {"name": "folder", "path": path}, "description": LITERAL, "companions": {}}
    (folder / f"{SHELL} {{input}}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return Checkout(folder)


def test_the_workflow_ingests_what_they_name(hostile: Checkout) -> None:
    done = hostile.snakemake("data", tier=f"{SHELL} {{input}}.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    meta = json.loads((hostile.folder / "results/base/data/folder/meta.json").read_text(encoding="utf-8"))
    assert sorted(meta["classes"]) == sorted(
        ["$(touch canary)", "{input}", "<script>a<", "a b", "-rf", "🙂'\""]
    )
    assert meta["counts"] == {"train": 60, "test": 60}
    assert not list(hostile.folder.rglob("canary"))


def test_the_workflow_plans_all_of_it(hostile: Checkout) -> None:
    words = ("config:data={image_size: 8}", f"config:description={quoted(LITERAL)}")
    done = hostile.snakemake("--dry-run", "--printshellcmds", *words, tier=f"{SHELL} {{input}}.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "touch canary" not in "".join(line for line in done.stdout.splitlines() if "spectral_ssl " in line)
    assert not list(hostile.folder.rglob("canary"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tier={input}$(touch canary)", "unknown tier '{input}$(touch canary)'"),
        ("name=$(touch canary)", "'name' is \"$(touch canary)\": string should match pattern"),
    ],
)
def test_the_workflow_refuses_in_one_line(hostile: Checkout, word: str, said: str) -> None:
    words = (word,) if word.startswith("tier=") else ("tier=smoke", word)
    done = hostile._call("-m", "snakemake", "--cores", "1", "--dry-run", "--config", *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert sum(said in line for line in (done.stdout + done.stderr).splitlines()) == 1, done.stderr
    assert not list(hostile.folder.rglob("canary"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "seeds=1000000"), "'seeds' is 1000000: input should be less than or equal to 1000"),
        (
            ("--set", "seeds=1000"),
            "this tier asks for 117000 cells, expected at most 20000; give it fewer seeds or levels",
        ),
        (("--set", "name=\x1b[2J"), "--set 'name=\\x1b[2J': '\\x1b[2J' is not a YAML value"),
        (
            ("--set", "a\nb=1"),
            "--set 'a\\nb=1': expected key=value, for example seeds=10 or training.epochs=5",
        ),
        (("--set", "levels=" + "[" * 60_000), "is not a YAML value"),
        (("--set", "jobs=!!python/object/apply:os.system [touch canary]"), "is not a YAML value"),
    ],
)
def test_a_stage_refuses_in_one_line(hostile: Checkout, words: tuple[str, ...], said: str) -> None:
    done = hostile.stage("plan", *words, tier="smoke")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert done.stderr.rstrip("\n").isprintable()
    assert not list(hostile.folder.rglob("canary"))
