"""Any directory or archive of `split/class/image` files, split being train or test.

Two sequential passes and no file on disk: the first reads names and image headers, the second decodes. What
becomes of an image: its first frame (of an animation or a multi-page file) is turned as its EXIF orientation
says; greyscale stays greyscale (C = 1) if all images are, otherwise greyscale, palette, RGBA and CMYK images
become RGB, alpha being dropped. Sixteen-bit and floating-point images are refused, since how to scale them is
not known.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from spectral_ssl.data.archive import Member, members, shown
from spectral_ssl.data.sources import SPLITS, Source, first_per_class, sha256_of
from spectral_ssl.errors import UserError

# An image of this many decodes to 200 MB; below Pillow's own limit, where it would only warn.
MAX_PIXELS = 2**26
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no formats that run another program
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange width and height


class _Header(NamedTuple):
    size: tuple[int, int]  # width, height, as shown
    grey: bool


@dataclass
class _Index:
    """Names of all images with their headers (None: unreadable), and all class folders."""

    headers: dict[str, _Header | None] = field(default_factory=dict)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    sha256: str = ""


def read(*, path: Path | None, image_size: int | None, limits: Mapping[str, int | None]) -> Source:
    """Index a directory or archive; its images are decoded as the returned source is consumed.

    Raises:
        UserError: no path; an archive that cannot be read (see `archive.members`); a split, class or image
            out of place; sizes that differ without `image_size`. While decoding: the number and the first of
            corrupt images.
    """
    if path is None:
        raise UserError(
            "the data set 'folder' needs a path: give a directory or archive of split/class/image files"
        )
    index = _index(path)
    classes = _classes(path, index)
    number = {name: i for i, name in enumerate(classes)}
    chosen: dict[str, list[str]] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    for split in SPLITS:
        # sorted as (class, file): a plain sort of paths would put "a-b/x" before "a/x"
        parts = sorted(parts for name in index.headers if (parts := name.split("/"))[0] == split)
        every = np.array([number[class_name] for _, class_name, _ in parts], dtype=np.int64)
        keep = first_per_class(every, limits[split], classes, split)
        chosen[split], labels[split] = ["/".join(parts[i]) for i in keep], every[keep]
    names = [name for split in SPLITS for name in chosen[split]]
    shape = _common_shape(index, names, image_size)
    notes: Counter[str] = Counter()
    rows = {name: (split, row) for split in SPLITS for row, name in enumerate(chosen[split])}
    images = _decoded(path, index, rows, shape, notes)
    return Source(path.resolve().name, index.sha256, classes, shape, labels, images, notes)


def _index(path: Path) -> _Index:
    index, digest = _Index(), hashlib.sha256()
    for member in members(path):
        parts = tuple(member.name.split("/"))
        if member.is_directory:
            index.folders.add(parts)
            continue
        if Path(parts[-1]).suffix.lower() not in _SUFFIXES:
            raise UserError(
                f"{shown(member.name)} is not an image: expected only images in class folders; remove it"
            )
        if len(parts) != 3 and (len(parts) == 1 or parts[0] in SPLITS):
            raise UserError(
                f"{shown(member.name)} is out of place: expected split/class/image; move or remove it"
            )
        if member.name in index.headers:
            raise UserError(f"{shown(member.name)} occurs twice in {path.name}: pack the archive again")
        index.folders.add(parts[:2])
        data = _bytes(member)
        index.headers[member.name] = None if data is None else _header(member.name, data)
        if path.is_dir():
            digest.update(
                member.name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(data or b"").digest()
            )
    index.sha256 = digest.hexdigest() if path.is_dir() else sha256_of(path)
    return index


def _classes(path: Path, index: _Index) -> list[str]:
    filled = {tuple(name.split("/")[:2]) for name in index.headers}
    tops = sorted({parts[0] for parts in index.folders})
    for split in SPLITS:
        if not any(parts[0] == split for parts in filled):
            found = ", ".join(f"{shown(top)}/" for top in tops[:5]) or "nothing"
            raise UserError(
                f"{path.name} has no images in a {split}/ split, found {found}: expected train/ and test/"
            )
    extra = [top for top in tops if top not in SPLITS]
    if extra:
        raise UserError(f"{path.name} has {shown(extra[0])}/ beside train/ and test/: rename or remove it")
    for parts in sorted(index.folders):
        if len(parts) == 2 and parts not in filled:
            raise UserError(
                f"class {shown('/'.join(parts))} of {path.name} is empty: add images or remove the folder"
            )
    train = sorted(name for split, name in filled if split == "train")
    strangers = sorted({name for split, name in filled if split == "test"} - set(train))
    if strangers:
        raise UserError(
            f"test/ has {len(strangers)} class(es) that train/ has not, the first {shown(strangers[0])}: "
            "expected the same class folders in both"
        )
    return train


def _common_shape(index: _Index, names: Sequence[str], image_size: int | None) -> tuple[int, int, int]:
    readable = [(name, header) for name in names if (header := index.headers[name])]
    if not readable:
        raise _corrupt(names)
    channels = 1 if all(header.grey for _, header in readable) else 3
    if image_size is not None:
        return image_size, image_size, channels
    first_name, first = readable[0]
    for name, header in readable:
        if header.size != first.size:
            raise UserError(
                f"{shown(name)} has {header.size[0]}x{header.size[1]} pixels, {shown(first_name)} "
                f"{first.size[0]}x{first.size[1]}: give image_size to resize all images to one size"
            )
    return first.size[1], first.size[0], channels


def _decoded(
    path: Path,
    index: _Index,
    rows: Mapping[str, tuple[str, int]],
    shape: tuple[int, int, int],
    notes: Counter[str],
) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    corrupt = [name for name in rows if index.headers[name] is None]
    for member in members(path):
        if member.is_directory or member.name not in rows or index.headers[member.name] is None:
            continue
        data = _bytes(member)
        image = None if data is None else _pixels(data, shape, notes)
        if image is None:
            corrupt.append(member.name)
        else:
            yield *rows[member.name], image
    if corrupt:
        raise _corrupt(sorted(corrupt, key=list(rows).index))


def _corrupt(names: Sequence[str]) -> UserError:
    if len(names) == 1:
        return UserError(f"1 corrupt image, {shown(names[0])}: replace or remove it")
    return UserError(f"{len(names)} corrupt images, the first {shown(names[0])}: replace or remove them")


def _bytes(member: Member) -> bytes | None:
    """A file's bytes, or None if the archive's own checksum of it fails."""
    try:
        return member.read()
    except UserError:
        raise
    except Exception:
        return None


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        # of damaged metadata and dropped transparency, and of sizes above Pillow's limit, which is above ours
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            yield image


def _header(name: str, data: bytes) -> _Header | None:
    try:
        with _opened(data) as image:
            _check(name, image)
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            return _Header(image.size[::-1] if turned else image.size, image.mode in _GREY)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except Exception:  # Pillow's plugins raise almost anything on damaged files
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


def _pixels(data: bytes, shape: tuple[int, int, int], notes: Counter[str]) -> NDArray[np.uint8] | None:
    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    try:
        with _opened(data) as image:
            done = []
            if getattr(image, "n_frames", 1) > 1:
                done.append("first frame taken")
            if image.getexif().get(_ORIENTATION, 1) != 1:
                done.append("turned by EXIF orientation")
            upright = ImageOps.exif_transpose(image)
            if upright.mode != mode:
                done.append(f"{upright.mode} to {mode}")
                upright = upright.convert(mode)
            if upright.size != (width, height):
                done.append("resized")
                upright = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
            notes.update(done)
            return np.asarray(upright, dtype=np.uint8).reshape(shape)
    except Exception:  # as in _header
        return None
