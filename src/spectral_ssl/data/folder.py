"""Any directory or archive of `split/class/image` files, split being train or test.

Two sequential passes and no file on disk: the first reads names and image headers, the second decodes (see
`decode`). Greyscale stays greyscale (C = 1) if all images are, otherwise all become RGB. Of each image only its name
and a few numbers stay in memory, and of these only the numbers while images are decoded.
"""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.archive import Member, members, shown
from spectral_ssl.data.decode import corrupt_images, decoded, file_bytes, header
from spectral_ssl.data.sources import SPLITS, Source, first_per_class, sha256_of
from spectral_ssl.errors import UserError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}


@dataclass
class _Files:
    """The images of one class folder: file names, each ended by a zero, and which of all images each is in stored
    order. A million strings would take five times the room.
    """

    names: bytearray = field(default_factory=bytearray)
    places: array[int] = field(default_factory=lambda: array("i"))

    def add(self, name: str, place: int) -> None:
        self.names += (
            name.encode("utf-8", "surrogatepass") + b"\0"
        )  # in the order of code points, as the names
        self.places.append(place)

    def listed(self) -> list[bytes]:
        return self.names.split(b"\0")[:-1]  # type: ignore[return-value]

    def sort(self) -> str | None:
        """Sort by name; a name that occurs twice, if there is one."""
        names = self.listed()
        order = sorted(range(len(names)), key=names.__getitem__)
        self.names = bytearray().join(names[i] + b"\0" for i in order)
        self.places = array("i", (self.places[i] for i in order))
        twice = next((names[i] for i, j in pairwise(order) if names[i] == names[j]), None)
        return None if twice is None else twice.decode("utf-8", "surrogatepass")


