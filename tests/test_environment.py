"""pyproject.toml, the lock files, environment.yml and what is installed say the same."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUN = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()
}
DEV, CLUSTER = EXTRAS["dev"], EXTRAS["slurm"] + EXTRAS["generic"]
LOCK, DEV_LOCK, CLUSTER_LOCK = "requirements.lock", "requirements-dev.lock", "requirements-cluster.lock"
CONDA_NAMES = {"pytorch": "torch"}
PLACES = [
    {"python_version": python[:4], "python_full_version": python, "sys_platform": system}
    for python in ("3.11.7", "3.12.1")
    for system in ("linux", "darwin")
]


@dataclass(frozen=True)
class Entry:
    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    def applies(self, place: dict[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate({**default_environment(), **place})


def parse(text: str) -> list[Entry]:
    entries = []
    for part in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M):
        if not part.strip() or part.startswith("#"):
            continue
        first = Requirement(part.splitlines()[0].rstrip("\\ "))
        (pin,) = first.specifier
        assert pin.operator == "==", part
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", part))
        entries.append(Entry(canonicalize_name(first.name), Version(pin.version), first.marker, hashes))
    return entries


def at(entries: list[Entry], place: dict[str, str]) -> dict[str, Version]:
    chosen = [entry for entry in entries if entry.applies(place)]
    names = [entry.name for entry in chosen]
    assert len(names) == len(set(names)), f"two versions of one package at {place}"
    return {entry.name: entry.version for entry in chosen}


def problems(entries: list[Entry], wanted: list[Requirement]) -> list[str]:
    """What a lock lacks: a dependency, a version in range, a hash, a matched pair of torch and torchvision."""
    found = [f"{entry.name} has no hash" for entry in entries if not entry.hashes]
    for place in PLACES:
        versions = at(entries, place)
        for requirement in wanted:
            name = canonicalize_name(requirement.name)
            if name not in versions:
                found.append(f"{name} is missing")
            elif versions[name] not in requirement.specifier:
                found.append(f"{name} {versions[name]} is outside {requirement.specifier}")
        if not matched(versions.get("torch"), versions.get("torchvision")):
            found.append("torch and torchvision are no pair")
    return found


def matched(torch: Version | None, torchvision: Version | None) -> bool:
    """torch 2.m goes with torchvision 0.(m + 15), patch with patch."""
    if torch is None or torchvision is None:
        return False
    return (torchvision.major, torchvision.minor, torchvision.micro) == (0, torch.minor + 15, torch.micro)


@pytest.fixture(scope="module")
def locks() -> dict[str, list[Entry]]:
    return {name: parse((ROOT / name).read_text(encoding="utf-8")) for name in (LOCK, DEV_LOCK, CLUSTER_LOCK)}


@pytest.mark.parametrize(
    ("name", "wanted"), [(LOCK, RUN), (DEV_LOCK, RUN + DEV), (CLUSTER_LOCK, RUN + CLUSTER)]
)
def test_lock_files_hold_every_dependency(name, wanted, locks):
    assert len(locks[name]) > len(wanted)
    assert problems(locks[name], wanted) == []


@pytest.mark.parametrize(
    "place", PLACES, ids=lambda place: f"{place['python_version']}-{place['sys_platform']}"
)
def test_the_other_locks_contain_the_first(place, locks):
    run = at(locks[LOCK], place)
    assert run.items() < at(locks[DEV_LOCK], place).items()
    assert run.items() < at(locks[CLUSTER_LOCK], place).items()


def test_a_broken_lock_is_found(locks):
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    torch = next(entry.version for entry in locks[LOCK] if entry.name == "torch")
    assert "torch 2.10.0 is outside >=2.11" in problems(
        parse(text.replace(f"torch=={torch}", "torch==2.10.0")), RUN
    )
    newer = text.replace(f"torch=={torch}", f"torch==2.{torch.minor + 1}.0")
    assert set(problems(parse(newer), RUN)) == {"torch and torchvision are no pair"}
    assert set(problems(parse(re.sub(r"^pydantic==", "other==", text, flags=re.M)), RUN)) == {
        "pydantic is missing"
    }
    bare = re.sub(r"(^jinja2==\S+) \\\n(?:\s+--hash=\S+(?: \\)?\n)+", r"\1\n", text, flags=re.M)
    assert problems(parse(bare), RUN) == ["jinja2 has no hash"]


@pytest.mark.parametrize(
    ("torch", "torchvision", "pair"),
    [
        ("2.11.0", "0.26.0", True),
        ("2.12.0", "0.27.0", True),
        ("2.12.0", "0.26.0", False),
        ("2.12.1", "0.27.0", False),
    ],
)
def test_pairs_of_torch_and_torchvision(torch, torchvision, pair):
    assert matched(Version(torch), Version(torchvision)) is pair


def test_the_torch_pair_is_the_one_that_torchvision_itself_asks_for(locks):
    asked = [Requirement(text) for text in requires("torchvision") or []]
    (torch,) = [requirement for requirement in asked if requirement.name == "torch"]
    locked = next(entry.version for entry in locks[LOCK] if entry.name == "torch")
    assert locked in torch.specifier
    constraints = parse((ROOT / "requirements-torch.in").read_text(encoding="utf-8"))
    in_lock = [(e.name, e.version) for e in locks[LOCK] if e.name in ("torch", "torchvision")]
    assert [(e.name, e.version) for e in constraints] == in_lock


def test_lowest_torch_and_torchvision_are_a_pair():
    lowest = {r.name: Version(next(iter(r.specifier)).version) for r in RUN if r.name.startswith("torch")}
    assert matched(Version(f"{lowest['torch']}.0"), Version(f"{lowest['torchvision']}.0"))


def test_conda_environment_has_the_same_ranges():
    lines = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = {r.name: r.specifier for r in map(Requirement, lines)}
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    ranges = {CONDA_NAMES.get(name, name): ranges for name, ranges in conda.items()}
    assert ranges == {r.name: r.specifier for r in RUN}


def test_installed_versions_are_the_locked_ones(locks):
    installed = {}
    locked = {entry.name: entry.version for entry in locks[DEV_LOCK] if entry.applies({})}
    for name in locked:
        try:
            installed[name] = Version(Version(version(name)).public)  # without +cpu and the like
        except PackageNotFoundError:
            installed[name] = None
    assert installed == locked


def test_executor_plugins_are_in_the_clusters_lock_alone(locks):
    """An installed plugin is imported at every start of snakemake, and asks for a cluster's commands."""
    for plugin in CLUSTER:
        assert len(plugin.specifier) == 2  # from, below
        found = {
            name for name, entries in locks.items() if any(entry.name == plugin.name for entry in entries)
        }
        assert found == {CLUSTER_LOCK}
