"""Tiny ImageNet (Stanford CS231n, 2015): 200 classes, 64x64 pixels; 100,000 training and 10,000 validation images.

The archive's own test images have no labels and are ignored: the validation images are the test split here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from spectral_ssl.data.archive import members, reading, shown
from spectral_ssl.data.decode import decoded
from spectral_ssl.data.official import arranged, missing, placed, text_lines, verified
from spectral_ssl.data.sources import Source, sha256_of
from spectral_ssl.errors import UserError

SIDE = 64
_ROOT = "tiny-imagenet-200"
_WNIDS, _WORDS = f"{_ROOT}/wnids.txt", f"{_ROOT}/words.txt"
_ANNOTATIONS = f"{_ROOT}/val/val_annotations.txt"
Found = list[tuple[int, str]]  # class number, file name


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Images (64, 64, 3) in the order of (class, file name); the few greyscale ones become RGB.

    Classes are ordered by WordNet ID, as torchvision's ImageFolder has them, and named by it and its words.

    Raises:
        UserError: the archive is missing, has another checksum or another layout; images and annotations that
            do not fit each other. While decoding: the number and the first of corrupt images.
    """
    archive = verified("tiny_imagenet", ["tiny-imagenet-200.zip"], path=path, download=download)
    texts, names = _index(archive.path)
    wnids = sorted(text_lines(texts[_WNIDS]))
    words = dict(line.split("\t", 1) for line in text_lines(texts[_WORDS]) if "\t" in line)
    classes = [f"{wnid} {words[wnid]}" if wnid in words else wnid for wnid in wnids]
    number = {wnid: i for i, wnid in enumerate(wnids)}
    found = {
        "train": _training(names, number),
        "test": _validation(archive.path, names, text_lines(texts[_ANNOTATIONS]), number),
    }
    labels, rows = arranged(found, classes, limits, archive.path.name)
    side = image_size or SIDE
    notes: Counter[str] = Counter()
    images = decoded(placed(members(archive.path), rows), (side, side, 3), notes)
    return Source(archive.name, sha256_of(archive.path), classes, (side, side, 3), labels, images, notes)


def _index(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """The text files that matter, and the names of all images."""
    texts: dict[str, bytes] = {}
    names: list[str] = []
    for member in members(path):
        if member.name in (_WNIDS, _WORDS, _ANNOTATIONS):
            with reading(path):
                texts[member.name] = member.read()
        elif member.name.endswith(".JPEG"):
            names.append(member.name)
    for name in (_WNIDS, _WORDS, _ANNOTATIONS):
        if name not in texts:
            raise missing(path, name)
    return texts, names


def _training(names: Sequence[str], number: Mapping[str, int]) -> Found:
    found = []
    for name in names:
        if name.startswith(f"{_ROOT}/train/"):
            wnid = name.split("/")[2]
            if wnid not in number:
                raise UserError(
                    f"{shown(name)} is of no class in wnids.txt: expected {len(number)} classes; get the archive again"
                )
            found.append((number[wnid], name))
    return found


def _validation(path: Path, names: Sequence[str], lines: Sequence[str], number: Mapping[str, int]) -> Found:
    """The validation images with their annotations: file name, WordNet ID and a bounding box, tab-separated."""
    of_file = {}
    for line in lines:
        file, wnid, *_ = [*line.split("\t"), ""]
        if wnid not in number:
            raise UserError(
                f"val_annotations.txt gives {shown(file)} the class {shown(wnid) or 'nothing'}, which is not in "
                "wnids.txt: get the archive again"
            )
        of_file[f"{_ROOT}/val/images/{file}"] = number[wnid]
    images = [name for name in names if name.startswith(f"{_ROOT}/val/")]
    for name in images:
        if name not in of_file:
            raise UserError(f"{shown(name)} is not in val_annotations.txt: get the archive again")
    absent = sorted(set(of_file) - set(images))
    if absent:
        raise UserError(
            f"val_annotations.txt names {len(of_file)} images, {path.name} has {len(images)}; the first missing "
            f"is {shown(absent[0])}: get the archive again"
        )
    return [(of_file[name], name) for name in images]
