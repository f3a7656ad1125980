"""Inequalities left <= right: how many are broken, how tight they are, and a search for one that is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.garrido2023.embeddings import SHAPES, Embedding, Seen, shape
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.search import Found, climb

SLACK = 1e-10
"""Share of a bound's terms that rounding may take."""

Sides = Callable[[Tensor], Mapping[str, Tensor]]
"""Ratio of each inequality, by name, at an unconstrained matrix K (M, N); 1 is a violation's threshold."""


def ratio(left: Tensor, right: Tensor, size: Tensor | float) -> Tensor:
    """left / right, less what rounding may take of terms of that size: above 1 exactly where left > right beyond it.

    Below 0, and not 0/0, where both sides vanish.
    """
    slack = SLACK * float(torch.as_tensor(size).detach())
    return (left - slack) / right.clamp_min(1e-6 * slack)


def unit(matrix: Tensor, axis: int) -> Tensor:
    """Columns (axis 0) or rows (axis 1) of norm 1: how an unconstrained matrix is searched over."""
    return matrix / torch.linalg.vector_norm(matrix, dim=axis, keepdim=True)


def _one(sides: Sides, name: str) -> Callable[[Tensor], Tensor]:
    return lambda point: sides(point)[name]


class Bounds:
    """Inequalities over instances and under search.

    broken: instances' inequalities with a ratio above 1. seen: ratios by family and shape; sides: by inequality;
    searched: the largest ratio that a search found, by inequality.
    """

    def __init__(self) -> None:
        self.broken = 0
        self.seen, self.sides, self.searched = Seen(), Worst(), Worst()

    def see(self, one: Embedding, ratios: Mapping[str, Tensor]) -> None:
        """Take note of an instance's ratios."""
        for name, tensor in ratios.items():
            value = float(tensor)
            self.broken += int(not value <= 1)
            self.seen.see(one, value)
            self.sides.see(name, value)

    def climb(
        self, sides: Sides, rng: np.random.Generator, *, starts: int = 1
    ) -> dict[tuple[str, str], Found]:
        """Climb every ratio from Gaussian matrices of each shape; the ends, by inequality and shape."""
        found = {}
        for kind in SHAPES:
            points: list[Array] = [rng.standard_normal(shape(rng, kind)) for _ in range(starts)]
            for name in sides(torch.from_numpy(points[0])):
                end = climb(_one(sides, name), points)
                self.searched.see(name, end.ratio if np.isfinite(end.ratio) else np.inf)
                found[name, kind] = end
        return found

    @property
    def violations(self) -> int:
        """Inequalities broken by an instance, and those that a search broke."""
        return self.broken + sum(not value <= 1 for value in self.searched.by_family.values())

    def detail(self) -> dict[str, float]:
        """Tightness (largest left/right) over instances and under search, by inequality, family and shape."""
        found = {"tightness": self.seen.value, "tightness found by search": self.searched.value}
        found |= {f"tightness: {name}": value for name, value in self.sides.by_family.items()}
        found |= {f"found by search: {name}": value for name, value in self.searched.by_family.items()}
        return found | self.seen.detail()
