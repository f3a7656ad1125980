"""Any directory or archive of `split/class/image` files, split being train or test.

Two sequential passes and no file on disk: the first reads names and image headers, the second decodes (see
`decode`). Greyscale stays greyscale (C = 1) if all images are, otherwise all become RGB.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.archive import members, shown
from spectral_ssl.data.decode import Header, corrupt_images, decoded, file_bytes, header
from spectral_ssl.data.sources import SPLITS, Source, first_per_class, sha256_of
from spectral_ssl.errors import UserError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}


@dataclass
class _Index:
    """Names of all images with their headers (None: unreadable), and all class folders."""

    headers: dict[str, Header | None] = field(default_factory=dict)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    sha256: str = ""


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Index a directory or archive; its images are decoded as the returned source is consumed.

    `download` changes nothing: only official archives have an address.

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
    corrupt = [name for name in rows if index.headers[name] is None]
    images = decoded(members(path), rows, shape, notes, corrupt)
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
        data = file_bytes(member)
        index.headers[member.name] = None if data is None else header(member.name, data)
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
    readable = [(name, known) for name in names if (known := index.headers[name])]
    if not readable:
        raise corrupt_images(names)
    channels = 1 if all(known.grey for _, known in readable) else 3
    if image_size is not None:
        return image_size, image_size, channels
    first_name, first = readable[0]
    for name, known in readable:
        if known.size != first.size:
            raise UserError(
                f"{shown(name)} has {known.size[0]}x{known.size[1]} pixels, {shown(first_name)} "
                f"{first.size[0]}x{first.size[1]}: give image_size to resize all images to one size"
            )
    return first.size[1], first.size[0], channels
