"""Where a ledger entry's evidence is shown and which runs it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spectral_ssl.papers import read


@dataclass(frozen=True)
class Source:
    """Names of a paper's table and figure, `paper/statement` of checks, run ids in order, and the entries that decide
    a composite one.
    """

    table: str | None = None
    figure: str | None = None
    statements: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As sources.json has it."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def shown_in(
    paper: str, experiments: Iterable[str], claim: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """The table and the figure that a claim names, or else the first that its experiments and samples name."""
    spec = read(f"{paper}/experiments.yaml")
    known = {**spec["experiments"], **spec.get("samples", {})}
    found = [claim, *(known[name] for name in experiments if name in known)]
    table, figure = (
        next((one[kind] for one in found if one.get(kind)), None) for kind in ("table", "figure")
    )
    return table, figure


def experiments_behind(paper: str, table: str) -> list[str]:
    """The experiments whose runs a table is about: those that name it, and those that it names itself."""
    spec = read(f"{paper}/experiments.yaml")
    naming = [name for name, one in spec["experiments"].items() if one.get("table") == table]
    return [*naming, *spec["tables"][table].get("of", [])]


def of_parts(claim: Mapping[str, Any], parts: Mapping[str, Source]) -> Source:
    """A composite's source: its entries, and the one table and figure that they are shown in, if it is one."""
    names = tuple(claim["entries"])

    def common(kind: str) -> str | None:
        places = {place for name in names if (place := getattr(parts[name], kind))}
        return claim.get(kind) or (places.pop() if len(places) == 1 else None)

    return Source(common("table"), common("figure"), entries=names)