@dataclass
class _Index:
    """All images and class folders. The arrays have an item an image, in stored order."""

    files: dict[tuple[str, ...], _Files] = field(default_factory=dict)  # by split and class
    folders: set[tuple[str, ...]] = field(default_factory=set)
    hashes: array[int] = field(default_factory=lambda: array("q"))  # of names
    widths: array[int] = field(default_factory=lambda: array("i"))  # 0: an unreadable image
    heights: array[int] = field(default_factory=lambda: array("i"))
    coloured: bytearray = field(default_factory=bytearray)
    sha256: str = ""

    def add(self, parts: tuple[str, ...], name: str, data: bytes | None) -> None:
        """Take up an image, by the parts of its name and the name whole."""
        self.files.setdefault(parts[:2], _Files()).add("/".join(parts[2:]), len(self.hashes))
        self.hashes.append(hash(name))
        known = None if data is None else header(name, data)
        width, height = known.size if known else (0, 0)
        self.widths.append(width)
        self.heights.append(height)
        self.coloured.append(known is not None and not known.grey)


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Index a directory or archive; its images are decoded as the returned source is consumed.

    `download` changes nothing: only official archives have an address.

    Raises:
        UserError: no path; an archive that cannot be read (see `archive.members`); a split, class or image
            out of place; sizes that differ without `image_size`. While decoding: the number and the first of
            corrupt images; an archive that changed since it was indexed.
    """
    if path is None:
        raise UserError(
            "the data set 'folder' needs a path: give a directory or archive of split/class/image files"
        )
    index = _index(path)
    classes = _classes(path, index)
    labels: dict[str, NDArray[np.int64]] = {}
    chosen: dict[str, NDArray[np.intc]] = {}
    for split in SPLITS:
        # by (class, file): a plain sort of paths would put "a-b/x" before "a/x"
        parts = [index.files.get((split, name), _Files()) for name in classes]
        every = np.arange(len(classes)).repeat([len(files.places) for files in parts])
        keep = first_per_class(every, limits[split], classes, split)
        labels[split] = every[keep]
        chosen[split] = np.concatenate([np.asarray(files.places) for files in parts])[keep]
    shape = _common_shape(index, np.concatenate([chosen[split] for split in SPLITS]), image_size)
    notes: Counter[str] = Counter()
    images = decoded(_placed(path, index.hashes, chosen), shape, notes)
    return Source(path.resolve().name, index.sha256, classes, shape, labels, images, notes)


def _index(path: Path) -> _Index:
    index, digest = _Index(), hashlib.sha256()
    for member in members(path):
        parts = tuple(member.name.split("/"))
        if member.is_directory:
            index.folders.add(parts[:2])
            continue
        if Path(parts[-1]).suffix.lower() not in _SUFFIXES:
            raise UserError(
                f"{shown(member.name)} is not an image: expected only images in class folders; remove it"
            )
        if len(parts) != 3 and (len(parts) == 1 or parts[0] in SPLITS):
            raise UserError(
                f"{shown(member.name)} is out of place: expected split/class/image; move or remove it"
            )
        data = file_bytes(member)
        index.add(parts, member.name, data)
        if path.is_dir():
            digest.update(
                member.name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(data or b"").digest()
            )
    index.sha256 = digest.hexdigest() if path.is_dir() else sha256_of(path)
    index.folders.update(index.files)
    for folder, files in index.files.items():
        if (twice := files.sort()) is not None:
            raise UserError(
                f"{shown('/'.join((*folder, twice)))} occurs twice in {path.name}: pack the archive again"
            )
    return index


def _classes(path: Path, index: _Index) -> list[str]:
    filled = set(index.files)
    tops = sorted({parts[0] for parts in index.folders})
    for split in SPLITS:
        if not any(folder[0] == split for folder in filled):
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
    _check_names(path, train)
    return train


def _check_names(path: Path, classes: Sequence[str]) -> None:
    """Refuse class names that cannot be printed, and two that look the same."""
    seen: dict[str, str] = {}
    for name in classes:
        if not name.isprintable():
            raise UserError(
                f"{path.name} has a class {shown(name)}: expected a name that can be printed on a line; rename "
                "the folder"
            )
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise UserError(
                f"{path.name} has two classes {shown(name)} that differ only in how accents are stored: merge or "
                "rename the folders"
            )


def _common_shape(index: _Index, chosen: NDArray[np.intc], image_size: int | None) -> tuple[int, int, int]:
    """The shape (H, W, C) of the images with these places."""
    widths, heights = (np.asarray(of_all)[chosen] for of_all in (index.widths, index.heights))
    readable = np.flatnonzero(widths)
    if not readable.size:
        raise corrupt_images(len(chosen), _name_of(index, int(chosen[0])))
    channels = 3 if np.asarray(index.coloured)[chosen].any() else 1
    if image_size is not None:
        return image_size, image_size, channels
    first = readable[0]
    width, height = int(widths[first]), int(heights[first])
    odd = readable[(widths[readable] != width) | (heights[readable] != height)]
    if odd.size:
        name, other = (shown(_name_of(index, int(chosen[row]))) for row in (odd[0], first))
        raise UserError(
            f"{name} has {widths[odd[0]]}x{heights[odd[0]]} pixels, {other} {width}x{height}: give image_size to "
            "resize all images to one size"
        )
    return height, width, channels


def _name_of(index: _Index, place: int) -> str:
    for folder, files in index.files.items():
        if place in files.places:
            name = files.listed()[files.places.index(place)].decode("utf-8", "surrogatepass")
            return "/".join((*folder, name))
    raise AssertionError(place)


def _placed(
    path: Path, hashes: array[int], chosen: Mapping[str, NDArray[np.intc]]
) -> Iterator[tuple[Member, tuple[str, int]]]:
    """The chosen images with their split and row, told by their place in the stored order.

    A second pass meets the same names, or the archive changed in between.
    """
    rows = np.full(len(hashes), -1, np.intc)
    start = 0
    for split in SPLITS:
        rows[chosen[split]] = start + np.arange(len(chosen[split]))
        start += len(chosen[split])
    train = len(chosen["train"])
    place = 0
    for member in members(path):
        if member.is_directory:
            continue
        if place == len(hashes) or hash(member.name) != hashes[place]:
            raise UserError(f"{path.name} changed while being read; run again")
        row = int(rows[place])
        if row >= 0:
            yield member, ("train", row) if row < train else ("test", row - train)
        place += 1
