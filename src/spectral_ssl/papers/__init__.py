"""The three papers: what they print, how it is measured, and whether it holds. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from spectral_ssl.errors import UserError
from spectral_ssl.theorems.check import MODULES

PAPERS = {
    "haochen2021": "HaoChen et al. 2021",
    "garrido2023": "Garrido et al. 2023",
    "balestriero2022": "Balestriero & LeCun 2022",
}


@cache
def read(name: str) -> Any:
    """A YAML file of this package, e.g. `haochen2021/published.yaml`."""
    return yaml.safe_load(files(__name__).joinpath(name).read_text(encoding="utf-8"))


def claim_files(paper: str) -> list[str]:
    """The names of a paper's files of claims, `claims*.yaml`, sorted."""
    names = [path.name for path in files(__name__).joinpath(paper).iterdir()]
    return sorted(name for name in names if fnmatch(name, "claims*.yaml"))


@cache
def claims(paper: str) -> dict[str, dict[str, Any]]:
    """A paper's claims by entry, of all its files of claims, in the order of their names.

    Raises UserError for a key that is there twice.
    """
    folder = files(__name__).joinpath(paper)
    return merged({name: folder.joinpath(name).read_text(encoding="utf-8") for name in claim_files(paper)})


def merged(texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """One mapping of several YAML texts by file name. Raises UserError for a key that is there twice."""
    found: dict[str, dict[str, Any]] = {}
    for name, text in texts.items():
        entries = yaml.load(text, _Once) or {}
        if twice := sorted(set(found) & set(entries)):
            raise UserError(
                f"{name}: claim '{twice[0]}' stands in a file before it too; give one another name"
            )
        found |= entries
    return found


class _Once(yaml.SafeLoader):
    """YAML whose mappings have no key twice, of which a plain loader would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for place, key in enumerate(keys) if key in keys[:place]]:
            line = node.start_mark.line + 1
            raise UserError(
                f"claims: key '{twice[0]}' is there twice in the mapping at line {line}; remove one"
            )
        return super().construct_mapping(node, deep)


def method_label(method: str) -> str:
    """A method's name in tables and figures."""
    return str(read("methods.yaml")[method]["label"])


def paper_networks(paper: str) -> list[str]:
    """The networks trained on finite graphs that a paper's tables are about."""
    return list(read(f"{paper}/experiments.yaml").get("networks", []))


def paper_statements(paper: str) -> list[str]:
    """The statements of a paper that have a check, in the paper's order."""
    return [name for module, names in MODULES.items() if module.startswith(f"{paper}.") for name in names]
