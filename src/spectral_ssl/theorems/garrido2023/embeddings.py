"""Families of embedding matrices K (M, N), samples in columns, and what a check saw over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from spectral_ssl.theorems import real
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.instances import Array, harmonic_frame, orthogonal

HEAVY = 30.0
"""Factor of a heavy row or column."""

NOISE = 1e-3
"""Of a nearly collapsed embedding, relative to what all samples share."""

DENSITY = 0.3
"""Share of entries of a sparse matrix that are not zero."""

SHAPES = ("N < M", "N = M", "N > M")

LEAST, MOST = 2, 20
"""Dimensions and samples are drawn from this range, upper end excluded."""


def gaussian(rng: np.random.Generator, m: int, n: int) -> Array:
    """Independent standard normal entries."""
    return rng.standard_normal((m, n))


def heavy_row(rng: np.random.Generator, m: int, n: int) -> Array:
    """One dimension that outweighs the others."""
    matrix = gaussian(rng, m, n)
    matrix[int(rng.integers(m))] *= HEAVY
    return matrix


def heavy_column(rng: np.random.Generator, m: int, n: int) -> Array:
    """One sample that outweighs the others."""
    return heavy_row(rng, n, m).T


def low_rank(rng: np.random.Generator, m: int, n: int) -> Array:
    """Rank below both M and N: dimensional collapse."""
    rank = int(rng.integers(1, max(2, min(m, n))))
    return gaussian(rng, m, rank) @ gaussian(rng, rank, n)


def collapsed(rng: np.random.Generator, m: int, n: int) -> Array:
    """All samples nearly at one point."""
    return rng.standard_normal((m, 1)) + NOISE * gaussian(rng, m, n)


def orthonormal(rng: np.random.Generator, m: int, n: int) -> Array:
    """Orthonormal columns, or orthonormal rows where N > M."""
    return orthogonal(rng, max(m, n))[:m, :n]


def tight_frame(rng: np.random.Generator, m: int, n: int) -> Array:
    """N > M: unit columns, orthogonal rows of norm sqrt(N/M). N < M: the transpose of one; N = M:
    orthogonal.
    """
    if n < m:
        return tight_frame(rng, n, m).T
    if n == m:
        return orthogonal(rng, n)
    even = m // 2 * 2
    frame = np.ones((m, n)) / np.sqrt(m)
    frame[:even] = np.sqrt(even / m) * harmonic_frame(even, n) if even else frame[:even]
    return orthogonal(rng, m) @ frame


def sparse(rng: np.random.Generator, m: int, n: int) -> Array:
    """Mostly zeros, but no row and no column of zeros only."""
    kept = rng.random((m, n)) < DENSITY
    index = np.arange(max(m, n))
    kept[index % m, index % n] = True
    return gaussian(rng, m, n) * kept


def _encoded(name: str) -> Callable[[np.random.Generator, int, int], Array]:
    def embed(rng: np.random.Generator, m: int, n: int) -> Array:
        pixels = real.images(name, n, generator=rng)[0].reshape(n, -1) / 255
        return gaussian(rng, m, pixels.shape[1]) @ pixels.T

    return embed


MATRICES: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "gaussian": gaussian,
    "heavy row": heavy_row,
    "heavy column": heavy_column,
    "low rank": low_rank,
    "collapsed": collapsed,
    "orthonormal": orthonormal,
    "tight frame": tight_frame,
    "sparse": sparse,
    "digits": _encoded("digits"),
    "factors": _encoded("factors"),
}
"""Embeddings (M, N) by family, M, N >= 2, no row or column zero. The last two are random linear maps of the pixels
of handwritten digits and of procedural factors.
"""


class Embedding(NamedTuple):
    """An instance: its family, its `SHAPES` entry, and K (M, N)."""

    family: str
    shape: str
    matrix: Array


def shape(rng: np.random.Generator, kind: str, least: int = LEAST) -> tuple[int, int]:
    """Dimensions M and samples N of that kind of shape."""
    small, large = sorted(int(size) for size in rng.choice(np.arange(least, MOST), 2, replace=False))
    return {"N < M": (large, small), "N = M": (small, small), "N > M": (small, large)}[kind]


def unequal_shape(rng: np.random.Generator) -> tuple[int, int]:
    """Dimensions M and samples N that differ, either being the larger."""
    return shape(rng, str(rng.choice(["N < M", "N > M"])))


def embeddings(
    rng: np.random.Generator,
    instances: int,
    *,
    scaled: bool = True,
    least: int = LEAST,
    leave_out: tuple[str, ...] = (),
) -> Iterator[Embedding]:
    """`instances` matrices, families in turn, and each family through all shapes.

    scaled: by a factor from 1/100 to 100, log-uniform. least: of M and N. leave_out: families outside a
    statement's hypotheses.
    """
    names = [name for name in MATRICES if name not in leave_out]
    for index in range(instances):
        turn, place = divmod(index, len(names))
        family, kind = names[place], SHAPES[(turn + place) % len(SHAPES)]
        matrix = MATRICES[family](rng, *shape(rng, kind, least))
        yield Embedding(family, kind, matrix * 10.0 ** rng.uniform(-2, 2) if scaled else matrix)


class Seen:
    """The worst of a check's instances, by family and by shape."""

    def __init__(self) -> None:
        self.families, self.shapes = Worst(), Worst()

    def see(self, one: Embedding, *values: float) -> None:
        """Take note of an instance's values."""
        self.families.see(one.family, *values)
        self.shapes.see(one.shape, *values)

    @property
    def value(self) -> float:
        """The largest of all."""
        return self.families.value

    def detail(self) -> dict[str, float]:
        """`family NAME` and `shape NAME` to their worst."""
        return self.families.detail() | {
            f"shape {name}": worst for name, worst in self.shapes.by_family.items()
        }
