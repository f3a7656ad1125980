"""Data sets as plain arrays on disk: `ingest` writes a folder once, `load` maps it into memory.

A folder holds `{train,test}_images.npy` (N, H, W, C) uint8, `{train,test}_labels.npy` (N,) int64,
`{train,test}_factors.npy` (N, F) int64 and `meta.json`. A training image without a label has label -1. Factors
are labels known besides the class, such as an image's colour; most data sets have none, F = 0.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.arrays import read_array
from spectral_ssl.data.partial import replacing
from spectral_ssl.errors import UserError, unknown

SPLITS = ("train", "test")
_ARRAYS = tuple(f"{split}_{what}.npy" for split in SPLITS for what in ("images", "labels", "factors"))
# Each module has `read(*, path, image_size, limits, download) -> Source` and is imported only when its data set
# is asked for.
_READERS = {
    "digits": "spectral_ssl.data.digits",
    "factors": "spectral_ssl.data.factors",
    "folder": "spectral_ssl.data.folder",
    "cifar10": "spectral_ssl.data.cifar10",
    "cifar100": "spectral_ssl.data.cifar100",
    "stl10": "spectral_ssl.data.stl10",
    "tiny_imagenet": "spectral_ssl.data.tiny_imagenet",
    "imagenet": "spectral_ssl.data.imagenet",
}


@dataclass(frozen=True)
class Source:
    """What a reader gives: everything known before decoding, and the images one by one.

    `images` yields (split, row, image), image (H, W, C) uint8 of `shape`, in any order, each row exactly
    once. `notes` counts what was done to images (resized, converted, ...) and is complete once `images` is
    exhausted. `factors` holds, by split, known labels besides the class (N, F), named by `factor_names`.
    """

    name: str
    sha256: str
    classes: list[str]
    shape: tuple[int, int, int]
    labels: Mapping[str, NDArray[np.int64]]
    images: Iterator[tuple[str, int, NDArray[np.uint8]]]
    notes: Counter[str] = field(default_factory=Counter)
    factor_names: list[str] = field(default_factory=list)
    factors: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def factors_of(self, split: str) -> NDArray[np.int64]:
        """The factors of a split (N, F); F = 0 where none are known."""
        return self.factors.get(split, np.empty((len(self.labels[split]), 0), np.int64))


@dataclass(frozen=True)
class Dataset:
    """A data set in memory-mapped, read-only arrays: images (N, H, W, C) uint8, labels (N,) and factors (N, F)
    int64.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    train_factors: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    test_factors: NDArray[np.int64]
    classes: list[str]
    meta: dict[str, Any]


def dataset_names() -> list[str]:
    """The names that `ingest` knows, sorted."""
    return sorted(_READERS)


def reader_module(name: str) -> str:
    """The module that reads a data set; UserError, listing the known ones, for an unknown name."""
    if name not in _READERS:
        raise unknown("data set", name, _READERS)
    return _READERS[name]


