"""docs/map.md: what regenerates what, from the papers' experiments.yaml, claims*.yaml and published.yaml.

`PYTHONPATH=src python docs/map.py` writes it, and so does `make docs`. A product is a table or figure of
`experiments.yaml`. Its experiments are those whose `table` or `figure` it is, or that have its name and neither
key; its ledger entries are those that these decide, and those that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from spectral_ssl.papers import PAPERS, claims, paper_statements

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ROOT / "src" / "spectral_ssl" / "papers"
ORDER = ("smoke", "laptop", "gpu", "cluster")  # of the tiers; others follow
KINDS = {"tables": "md", "figures": "png"}
HEAD = """# What regenerates what

Written by `make docs` from `src/spectral_ssl/papers/*/experiments.yaml`, `claims*.yaml` and `published.yaml`;
tests/test_readme_map.py checks that it is up to date.

A tier makes a table as `results/<tier>/tables/<paper>/<name>.md`, beside CSV and LaTeX, and a figure as
`figures/<tier>/<paper>/<name>.png`, beside PDF and SVG. Both are targets, and Snakemake makes what they need:

```sh
snakemake results/laptop/tables/haochen2021/table1.md --config tier=laptop
snakemake figures/laptop/garrido2023/figure1.png --config tier=laptop
```

One job makes all tables of a paper, another all its figures: a file asked for brings its paper's other ones. A product
without an experiment is computed from data, views, networks on finite graphs, or checks. "Printed setting" names the
tiers whose data set and encoder are those of printed numbers; elsewhere these have an analogue. An entry that ends in
`…` stands for all that begin so, `<method>` for each method.
"""
COLUMNS = ("in the paper", "experiments", "files", "ledger entries", "tiers", "printed setting")


def text(paper: str, name: str) -> Any:
    """A YAML file of a paper."""
    return yaml.safe_load((TEXTS / paper / name).read_text(encoding="utf-8"))


def tiers() -> dict[str, dict[str, Any]]:
    """Every tier's file by its name, the small ones first."""
    files = {path.stem: path for path in (ROOT / "config").glob("*.yaml")}
    names = [*(name for name in ORDER if name in files), *sorted(set(files) - set(ORDER))]
    return {name: yaml.safe_load(files[name].read_text(encoding="utf-8")) for name in names}


def shown_in(words: dict[str, Any], name: str, products: Iterable[str]) -> set[str]:
    """The products that show an experiment, a sample or a claim of a name."""
    named = {words[key] for key in ("table", "figure") if words.get(key)}
    return named or ({name} & set(products))


def analogues_of(grid: dict[str, Any]) -> set[str]:
    """The experiments that give a printed grid's analogues."""
    analogue = grid.get("analogue", {})
    parts = [analogue, *analogue.get("rows", {}).values()]
    own = [part.get("experiment") for part in parts]
    return {name for name in (*own, *analogue.get("experiments", {}).values()) if name}


def entries(paper: str, products: Iterable[str]) -> dict[str, set[str]]:
    """Ledger entries (a grid's as one, with its keys) and the products that show them."""
    spec, published = text(paper, "experiments.yaml"), text(paper, "published.yaml")
    parts = {**spec["experiments"], **spec.get("samples", {})}
    shown = {name: shown_in(words, name, products) for name, words in parts.items()}
    found: dict[str, set[str]] = {f"statement/{name}": set() for name in paper_statements(paper)}
    named = claims(paper)
    for entry, claim in named.items():
        measure = claim.get("measure", {})
        sides = [measure, *(side for side in measure.values() if isinstance(side, dict))]
        where = set().union(*(shown.get(side.get("experiment"), set()) for side in sides))
        found[entry] = shown_in(claim, "", products) or where
    for name, grid in published.get("grids", {}).items():
        keys = "/".join(f"<{key}>" for key in (*grid["keys"], *grid.get("across", {})))
        found[f"{name}/{keys}"] = set().union(*(shown.get(one, set()) for one in analogues_of(grid)))
    for mark in published.get("marks", {}).get("rows", {}):
        found[f"table1/{mark}/<method>"] = {"table1"}
    for arrow in published.get("correspondences", {}).get("rows", {}):
        found[f"figure1/{arrow}"] = {"correspondences"}
    for entry, claim in named.items():  # a composite is where its parts are
        found[entry] = found[entry].union(*(found.get(part, set()) for part in claim.get("entries", ())))
    return found


