"""Dockerfile, Apptainer recipe and conda environment: one base, the lock's versions, shell that linters accept.

What an engine would build from them is tried by containers/try.sh, which needs root and downloads packages.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "containers"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
RECIPE = (FOLDER / "spectral-ssl.def").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / "rules/environment.yaml").read_text(encoding="utf-8")
BASE = r"docker\.io/library/python:(?P<version>\d+\.\d+\.\d+)-slim-bookworm"
DIGEST = r"@(?P<digest>sha256:[0-9a-f]{64})"
SECTIONS = {"files", "post", "environment", "runscript", "test", "labels", "help"}


def _pins():
    spec = importlib.util.spec_from_file_location("pins", FOLDER / "pins.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pins = _pins()


def sections(recipe: str) -> tuple[dict[str, str], dict[str, str]]:
    """An Apptainer recipe's header and its sections, each name once."""
    head, *parts = re.split(r"^%(\w+).*\n", recipe, flags=re.M)
    lines = [line for line in head.splitlines() if line and not line.startswith("#")]
    header = dict(line.split(": ", 1) for line in lines)
    names, bodies = parts[::2], parts[1::2]
    assert len(names) == len(set(names)), f"a section twice: {names}"
    return header, dict(zip(names, bodies, strict=True))


def joined(dockerfile: str) -> list[str]:
    """A Dockerfile's instructions, continued lines joined, comments out."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", dockerfile, flags=re.M))
    return [line for line in text.splitlines() if line]


def copied(dockerfile: str, recipe: str) -> tuple[set[str], set[str]]:
    """The files of the checkout that each puts into its image."""
    (line,) = [line for line in joined(dockerfile) if line.startswith("COPY ")]
    files = sections(recipe)[1].get("files", "").splitlines()
    return set(line.split()[1:-1]), {line.split()[0] for line in files if line.strip()}


def variables(dockerfile: str, recipe: str) -> tuple[set[str], set[str]]:
    (line,) = [line for line in joined(dockerfile) if line.startswith("ENV ")]
    exported = re.findall(r"^\s*export (\w+)=", sections(recipe)[1].get("environment", ""), flags=re.M)
    return set(re.findall(r" (\w+)=", line)), set(exported)


def problems(dockerfile: str, recipe: str, requires: str) -> list[str]:
    """What is wrong with the pair of recipes."""
    found = []
    header, parts = sections(recipe)
    base = re.search(f"^FROM {BASE}{DIGEST}$", dockerfile, flags=re.M)
    if base is None:
        return ["the Dockerfile's base is not pinned by version and digest"]
    if base["version"] not in SpecifierSet(requires):
        found.append(f"Python {base['version']} is outside {requires}")
    if header != {"Bootstrap": "docker", "From": f"docker.io/library/python@{base['digest']}"}:
        found.append("the recipe's base is not the Dockerfile's")
    named = set(re.findall(BASE.replace("?P<version>", ""), dockerfile + recipe))
    named |= set(re.findall(r"python:(\d[\d.]*)-slim-bookworm", dockerfile + recipe))
    if named != {base["version"]}:
        found.append(f"the base is called by several versions: {sorted(named)}")
    if set(parts) != SECTIONS:
        found.append(f"sections {sorted(set(parts) ^ SECTIONS)} are missing or unknown")
    first, second = copied(dockerfile, recipe)
    if first != second or any(not (ROOT / name).is_file() for name in first):
        found.append(f"files differ or do not exist: {sorted(first)} and {sorted(second)}")
    command = "/opt/spectral-ssl/install.sh /opt/spectral-ssl/requirements.lock"
    if f"RUN {command}" not in joined(dockerfile) or parts.get("post", "").strip() != command:
        found.append("the two do not run the same command")
    first, second = variables(dockerfile, recipe)
    # A user without a home or a name is Docker's matter: Apptainer takes both from the host.
    if first != second | {"HOME", "LOGNAME"}:
        found.append(f"variables differ: {sorted(first ^ second)}")
    users = [line for line in joined(dockerfile) if line.startswith("USER ")]
    if users != ["USER 1000:1000"]:
        found.append("the Dockerfile's user is root")
    return found


REQUIRES = tomllib.loads(PROJECT)["project"]["requires-python"]


def test_both_recipes_have_one_base_one_command_and_one_environment():
    assert problems(DOCKERFILE, RECIPE, REQUIRES) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("docker", "@sha256:65", "@sha256:", "the Dockerfile's base is not pinned by version and digest"),
        ("docker", ":3.11.14-slim-bookworm@", ":3.11-slim-bookworm@", "the Dockerfile's base is not pinned"),
        (
            "docker",
            "3.11.14-slim-bookworm@",
            "3.13.1-slim-bookworm@",
            "Python 3.13.1 is outside <3.13,>=3.11",
        ),
        (
            "docker",
            "3.11.14-slim-bookworm@",
            "3.11.13-slim-bookworm@",
            "the base is called by several versions",
        ),
        ("recipe", "python@sha256:65", "python@sha256:66", "the recipe's base is not the Dockerfile's"),
        ("recipe", "%labels", "%label", "sections ['label', 'labels'] are missing or unknown"),
        (
            "recipe",
            "    containers/install.sh /opt",
            "    containers/other.sh /opt",
            "files differ or do not exist",
        ),
        ("recipe", "requirements.lock\n\n%env", "requirements-dev.lock\n\n%env", "not run the same command"),
        (
            "recipe",
            "    export PYTHONNOUSERSITE=1\n",
            "",
            "variables differ: ['HOME', 'LOGNAME', 'PYTHONNOUSERSITE']",
        ),
        ("docker", "USER 1000:1000\n", "", "the Dockerfile's user is root"),
    ],
)
def test_a_broken_recipe_is_found(file, old, new, problem):
    texts = {"docker": DOCKERFILE, "recipe": RECIPE}
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new, 1)
    found = problems(texts["docker"], texts["recipe"], str(SpecifierSet(REQUIRES)))
    assert any(problem in line for line in found), found


def test_the_build_sends_only_the_files_that_are_copied():
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines[1:]} == copied(DOCKERFILE, RECIPE)[0]


def test_the_image_names_the_lock_that_it_keeps():
    kept = "SPECTRAL_SSL_LOCK=/opt/spectral-ssl/requirements.lock"
    assert kept in DOCKERFILE
    assert f"export {kept}\n" in RECIPE
    assert "requirements.lock /opt/spectral-ssl/requirements.lock\n" in sections(RECIPE)[1]["files"]
    assert "COPY requirements.lock containers/install.sh /opt/spectral-ssl/" in joined(DOCKERFILE)


def test_packages_are_installed_by_hash():
    script = (FOLDER / "install.sh").read_text(encoding="utf-8")
    (line,) = [line for line in script.replace("\\\n", "").splitlines() if "pip install" in line]
    assert "--require-hashes" in line
    assert line.endswith('-r "$1"')
    assert '\npip_install "$lock"\n' in script


def test_the_environment_is_what_the_lock_says():
    assert pins.environment(PROJECT, LOCK, DOCKERFILE) == ENVIRONMENT, (
        "run `make lock`, or containers/pins.py"
    )


def test_pins_by_a_second_route():
    wanted = yaml.safe_load(ENVIRONMENT)
    assert wanted["channels"] == ["conda-forge", "nodefaults"]
    found = dict(line.split("==") for line in wanted["dependencies"])
    python = found.pop("python")
    for name, pin in found.items():
        name = {"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(name, name)
        lines = re.findall(rf"^{re.escape(name)}==(\S+)(?: ; (.*))? \\$", LOCK, flags=re.M)
        if len(lines) > 1:  # split at Python 3.12, which the base is older than
            lines = [line for line in lines if line[1] == "python_full_version < '3.12'"]
        assert [line[0] for line in lines] == [pin]
        if sys.version_info[:2] == tuple(int(part) for part in python.split(".")[:2]):
            assert version(name).partition("+")[0] == pin


def test_the_environment_has_every_package_that_the_code_imports():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    tops = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"spectral_ssl"}
    packages = {canonicalize_name(packages_distributions()[top][0]) for top in tops}
    found = {line.partition("==")[0] for line in yaml.safe_load(ENVIRONMENT)["dependencies"]}
    found = {{"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(name, name) for name in found}
    assert len(packages) > 10
    # nbclient and traitlets come with nbconvert and papermill.
    assert packages - found <= {"nbclient", "traitlets"}


def test_broken_pins_are_refused():
    with pytest.raises(SystemExit, match="name the base by its version"):
        pins.environment(PROJECT, LOCK, DOCKERFILE.replace("3.11.14-", "3-"))
    with pytest.raises(SystemExit, match=r"scipy is not in requirements\.lock; run `make lock`"):
        pins.environment(PROJECT, re.sub(r"^scipy==", "other==", LOCK, flags=re.M), DOCKERFILE)
    newer = LOCK.replace("jinja2==", "jinja2==9")
    assert pins.environment(PROJECT, newer, DOCKERFILE) != ENVIRONMENT
    twelve = pins.environment(PROJECT, LOCK, DOCKERFILE.replace(":3.11.14-", ":3.12.1-"))
    assert yaml.safe_load(twelve)["dependencies"][0] == "python==3.12.1"


def program(name: str) -> str:
    """A linter beside this interpreter or in PATH; skips where it is in neither."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def complaints(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_hadolint():
    command = [program("hadolint"), "-"]
    assert complaints(command, DOCKERFILE) == ""
    assert "DL3006" in complaints(command, "FROM debian\n")
    assert "unexpected 'F'" in complaints(command, DOCKERFILE.replace("FROM ", "FORM "))


def test_shellcheck():
    script = [program("shellcheck"), "-"]
    for path in [
        *FOLDER.glob("*.sh"),
        *ROOT.glob("rules/*.sh"),
        *ROOT.glob("profiles/*/*.sh"),
        *ROOT.glob("profiles/slurm/*/*"),
    ]:
        assert complaints(script, path.read_text(encoding="utf-8")) == ""
    section = [*script[:1], "--shell=sh", "-"]
    parts = sections(RECIPE)[1]
    for name in ("post", "environment", "runscript", "test"):
        assert complaints(section, parts[name]) == ""
    installing = (FOLDER / "install.sh").read_text(encoding="utf-8")
    assert "SC2086" in complaints(script, installing.replace('"$lock"', "$lock"))
    assert "SC1073" in complaints(section, parts["test"] + "if true; then\n")