def ingest(
    name: str,
    out_dir: str | Path,
    *,
    path: str | Path | None = None,
    image_size: int | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    download: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a data set as arrays into `out_dir` and return its `meta.json`.

    Images come in the order of (class, file name), or in their archive's own (cifar10, cifar100, stl10). The
    arrays are written into a sibling of `out_dir` that replaces it at the end: a failure leaves nothing new,
    and an earlier result stands until the new one is complete.

    Args:
        name: one of `dataset_names()`.
        out_dir: the folder to write; an earlier result there is replaced.
        path: `folder`: a directory or archive of `split/class/image` files. Official data sets: their archive
            or the directory that holds it; None: `data/` in the working directory.
        image_size: side in pixels. Images of another size are cropped centrally to a square and resized by
            Pillow's antialiased bicubic filter. None keeps the size, which must then be the same for all.
        train_limit: total number of training images to keep: the first of each class in that order, the same
            number for every class. At least the size of the split, or None: all of them. Images without a label are
            kept only without a limit.
        test_limit: the same for test images.
        download: fetch an official archive that is missing, where its owner allows it.
        progress: called as `progress(images done, images in total)` after every image.

    Raises:
        UserError: an unknown name, a source that cannot be used (see the readers), a limit that cannot be
            met, an `out_dir` with files of another kind, too little room on its disk, or a failure to write.
    """
    if name not in _READERS:
        raise unknown("data set", name, _READERS)
    limits = {"train": train_limit, "test": test_limit}
    for key, value in {
        "image_size": image_size,
        "train_limit": train_limit,
        "test_limit": test_limit,
    }.items():
        if value is not None and value < 1:
            raise UserError(f"{key} is {value}: expected a positive whole number, or none at all")
    out = Path(out_dir).absolute()
    _check_replaceable(out)
    reader = import_module(_READERS[name])
    place = None if path is None else Path(path)
    source = reader.read(path=place, image_size=image_size, limits=limits, download=download)
    image_bytes = sum(map(len, source.labels.values())) * int(np.prod(source.shape))
    with replacing(out, image_bytes) as part:
        _write_arrays(source, part, progress)
        meta = {
            "dataset": name,
            "source": source.name,
            "source_sha256": source.sha256,
            "classes": source.classes,
            "factors": source.factor_names,
            "image_shape": list(source.shape),
            "counts": {split: len(source.labels[split]) for split in SPLITS},
            "limits": limits,
            "image_size": image_size,
            "notes": dict(sorted(source.notes.items())),
            "sha256": {array: sha256_of(part / array) for array in _ARRAYS},
        }
        (part / "meta.json").write_text(
            json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return meta


def load(folder: str | Path) -> Dataset:
    """Map a folder written by `ingest`; images are read when used. Checksums are not recomputed.

    Raises:
        UserError: the folder is incomplete, or its arrays disagree with `meta.json`.
    """
    folder = Path(folder)
    repair = "delete the folder and ingest the data set again"
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: read_array(folder / name, mapped=True, repair=repair) for name in _ARRAYS}
        classes = list(meta["classes"])
        expected: dict[str, tuple[tuple[int, ...], type]] = {}
        for split in SPLITS:
            count = meta["counts"][split]
            expected[f"{split}_images.npy"] = (count, *meta["image_shape"]), np.uint8
            expected[f"{split}_labels.npy"] = (count,), np.int64
            expected[f"{split}_factors.npy"] = (count, len(meta["factors"])), np.int64
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: {repair}") from error
    except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{folder} is damaged ({type(error).__name__}: {detail}): {repair}") from error
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            raise UserError(
                f"{folder / name} holds {array.dtype} {array.shape}, meta.json says "
                f"{np.dtype(dtype)} {shape}: {repair}"
            )
        lowest = -1 if name == "train_labels.npy" else 0  # -1: no label
        if name.endswith("labels.npy") and not lowest <= array.min() <= array.max() < len(classes):
            raise UserError(f"{folder / name} has labels outside {lowest}..{len(classes) - 1}: {repair}")
    by_field = {name.removesuffix(".npy"): array for name, array in arrays.items()}
    return Dataset(**by_field, classes=classes, meta=meta)


def training_images(folder: str | Path) -> int:
    """How many training images a folder written by `ingest` describes; its arrays need not be there.

    Raises:
        UserError: there is no description, or another one.
    """
    path = Path(folder) / "meta.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["counts"]["train"])
    except FileNotFoundError:
        raise UserError(f"{path} is missing: ingest the data set") from None
    except (ValueError, KeyError, TypeError) as error:
        detail = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged ({type(error).__name__}: {detail}): ingest the data set again"
        ) from None


def first_per_class(
    labels: NDArray[np.int64], limit: int | None, classes: Sequence[str], split: str
) -> NDArray[np.intp]:
    """Indices, ascending, of the first `limit / C` samples of each of C classes; all N if there is no limit.

    Samples without a label (-1) are left out where there is one; a limit above the others' number keeps these.

    Raises:
        UserError: the limit is not a multiple of C, or a class has too few samples.
    """
    if limit is None:
        return np.arange(len(labels))
    labelled = np.flatnonzero(labels >= 0)
    if limit >= len(labelled):
        return labelled
    share, rest = divmod(limit, len(classes))
    counts = np.bincount(labels[labelled], minlength=len(classes))
    if rest or share == 0:
        raise UserError(
            f"{split}_limit is {limit}, not the same number for each of {len(classes)} classes: "
            f"take {max(share, 1) * len(classes)}"
        )
    if counts.min() < share:
        raise UserError(
            f"{split}_limit is {limit}, {share} a class, but class {classes[int(counts.argmin())]} has "
            f"{counts.min()} images: take at most {counts.min() * len(classes)}, or no limit"
        )
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:share] for c in range(len(classes))]))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_arrays(source: Source, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    # Rows go through pwrite, not through the map: a full disk is then an OSError instead of a SIGBUS, and the
    # written pages don't count as this process's memory.
    total = sum(len(labels) for labels in source.labels.values())
    row_bytes, done = int(np.prod(source.shape)), 0
    with ExitStack() as stack:
        files = {}
        for split in SPLITS:
            np.save(folder / f"{split}_labels.npy", source.labels[split], allow_pickle=False)
            np.save(folder / f"{split}_factors.npy", source.factors_of(split), allow_pickle=False)
            target = folder / f"{split}_images.npy"
            shape = (len(source.labels[split]), *source.shape)
            start = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).offset
            files[split] = stack.enter_context(target.open("r+b")).fileno(), start
        for split, row, image in source.images:
            descriptor, start = files[split]
            if os.pwrite(descriptor, image.tobytes(), start + row * row_bytes) != row_bytes:
                raise OSError("an image was written only in part")
            done += 1
            if progress:
                progress(done, total)
    if done != total:
        raise UserError(
            f"{source.name} gave {done} of {total} images: it changed while being read; run again"
        )


def _check_replaceable(out: Path) -> None:
    ours = {*_ARRAYS, "meta.json"}
    if out.is_dir():
        others = sorted(p.name for p in out.iterdir() if p.name not in ours)
        if others:
            raise UserError(
                f"{out} holds {others[0]}, which is no part of a data set: choose an empty or new folder"
            )
    elif out.exists():
        raise UserError(f"{out} is a file, expected a folder to write into: choose another")
