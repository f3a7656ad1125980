"""Small image files of every kind that ImageNet and Tiny ImageNet hold."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # EXIF tag


def picture(seed: int, size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """A smooth coloured image of (width, height)."""
    rough = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size).convert(mode)


def jpeg(
    seed: int,
    size: tuple[int, int],
    mode: str = "RGB",
    *,
    exif: bytes | None = None,
    orientation: int | None = None,
) -> bytes:
    """A JPEG file in colour, greyscale ("L") or CMYK, inverted as Adobe's programs do; `exif` is the raw block."""
    block = b"" if exif is None else b"Exif\0\0" + exif
    if orientation is not None:
        tags = Image.Exif()
        tags[ORIENTATION] = orientation
        block = tags.tobytes()
    buffer = io.BytesIO()
    picture(seed, size, mode).save(buffer, "JPEG", exif=block)
    return buffer.getvalue()


def png(seed: int, size: tuple[int, int]) -> bytes:
    """A PNG file with an alpha channel."""
    buffer = io.BytesIO()
    picture(seed, size, "RGBA").save(buffer, "PNG")
    return buffer.getvalue()
