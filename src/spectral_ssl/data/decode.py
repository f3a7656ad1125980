"""Image files to arrays of one shape, and arrays to another size.

What becomes of an image file: its first frame (of an animation or a multi-page file) is turned as its EXIF
orientation says; greyscale, palette, RGBA and CMYK images become RGB where colour is asked for, alpha being
dropped. Sixteen-bit and floating-point images are refused, since how to scale them is not known.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from spectral_ssl.data.archive import Member, shown
from spectral_ssl.data.sources import SPLITS
from spectral_ssl.errors import UserError

# An image of this many decodes to 200 MB; below Pillow's own limit, where it would only warn.
MAX_PIXELS = 2**26
MAX_SCANS = 100  # of a JPEG, each of which may touch every pixel; progressive ones have about ten
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no formats that run another program
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_SCAN = b"\xff\xda"
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {  # by its value; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXCHANGING = {_TURNS[value] for value in (5, 6, 7, 8)}  # width and height


class Header(NamedTuple):
    """What an image file says of itself."""

    size: tuple[int, int]  # width, height, as shown
    grey: bool


def header(name: str, data: bytes) -> Header | None:
    """The header of an image file, or None if it is unreadable.

    Raises:
        UserError: more than 8 bits a channel, a colour mode of another kind, or more than `MAX_PIXELS`.
    """
    try:
        with _opened(data) as image:
            _check(name, image)
            turned = _turn(image) in _EXCHANGING
            return Header(image.size[::-1] if turned else image.size, image.mode in _GREY)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception:  # Pillow's plugins raise almost anything on damaged files
        return None


def decoded(
    found: Iterable[tuple[Member, tuple[str, int]]], shape: tuple[int, int, int], notes: Counter[str]
) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """(split, row, image) of files that come with their (split, row); images are fitted to `shape` (H, W, C).

    `notes` counts what was done to them.

    Raises:
        UserError: at the end, the number and the first of corrupt images; as `header` before.
    """
    bad: list[tuple[int, int, str]] = []
    for member, (split, row) in found:
        data = file_bytes(member)
        image = None if data is None else _pixels(member.name, data, shape, notes)
        if image is None:
            bad.append((SPLITS.index(split), row, member.name))
        else:
            yield split, row, image
    if bad:
        raise corrupt_images(len(bad), min(bad)[2])


def resized(image: NDArray[np.uint8], side: int, notes: Counter[str]) -> NDArray[np.uint8]:
    """A square image (H, H, C) at another side, by Pillow's antialiased bicubic filter; itself at its own."""
    if len(image) == side:
        return image
    notes["resized"] += 1
    channels = image.shape[2]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)).reshape(side, side, channels)


def file_bytes(member: Member) -> bytes | None:
    """A file's bytes, or None if the archive's own checksum of it fails."""
    try:
        return member.read()
    except UserError:
        raise
    except Exception:
        return None


def corrupt_images(count: int, first: str) -> UserError:
    """The error for images that cannot be decoded."""
    if count == 1:
        return UserError(f"1 corrupt image, {shown(first)}: replace or remove it")
    return UserError(f"{count} corrupt images, the first {shown(first)}: replace or remove them")


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        # of damaged metadata and dropped transparency, and of sizes above Pillow's limit, which is above ours
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.format == "PNG":
                _check_png(data)
            if image.format in ("JPEG", "MPO") and data.count(_SCAN) > MAX_SCANS:
                raise ValueError("too many scans")
            yield image


def _check_png(data: bytes) -> None:
    """Raise ValueError where a chunk is not what its checksum is of: Pillow leaves those of the pixels alone."""
    place, kind = 8, b""
    while kind != b"IEND":
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big") or end >= len(
            data
        ):
            raise ValueError("a damaged chunk")
        place = end + 4


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn an image upright, as its EXIF orientation says.

    ImageNet has EXIF blocks that cannot be read, under sound pixels: such an image stays as it is. Pillow's
    `exif_transpose` would write the block anew, and fail.
    """
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as in header
        return None


def _check(name: str, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    # Pillow reduces deeper colour to 8 bits on reading and tells only here: by a raw mode such as "RGB;16B"
    # (but "BGR;16" means the 5-6-5 bits of a BMP), or by the largest value of a PPM
    layouts = [tile[3] for tile in getattr(image, "tile", ())]
    deep = any(";16" in str(layout) and "BGR;16" not in str(layout) for layout in layouts)
    deep_ppm = image.format == "PPM" and any(isinstance(a, tuple) and a[1] > 255 for a in layouts)
    if deep or deep_ppm or image.mode.startswith(("I", "F")):
        raise UserError(
            f"{shown(name)} has more than 8 bits a channel: expected 8-bit images; convert it first"
        )
    if image.mode not in _GREY | _COLOUR:
        raise UserError(
            f"{shown(name)} has colour mode {image.mode}: expected greyscale or RGB; convert it first"
        )


def _too_large(name: str) -> UserError:
    return UserError(f"{shown(name)} has more than the limit of {MAX_PIXELS} pixels: shrink or remove it")


def _pixels(
    name: str, data: bytes, shape: tuple[int, int, int], notes: Counter[str]
) -> NDArray[np.uint8] | None:
    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    try:
        with _opened(data) as image:
            _check(name, image)
            done = []
            if getattr(image, "is_animated", False):  # `n_frames` would walk through all of a GIF
                done.append("first frame taken")
            image.load()  # before the EXIF block, which PNG has after the pixels
            upright: Image.Image = image
            if (turn := _turn(image)) is not None:
                done.append("turned by EXIF orientation")
                upright = image.transpose(turn)
            if upright.mode != mode:
                done.append(f"{upright.mode} to {mode}")
                upright = upright.convert(mode)
            if upright.size != (width, height):
                done.append("resized")
                upright = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
            notes.update(done)
            return np.asarray(upright, dtype=np.uint8).reshape(shape)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception:  # as in header
        return None
