"""The three papers: what they print, how it is measured, and whether it holds. Imports no torch."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

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


def method_label(method: str) -> str:
    """A method's name in tables and figures."""
    return str(read("methods.yaml")[method]["label"])


def paper_networks(paper: str) -> list[str]:
    """The networks trained on finite graphs that a paper's tables are about."""
    return list(read(f"{paper}/experiments.yaml").get("networks", []))


def paper_statements(paper: str) -> list[str]:
    """The statements of a paper that have a check, in the paper's order."""
    return [name for module, names in MODULES.items() if module.startswith(f"{paper}.") for name in names]
