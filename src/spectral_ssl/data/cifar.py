"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) from their official archives, the Python or the binary version.

Both versions hold the same images, 32x32 pixels of 3 colour planes, row by row: 3072 bytes each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.decode import resized
from spectral_ssl.data.official import check_labels, small_files, text_lines, verified
from spectral_ssl.data.pickled import load_dictionary
from spectral_ssl.data.sources import SPLITS, Source, first_per_class, sha256_of
from spectral_ssl.errors import UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (n, 3072), labels (n,)


@dataclass(frozen=True)
class Layout:
    """Where an archive keeps what: file names by split and of the class names, and how to parse them."""

    archive: str
    files: Mapping[str, Sequence[str]]
    names: str
    batch: Callable[[bytes, str], Batch]
    classes: Callable[[bytes, str], list[str]]


def read(
    dataset: str,
    layouts: Sequence[Layout],
    *,
    path: Path | None,
    image_size: int | None,
    limits: Mapping[str, int | None],
    download: bool,
) -> Source:
    """Images (32, 32, 3) in the archive's own order, training batches by number; all in memory, 0.6 GB at most.

    Raises:
        UserError: the archive is missing, has another checksum or another layout; labels that do not fit.
    """
    by_name = {layout.archive: layout for layout in layouts}
    archive = verified(dataset, list(by_name), path=path, download=download)
    layout = by_name[archive.name]
    stored = small_files(archive.path, [layout.names, *(n for split in SPLITS for n in layout.files[split])])
    classes = layout.classes(stored[layout.names], layout.names)
    images, labels, kept = {}, {}, {}
    for split in SPLITS:
        batches = [layout.batch(stored.pop(name), name) for name in layout.files[split]]
        images[split] = [image for pixels, _ in batches for image in pixels]
        every = np.concatenate([of_batch for _, of_batch in batches])
        check_labels(every, classes, split, archive.path.name)
        kept[split] = first_per_class(every, limits[split], classes, split)
        labels[split] = every[kept[split]]
    side = image_size or SIDE
    notes: Counter[str] = Counter()

    def decoded() -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
        for split in SPLITS:
            for row, index in enumerate(kept[split]):
                planes = images[split][index].reshape(3, SIDE, SIDE)
                yield split, row, resized(planes.transpose(1, 2, 0), side, notes)

    digest = sha256_of(archive.path)
    return Source(archive.name, digest, classes, (side, side, 3), labels, decoded(), notes)


def pickled_batch(data: bytes, name: str, *, key: str) -> Batch:
    """A batch of the Python version: a dictionary with `data` (n, 3072) and a list of n labels under `key`."""
    content = load_dictionary(data, name)
    images: Any = content.get("data")
    numbers: Any = content.get(key)
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != PIXELS:
        raise UserError(f"{name} has no data of shape (n, {PIXELS}): get the archive again")
    if not _is_list_of(numbers, int) or any(not -(2**31) <= number < 2**31 for number in numbers):
        raise UserError(f"{name} has no list of whole numbers {key}: get the archive again")
    if len(images) != len(numbers):
        raise UserError(f"{name} has {len(images)} images and {len(numbers)} labels: get the archive again")
    return images, np.array(numbers, dtype=np.int64)


def pickled_names(data: bytes, name: str, *, key: str) -> list[str]:
    """The class names of the Python version: a dictionary with a list under `key`."""
    names: Any = load_dictionary(data, name).get(key)
    if not _is_list_of(names, str):
        raise UserError(f"{name} has no list of class names {key}: get the archive again")
    return list(names)


def binary_batch(data: bytes, name: str, *, label_bytes: int) -> Batch:
    """A batch of the binary version: records of labels, the last of which is the fine one, and 3072 pixels."""
    size = label_bytes + PIXELS
    if len(data) % size:
        raise UserError(f"{name} has {len(data)} bytes, no multiple of {size}: get the archive again")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64)


def text_names(data: bytes, name: str) -> list[str]:
    """The class names of the binary version: a line each."""
    return text_lines(data)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)