def shortened(chosen: set[str], everything: Iterable[str]) -> list[str]:
    """Entries; where all of one beginning are chosen, that beginning only."""
    short = set()
    for entry in chosen:
        begin = entry.split("/")[0] + "/"
        family = {other for other in everything if other.startswith(begin)}
        short.add(begin + "…" if len(family) > 1 and family <= chosen else entry)
    return sorted(short)


def has(tier: dict[str, Any], experiment: dict[str, Any]) -> bool:
    """Whether a tier runs an experiment: one of a companion data set needs that set."""
    asked, own = experiment.get("dataset"), tier["data"].get("label", tier["data"]["name"])
    return asked is None or asked in (own, *tier.get("companions", {}))


def as_printed(tier: dict[str, Any], grid: dict[str, Any]) -> bool:
    """Whether a tier has the data set and the encoder of some of a grid's cells."""
    protocol, keys = grid["protocol"], grid["keys"]
    printed, rows = {protocol.get("dataset")}, [grid["rows"]]
    if "dataset" in keys:
        for _ in keys[: keys.index("dataset")]:
            rows = [inner for row in rows for inner in row.values()]
        printed |= {name for row in rows for name in row}
    beside = [one for one in tier.get("companions", {}).values() if one.get("recipes")]
    ours = {tier["data"]["name"], *(one["data"]["name"] for one in beside)}
    return bool(printed & ours) and tier["training"]["encoder"] == protocol.get("encoder")


def code(names: Iterable[str]) -> str:
    """Names as code in a cell of a table."""
    return ", ".join(f"`{name}`" for name in names)


def rows(paper: str) -> Iterator[tuple[str, ...]]:
    """The cells of every product of a paper, of its statements and of what no product shows."""
    spec, sizes = text(paper, "experiments.yaml"), tiers()
    products = {**spec["figures"], **spec["tables"]}
    found = entries(paper, products)
    left = dict(spec["experiments"])
    for name in dict.fromkeys((*spec["tables"], *spec["figures"])):
        made = {key: one for key, one in spec["experiments"].items() if name in shown_in(one, key, products)}
        left = {key: one for key, one in left.items() if key not in made}
        files = [f"{name}.{ending}" for kind, ending in KINDS.items() if name in spec[kind]]
        chosen = {entry for entry, where in found.items() if name in where}
        run_at = [key for key, tier in sizes.items() if not made or any(has(tier, e) for e in made.values())]
        near = [
            g for g in text(paper, "published.yaml").get("grids", {}).values() if analogues_of(g) & set(made)
        ]
        printed = [key for key, tier in sizes.items() if any(as_printed(tier, grid) for grid in near)]
        where = "all" if len(run_at) == len(sizes) else ", ".join(run_at)
        cells = products[name]["title"], code(made), code(files), code(shortened(chosen, found))
        yield *cells, where, ", ".join(printed)
    count = len(paper_statements(paper))
    yield f"{count} statements", "", f"`theorems/{paper}/<id>.json`", "`statement/…`", "all", ""
    rest = {entry for entry, where in found.items() if not where and not entry.startswith("statement/")}
    yield "in no table or figure", code(left), "`measurements.csv`", code(shortened(rest, found)), "", ""


def document() -> str:
    """The whole map, in Markdown."""
    lines = [HEAD]
    for paper, title in PAPERS.items():
        lines += [f"## {title}", "", f"Rules `tables_{paper}`, `figures_{paper}`, `theorems_{paper}`.", ""]
        table = [COLUMNS, ("---",) * len(COLUMNS), *rows(paper)]
        lines += [f"| {' | '.join(cells)} |".replace("  ", " ") for cells in table] + [""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "map.md").write_text(document(), encoding="utf-8")
