"""The numbers in a tier's files, column by column, and how far two columns lie apart."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from safetensors.numpy import load

Column = Sequence[str] | np.ndarray


# How far runs may lie apart that only rounding tells apart: another number of threads adds up in another order. An
# epoch or two in float32 multiply the 6e-8 of a sum: of 158 runs the loss moved by 1.4 % at most, embeddings by more,
# since a bias before batch norm, which no loss sees, follows rounding alone. An accuracy moves by whole test images,
# half a point each of 200: at most two by the full probe, and by the ones of few labels as much on average.
TOLERANCES = {
    "runs/*/history.csv loss": ("relative", 0.05),
    **{
        f"runs/*/probe.json {name}": ("absolute", 0.02) for name in ("lbfgs", "knn", "few1", "few5", "online")
    },
    "theorems/*/*.json measured": ("relative", 1.0),  # the floor is its tolerance: a whole one
}


@dataclass(frozen=True, order=True)
class Apart:
    """How far two columns lie apart, and in which file.

    `relative` is |a - b| / max(|a|, |b|, floor) at its largest over a column's cells, of arrays that of their
    Frobenius norms; inf where the cells are not as many, or only one of them is a finite number. `cells` counts the
    ones that differ, out of `of`.
    """

    relative: float = 0.0
    absolute: float = 0.0
    cells: int = 0
    of: int = 0
    file: str = ""

    @classmethod
    def between(cls, file: str, a: Column, b: Column, floors: Sequence[float] = ()) -> Apart:
        """The distance of two columns of one file; words that are no numbers only count as cells that differ."""
        if len(a) != len(b) or np.shape(a) != np.shape(b):
            return cls(math.inf, math.inf, max(len(a), len(b)), max(len(a), len(b)), file)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return cls._arrays(file, a, b)
        least = floors or [0.0] * len(a)
        pairs = [(number(x), number(y), z) for x, y, z in zip(a, b, least, strict=True) if x != y]
        both = [(x, y, z) for x, y, z in pairs if x is not None or y is not None]
        relative = max((_relative(x, y, z) for x, y, z in both), default=0.0)
        absolute = max((_absolute(x, y) for x, y, _ in both), default=0.0)
        return cls(relative, absolute, len(pairs), len(a), file)

    @classmethod
    def _arrays(cls, file: str, a: np.ndarray, b: np.ndarray) -> Apart:
        x, y = a.astype(np.float64), b.astype(np.float64)
        changed = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        if not changed.any():
            return cls(of=a.size, file=file)
        scale = max(np.linalg.norm(x), np.linalg.norm(y))
        apart = x[changed] - y[changed]
        relative = float(np.linalg.norm(apart) / scale) if np.isfinite(apart).all() else math.inf
        return cls(relative, float(np.abs(apart).max()), int(changed.sum()), a.size, file)

    def within(self, column: str) -> bool:
        """Whether the distance is one that rounding alone can make in that column; of others nothing is said."""
        kind, most = TOLERANCES.get(column, ("relative", math.inf))
        return bool(getattr(self, kind) <= most)

    def with_(self, other: Apart) -> Apart:
        """The further of both, with the cells of both."""
        worst = max(self, other)
        return Apart(worst.relative, worst.absolute, self.cells + other.cells, self.of + other.of, worst.file)


def number(cell: str) -> float | None:
    """The number that a cell holds; None for words, and for an empty cell."""
    try:
        return float(cell)
    except ValueError:
        return None


def _relative(a: float | None, b: float | None, floor: float) -> float:
    apart = _absolute(a, b)
    return apart if a is None or b is None or apart in (0, math.inf) else apart / max(abs(a), abs(b), floor)


def _absolute(a: float | None, b: float | None) -> float:
    if a is None or b is None:
        return math.inf
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    return abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf


def columns(file: str, content: bytes) -> dict[str, Column]:
    """The columns of a file by name: a CSV's, the values of a JSON file by their keys, a file's arrays by theirs.

    The name begins with that of the file, in which `*` stands for a run, a paper or a statement. Files of other kinds
    have none.
    """
    found: dict[str, Column] = {}
    if file.endswith(".csv"):
        found = _csv(content)
    elif file.endswith(".json"):
        leaves = sorted(_leaves(json.loads(content)), key=lambda leaf: leaf[0])
        found = {key: [value for _, value in some] for key, some in groupby(leaves, key=lambda leaf: leaf[0])}
    elif file.endswith(".npy"):
        found = {"array": np.load(io.BytesIO(content))}
    elif file.endswith(".npz"):
        with np.load(io.BytesIO(content)) as archive:
            arrays = {name: np.atleast_1d(archive[name]) for name in archive.files}
        found = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}
    elif file.endswith(".safetensors"):
        found = {"tensors": np.concatenate([array.ravel() for _, array in sorted(load(content).items())])}
    kind = named(file)
    return {f"{kind} {name}": column for name, column in found.items()}


def named(file: str) -> str:
    """A file's name without the tier, with `*` for a run, a paper and a statement."""
    parts = file.split("/")[2:] if file.count("/") > 1 else file.split("/")[1:]
    if parts[0] in ("runs", "tables", "networks"):
        parts[1] = "*"
    if parts[0] == "theorems":
        parts[1:] = ["*", "*.json"]
    return "/".join(parts)


def _csv(content: bytes) -> dict[str, Column]:
    rows = list(csv.reader(io.StringIO(content.decode())))
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])} if rows else {}


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """A JSON value's leaves as cells, each with its keys; places in lists have none."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, key)
    else:
        yield key, value if isinstance(value, str) else repr(value)


def floors(found: dict[str, Column], name: str) -> list[float]:
    """A floor a cell for a check's `measured` number, its tolerance: below that a difference is rounding."""
    tolerances = (
        found.get(re.sub(r" measured$", " tolerance", name), ()) if name.endswith(" measured") else ()
    )
    return [number(cell) or 0.0 for cell in tolerances]
