"""Finite families of augmentations, whose kernel p(x | image) and so augmentation graph are exact.

A family is a chain of stages; a stage draws one of its members, deterministic maps of uint8 images (n, H, W) or
(n, H, W, C), with known probabilities. So a stage is a Markov kernel on images, and a chain is the product of
its stages' matrices: equal images met on different ways are one point. Without a stage that makes images
coarser, augmentations of different images seldom meet, and the graph of HaoChen et al. 2021 falls apart into
one component an image: end a family with `coarsen`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from spectral_ssl.data.graph import TOLERANCE
from spectral_ssl.errors import UserError

Images = NDArray[np.uint8]

LARGEST = 2**30
"""Bytes of images that one stage may hold before equal ones are merged."""


class Member(NamedTuple):
    """One transform of a stage: images (n, H, W[, C]) to as many images, all of one shape, always the same."""

    name: str
    probability: float
    apply: Callable[[Images], Images]


@dataclass(frozen=True)
class Family:
    """Stages in the order in which they are applied, each a choice among its members; see `one_of` and `compose`."""

    stages: tuple[tuple[Member, ...], ...]

    @property
    def size(self) -> int:
        """The number of transforms, one member of each stage."""
        return math.prod(map(len, self.stages))


class FamilyKernel(NamedTuple):
    """`kernel` (images, points): p(x | image), csr; `points` (points, H', W'[, C]): the distinct results.

    Points are ordered by their bytes.
    """

    kernel: sparse.csr_array
    points: Images


def one_of(members: Iterable[Member]) -> Family:
    """A family of one stage. Members of probability 0 are left out.

    Raises:
        UserError: no member, or probabilities that are negative or do not sum to 1.
    """
    listed = tuple(members)
    if not listed:
        raise UserError("an empty family: expected at least one transform; the identity is one")
    chances = np.array([member.probability for member in listed], dtype=np.float64)
    if not np.all(chances >= 0) or abs(chances.sum() - 1) > TOLERANCE * len(listed):
        raise UserError(
            f"the probabilities of {listed[0].name}, ... sum to {chances.sum():.12g} or are negative: "
            "expected a distribution over the members"
        )
    return Family((tuple(member for member in listed if member.probability > 0),))


def compose(*families: Family) -> Family:
    """The product of families: one transform of each, independently drawn, the first family's first.

    Raises:
        UserError: no family.
    """
    if not families:
        raise UserError("an empty family: pass compose at least one")
    return Family(tuple(stage for each in families for stage in each.stages))


def shifts(radius: int, probabilities: Sequence[float] | None = None) -> Family:
    """Shifts by up to `radius` whole pixels down and right (negative: up, left); black comes in.

    (2 radius + 1)^2 members, rows of offsets from top left to bottom right, uniform by default.
    """
    if radius < 0:
        raise UserError(f"a shift radius of {radius}: expected a number of pixels, 0 or more")
    steps = range(-radius, radius + 1)
    offsets = [(down, right) for down in steps for right in steps]

    def shift(down: int, right: int) -> Callable[[Images], Images]:
        return lambda images: _shifted(images, down, right)

    return _stage([(f"shift {d:+d} {r:+d}", shift(d, r)) for d, r in offsets], probabilities)


def rotations90(probabilities: Sequence[float] | None = None) -> Family:
    """Rotations by 0, 90, 180 and 270 degrees anticlockwise; uniform by default. Square images only."""

    def rotation(turns: int) -> Callable[[Images], Images]:
        return lambda images: np.rot90(images, turns, axes=(1, 2))

    return _stage([(f"rotate {90 * turns}", rotation(turns)) for turns in range(4)], probabilities)


def flips(probability: float = 0.5) -> Family:
    """A mirror image, left and right exchanged, with this probability."""
    maps: list[tuple[str, Callable[[Images], Images]]] = [
        ("as is", lambda images: images),
        ("mirror", lambda images: images[:, :, ::-1]),
    ]
    return _stage(maps, [1 - probability, probability])


def grey_levels(gains: Sequence[float], probabilities: Sequence[float] | None = None) -> Family:
    """Grey levels times one of the gains, rounded half to even and cut off at 255; uniform by default."""
    if any(not (gain >= 0 and math.isfinite(gain)) for gain in gains):
        raise UserError(f"gains {list(gains)}: expected finite factors, 0 or more")

    def scaled(gain: float) -> Callable[[Images], Images]:
        table = np.minimum(np.rint(np.arange(256) * gain), 255).astype(np.uint8)
        return lambda images: table[images]

    return _stage([(f"gain {gain:g}", scaled(gain)) for gain in gains], probabilities)


def coarsen(levels: int = 256, *, pooling: int = 1) -> Family:
    """Means over blocks of `pooling` x `pooling` pixels, sorted into `levels` equal bins of 0..255.

    One member, without a draw: the last stage of a family, where augmentations of different images meet. The
    result holds the bins' numbers 0..levels-1; 2 levels are a threshold at the mean grey level 128.

    Raises:
        UserError: levels outside 2..256, pooling below 1; when applied, sides that `pooling` does not divide.
    """
    if not 2 <= levels <= 256 or pooling < 1:
        raise UserError(
            f"coarsen to {levels} levels, pooling {pooling}: expected 2 to 256 levels, pooling >= 1"
        )
    return _stage([(f"coarsen {levels} {pooling}", lambda images: _coarsened(images, levels, pooling))], None)


def family_kernel(images: ArrayLike, family: Family) -> FamilyKernel:
    """p(x | image) exactly: the family applied to every image (n, H, W) or (n, H, W, C), uint8.

    Raises:
        UserError: no images of that kind; members of one stage that differ in shape; more results than
            `LARGEST` bytes in one stage.
    """
    points, index = _merged(_checked(images))
    kernel = sparse.csr_array((np.ones(index.size), (np.arange(index.size), index)))
    for stage in family.stages:
        _check_size(len(stage) * points.nbytes, "sample the family with sampled_kernel")
        count, chances = len(points), np.array([member.probability for member in stage])
        points, index = _merged(np.concatenate(_results(stage, [points] * len(stage))))
        entries = (np.repeat(chances, count), (np.tile(np.arange(count), len(stage)), index))
        # Equal results of two members are entries of one place, which the matrix sums.
        kernel = sparse.csr_array(kernel @ sparse.csr_array(entries, shape=(count, len(points))))
    return FamilyKernel(_sorted(kernel), points)


def sampled_kernel(
    images: ArrayLike, family: Family, draws: int, *, generator: np.random.Generator
) -> FamilyKernel:
    """Frequencies of the results of `draws` independent transforms an image: an unbiased estimate of p.

    Stage by stage, without listing the family. Products of these frequencies are NOT an unbiased estimate of
    w: pass `draws` to `augmentation_graph`, which leaves out the pairs of a draw with itself.

    Raises:
        UserError: as `family_kernel`, or no draw.
    """
    if draws < 1:
        raise UserError(f"{draws} draws an image: expected at least 1")
    start = _checked(images)
    _check_size(draws * start.nbytes, "take fewer draws or images")
    items = np.repeat(start, draws, axis=0)
    for stage in family.stages:
        chosen = generator.choice(len(stage), size=len(items), p=[member.probability for member in stage])
        found = _results(stage, [items[chosen == number] for number in range(len(stage))])
        items = np.empty((len(items), *found[0].shape[1:]), dtype=np.uint8)
        for number, result in enumerate(found):
            items[chosen == number] = result
    points, index = _merged(items)
    rows = np.repeat(np.arange(len(start)), draws)
    counts = sparse.csr_array((np.ones(index.size), (rows, index)), shape=(len(start), len(points)))
    return FamilyKernel(_sorted(counts / draws), points)


def _stage(
    maps: Sequence[tuple[str, Callable[[Images], Images]]], probabilities: Sequence[float] | None
) -> Family:
    chances = [1 / max(len(maps), 1)] * len(maps) if probabilities is None else list(probabilities)
    if len(chances) != len(maps):
        raise UserError(f"{len(chances)} probabilities for {len(maps)} transforms: expected one for each")
    return one_of(Member(name, chance, apply) for (name, apply), chance in zip(maps, chances, strict=True))


def _shifted(images: Images, down: int, right: int) -> Images:
    height, width = images.shape[1:3]
    shifted = np.zeros_like(images)
    if abs(down) < height and abs(right) < width:
        shifted[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = images[
            :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
        ]
    return shifted


def _coarsened(images: Images, levels: int, pooling: int) -> Images:
    n, height, width = images.shape[:3]
    if height % pooling or width % pooling:
        raise UserError(
            f"images of {height}x{width} pixels in blocks of {pooling}: choose a divisor of the sides"
        )
    blocks = images.reshape(n, height // pooling, pooling, width // pooling, pooling, *images.shape[3:])
    # Integers throughout: a mean on the edge between two bins must not depend on rounding.
    sums: NDArray[np.int64] = blocks.sum(axis=(2, 4), dtype=np.int64)
    return (sums * levels // (256 * pooling**2)).astype(np.uint8)


def _checked(images: ArrayLike) -> Images:
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape:
        raise UserError(
            f"images of shape {array.shape} and type {array.dtype}: expected uint8 (n, H, W) or (n, H, W, C)"
        )
    return array


def _check_size(size: int, remedy: str) -> None:
    if size > LARGEST:
        raise UserError(
            f"one stage of the family gives {size:,} bytes of images, more than {LARGEST:,}: {remedy}"
        )


def _results(stage: Sequence[Member], inputs: Sequence[Images]) -> list[Images]:
    """What each member makes of its input, if that is one image of a common shape and kind for each."""
    found = [np.asarray(member.apply(given)) for member, given in zip(stage, inputs, strict=True)]
    for member, given, result in zip(stage, inputs, found, strict=True):
        expected = (len(given), *found[0].shape[1:])
        if result.dtype != np.uint8 or result.shape != expected:
            raise UserError(
                f"'{member.name}' gives images of shape {result.shape} and type {result.dtype}: expected "
                f"{expected} and uint8, as the stage's other members"
            )
    return found


def _merged(images: Images) -> tuple[Images, NDArray[np.intp]]:
    """The distinct images in the order of their bytes, and which of them each image is (n,)."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    _, first, index = np.unique(
        flat.view(np.dtype((np.void, flat.shape[1]))).ravel(), return_index=True, return_inverse=True
    )
    return images[first], index


def _sorted(kernel: sparse.csr_array) -> sparse.csr_array:
    kernel.sort_indices()
    return kernel
