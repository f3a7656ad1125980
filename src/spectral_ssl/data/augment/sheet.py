"""A picture of what an augmentation does: images and their views side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.provenance import replacing

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation

CELL = 64
GAP = 2


def contact_sheet(
    images: Tensor,
    augmentation: Augmentation | Sequence[Augmentation],
    *,
    rows: int,
    views: int,
    generator: torch.Generator,
    path: str | Path,
    factors: Tensor | None = None,
) -> Path:
    """Write a PNG with a row an image: the original, then its views, un-normalised.

    The bytes depend on images, augmentation and the generator's state only.

    Args:
        images: (N, C, H, W) uint8, or floating point in [0, 1]; the first `rows` are shown.
        augmentation: one, or several that take turns along a row (for views that differ).
        rows: number of images.
        views: number of views of each.
        generator: the only source of randomness.
        path: the PNG file; its folder must exist.
        factors: (N, F) int64, the images' known factors, for augmentations that draw images anew.

    Raises:
        UserError: images that the augmentation refuses, or no factors for one that needs them.
    """
    from PIL import Image

    turns = augmentation if isinstance(augmentation, Sequence) else [augmentation]
    shown = images[:rows]
    drawn = [turns[k % len(turns)] for k in range(views)]
    known = None if factors is None else factors[:rows]
    columns = [turn.pixels(turn(shown, generator=generator, factors=known)) for turn in drawn]
    columns.insert(0, shown / 255 if shown.dtype == torch.uint8 else shown.float())
    side = turns[0].image_size * max(1, CELL // turns[0].image_size)
    sheet = torch.cat([_strip(column, side) for column in columns], 2)
    pixels = sheet.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    with replacing(Path(path)) as file:
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, format="PNG")
    return Path(path)


def _strip(images: Tensor, side: int) -> Tensor:
    """Stack images (N, C, H, W), each enlarged to side x side and framed in white, to (C, rows, columns)."""
    cells = functional.interpolate(images, size=(side, side), mode="nearest")
    framed = functional.pad(cells, (GAP, GAP, GAP, GAP), value=1.0)
    return framed.transpose(0, 1).flatten(1, 2)
