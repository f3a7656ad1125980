"""What the papers' experiments (`papers/<paper>/experiments.yaml`) ask of a tier. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from spectral_ssl.errors import UserError
from spectral_ssl.papers import PAPERS, read
from spectral_ssl.sections import Tier


def experiments(tier: Tier) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The experiments that a tier has the data sets of: paper, name and what it says."""
    for paper in PAPERS:
        for name, spec in read(f"{paper}/experiments.yaml")["experiments"].items():
            if spec.get("dataset", tier.data.slug) in (tier.data.slug, *tier.companions):
                yield paper, name, spec


def levels(tier: Tier, spec: dict[str, Any]) -> list[list[Any]]:
    """The levels of each factor that an experiment varies: the tier's, or its own."""
    return [
        level if isinstance(level, list) else getattr(tier.levels, level)
        for level in spec.get("vary", {}).values()
    ]


def size(tier: Tier, spec: dict[str, Any]) -> int:
    """How many cells an experiment has, or a few more where methods are tuned."""
    tuned = max(map(len, spec.get("candidates", {}).values()), default=1)
    return tier.seeds * len(spec["methods"]) * tuned * prod(map(len, levels(tier, spec)))


def fixed_value(tier: Tier, value: Any) -> Any:
    """A setting of an experiment; `{last: epochs}` is the last of the tier's levels of that name."""
    return getattr(tier.levels, value["last"])[-1] if isinstance(value, dict) else value


def candidates(name: str, spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What each method is tuned over: as many settings for every method, so that none has a larger budget."""
    tuned: dict[str, list[dict[str, Any]]] = spec.get("candidates", {})
    counts = {method: len(tuned.get(method, [])) for method in spec["methods"]} if tuned else {}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{method} {count}" for method, count in counts.items())
        raise UserError(f"experiment '{name}': expected as many candidates for every method; found {found}")
    return tuned
