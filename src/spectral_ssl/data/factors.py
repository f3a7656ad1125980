"""Procedural images whose shape, colour, texture and position are independent, balanced, known labels.

Ours, to make relations between samples that agree or disagree with a task on purpose: the four factors are
known for every image, and `data.render` draws any combination of them anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.sources import Source, first_per_class
from spectral_ssl.errors import UserError

DEFAULT_SIZE = 32
SMALLEST_SIZE = 8  # pixels: the texture's period is a third of the side
REPEATS = {"train": 16, "test": 4}  # images of each of the 256 combinations
SEED = 20210608  # of the nuisances; any number does
# Images drawn from one generator, so that memory stays small and an image does not depend on the limits.
BLOCK = 256
# Multiplication by a primitive element of the field of four elements; addition is the exclusive or.
TIMES = np.array([0, 2, 3, 1])


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Draw 4,096 training and 1,024 test images (size, size, 3), of 32 pixels a side unless told otherwise.

    The class is the shape. Images come in the order of classes, and within each class as `balanced_codes`
    has it, so that limits keep every factor as balanced as their number allows: exactly for a multiple of 16
    images, every pair of factors for a multiple of 64 and all combinations for a multiple of 256. Nuisances
    come from a fixed seed, other ones for each image of either split; the geometry does not depend on the
    size. Nothing is ever downloaded. The bytes are the same for the same PyTorch and kind of processor.

    Raises:
        UserError: a path is given, a side below 8 pixels, or a limit that `first_per_class` refuses.
    """
    from spectral_ssl.data.render import FACTORS

    if path is not None:
        raise UserError(f"factors is drawn, not read, and takes no path, found {path}: leave the path out")
    side = DEFAULT_SIZE if image_size is None else image_size
    if side < SMALLEST_SIZE:
        raise UserError(
            f"factors at image_size {side}; expected at least {SMALLEST_SIZE} pixels, which the textures need: "
            f"take 16 or {DEFAULT_SIZE}"
        )
    classes = list(FACTORS["shape"])
    codes = {split: balanced_codes(repeats) for split, repeats in REPEATS.items()}
    rows = {
        split: first_per_class(code[:, 0], limits[split], classes, split) for split, code in codes.items()
    }

    def drawn() -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
        seed = SEED
        for split, code in codes.items():
            yield from (
                (split, row, image) for row, image in enumerate(_images(code, rows[split], side, seed))
            )
            seed += len(code) // BLOCK

    factors = {split: code[rows[split]] for split, code in codes.items()}
    digest = hashlib.sha256()
    for split in codes:
        digest.update(factors[split].tobytes())
    for _, _, image in drawn():
        digest.update(image.tobytes())
    return Source(
        "procedural factors",
        digest.hexdigest(),
        classes,
        (side, side, 3),
        {split: code[:, 0].copy() for split, code in factors.items()},
        drawn(),
        factor_names=list(FACTORS),
        factors=factors,
    )


def balanced_codes(repeats: int) -> NDArray[np.int64]:
    """Codes (256 repeats, 4) of every combination `repeats` times, classes (the first column) in order.

    Every class has the same sequence, 64 combinations over and over. Of these any four that begin at a
    multiple of four hold each level of each factor once, and any sixteen that begin at a multiple of sixteen
    each pair of levels once: an orthogonal array over the field of four elements.
    """
    first, second, third = np.indices((4, 4, 4)).reshape(3, -1)
    others = np.stack((third, third ^ second, third ^ TIMES[second] ^ first), 1)
    shape = np.arange(4).repeat(64 * repeats)
    return np.column_stack((shape, np.tile(others, (4 * repeats, 1)))).astype(np.int64)


def _images(
    codes: NDArray[np.int64], rows: NDArray[np.intp], side: int, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """The images (side, side, 3) of the given rows, ascending, of a split; a seed for each block of rows."""
    import torch

    from spectral_ssl.data.render import nuisances, render

    for start in range(0, len(codes), BLOCK):
        chosen = rows[(rows >= start) & (rows < start + BLOCK)] - start
        if len(chosen):
            generator = torch.Generator().manual_seed(seed + start // BLOCK)
            parameters = nuisances(BLOCK, side, generator)
            images = render(torch.from_numpy(codes[start : start + BLOCK]), parameters, side)
            pixels = images[torch.from_numpy(chosen)].mul_(255).round_().to(torch.uint8)
            yield from pixels.permute(0, 2, 3, 1).contiguous().numpy()
