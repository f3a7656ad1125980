"""STL-10 (Coates, Ng & Lee, 2011): 96x96 pixels, 10 classes; 5,000 labelled and 100,000 unlabelled training images.

The images are bytes by colour plane, each plane column by column. Labels count from 1 in the archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.decode import resized
from spectral_ssl.data.official import StoredFile, check_labels, missing, stored_files, text_lines, verified
from spectral_ssl.data.sources import SPLITS, Source, first_per_class, sha256_of
from spectral_ssl.errors import UserError

SIDE = 96
BYTES = 3 * SIDE * SIDE  # of an image
_FOLDER = "stl10_binary"
_IMAGES = {part: f"{_FOLDER}/{part}_X.bin" for part in ("train", "test", "unlabeled")}
_LABELS = {split: f"{_FOLDER}/{split}_y.bin" for split in SPLITS}
_NAMES = f"{_FOLDER}/class_names.txt"


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Training images are the labelled ones, then the unlabelled with label -1, each in the archive's order.

    Images (96, 96, 3) are streamed from the archive, of which only labels stay in memory. A limit on training
    images counts labelled ones and leaves out the others.

    Raises:
        UserError: the archive is missing, has another checksum or another layout; labels that do not fit.
    """
    archive = verified("stl10", ["stl10_binary.tar.gz"], path=path, download=download)
    counts, small = _index(archive.path)
    classes = text_lines(small[_NAMES])
    labels, rows = {}, {}
    for split in SPLITS:
        every = np.frombuffer(small[_LABELS[split]], np.uint8).astype(np.int64) - 1
        if counts[split] != len(every):
            raise UserError(
                f"{archive.path.name} has {counts[split]} {split} images and {len(every)} labels: "
                "get the archive again"
            )
        check_labels(every, classes, split, archive.path.name)
        if split == "train":
            every = np.concatenate([every, np.full(counts["unlabeled"], -1)])
        keep = first_per_class(every, limits[split], classes, split)
        labels[split] = every[keep]
        rows[split] = {int(index): row for row, index in enumerate(keep)}
    first = {_IMAGES["train"]: ("train", 0), _IMAGES["test"]: ("test", 0)}
    first[_IMAGES["unlabeled"]] = ("train", counts["train"])
    side, notes = image_size or SIDE, Counter[str]()
    if unlabelled := int((labels["train"] < 0).sum()):
        notes["unlabelled"] = unlabelled

    def decoded() -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
        for file in stored_files(archive.path):
            if file.name in first:
                split, start = first[file.name]
                for row, image in _chosen(file, start, rows[split]):
                    yield split, row, resized(image, side, notes)

    digest = sha256_of(archive.path)
    return Source(archive.name, digest, classes, (side, side, 3), labels, decoded(), notes)


def _index(path: Path) -> tuple[dict[str, int], dict[str, bytes]]:
    """The number of images in each part, and the bytes of the small files by name."""
    sizes: dict[str, int] = {}
    small: dict[str, bytes] = {}
    for file in stored_files(path):
        sizes[file.name] = file.size
        if file.name in (*_LABELS.values(), _NAMES):
            small[file.name] = file.read(file.size)
    for name in (*_IMAGES.values(), *_LABELS.values(), _NAMES):
        if name not in sizes:
            raise missing(path, name)
    for name in _IMAGES.values():
        if sizes[name] % BYTES:
            raise UserError(f"{name} has {sizes[name]} bytes, no multiple of {BYTES}: get the archive again")
    return {part: sizes[name] // BYTES for part, name in _IMAGES.items()}, small


def _chosen(file: StoredFile, start: int, rows: Mapping[int, int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(row, image (H, W, C)) of a file's images that `rows` names, the first of them being number `start`."""
    numbers = range(start, start + file.size // BYTES)
    last = max((number for number in numbers if number in rows), default=-1)
    for number in range(start, last + 1):
        data = file.read(BYTES)
        if number in rows:
            # (C, W, H) in the file
            yield rows[number], np.frombuffer(data, np.uint8).reshape(3, SIDE, SIDE).transpose(2, 1, 0)
