"""ImageNet, ILSVRC 2012 (Russakovsky et al., 2015): 1.28 million training and 50,000 validation images, 1,000 classes.

The test images have no published labels: the validation images are the test split here.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from spectral_ssl.data.archive import Member, members, shown
from spectral_ssl.data.decode import decoded
from spectral_ssl.data.official import (
    DEFAULT_FOLDER,
    FILES,
    arranged,
    nested_members,
    placed,
    small_files,
    stored_files,
    text_lines,
    verified,
)
from spectral_ssl.data.sources import Source
from spectral_ssl.errors import UserError

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
PACKED = (DEVKIT, VAL, TRAIN)
_META = "ILSVRC2012_devkit_t12/data/meta.mat"
_TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_SPLIT = {"train": "train", "val": "test"}


class _Files(NamedTuple):
    """A layout seen as files `{train,val}/<WordNet ID>/<image>`, in any order, the same at each call."""

    name: str
    sha256: str
    classes: dict[str, str]  # the names to show, by WordNet ID
    files: Callable[[], Iterator[Member]]


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """Images (image_size, image_size, 3) in the order of (class, file name), classes by WordNet ID.

    `path` is the directory of the three official archives, or one with the same images extracted as
    `train/<WordNet ID>/*.JPEG` and `val/<WordNet ID>/*.JPEG`, of which no checksum is known: where both are,
    the archives are read. They are read in sequence, once for the checksum, once for names, once for images;
    only names stay in memory. The digest is of the archives' MD5s, of the names and sizes of extracted files.

    Raises:
        UserError: no `image_size`; an archive is missing or has another checksum or layout; numbers of images
            and labels differ. While decoding: the number and the first of corrupt images.
    """
    if image_size is None:
        raise UserError("imagenet's images differ in size: give image_size, such as 64 or 224")
    folder = DEFAULT_FOLDER if path is None else path.parent if path.is_file() else path
    extracted = (folder / "train").is_dir() and (folder / "val").is_dir()
    has_archives = all((folder / name).is_file() for name in PACKED)
    layout = _extracted(folder) if extracted and not has_archives else _archives(folder, download)
    wnids = sorted(layout.classes)
    number = {wnid: i for i, wnid in enumerate(wnids)}
    classes = [layout.classes[wnid] for wnid in wnids]
    labels, rows = arranged(_index(layout, number), classes, limits, layout.name)
    shape, notes = (image_size, image_size, 3), Counter[str]()
    images = decoded(placed(layout.files(), rows), shape, notes)
    return Source(layout.name, layout.sha256, classes, shape, labels, images, notes)


def _index(layout: _Files, number: Mapping[str, int]) -> dict[str, list[tuple[int, str]]]:
    """(class number, file name) of all images by split."""
    found: dict[str, list[tuple[int, str]]] = {"train": [], "test": []}
    for file in layout.files():
        parts = file.name.split("/")
        if file.is_directory and len(parts) < 3:
            continue
        if file.is_directory or len(parts) != 3 or parts[1] not in number or not parts[2].endswith(".JPEG"):
            raise UserError(
                f"{shown(file.name)} of {layout.name} is out of place: expected images *.JPEG of "
                f"{len(number)} classes; move or remove it"
            )
        found[_SPLIT[parts[0]]].append((number[parts[1]], file.name))
    return found


def _archives(folder: Path, download: bool) -> _Files:
    # one that is missing is told before hours of checksums
    order = sorted(PACKED, key=lambda name: (folder / name).is_file())
    path = {name: verified("imagenet", [name], path=folder, download=download).path for name in order}
    stored = small_files(path[DEVKIT], [_META, _TRUTH])
    wnid_of, classes = _synsets(stored[_META])
    truth = []
    for line in text_lines(stored[_TRUTH]):
        if not line.isdecimal() or int(line) not in wnid_of:
            raise UserError(
                f"the validation ground truth has the class {shown(line)}, which meta.mat has not: "
                "get the archive again"
            )
        truth.append(wnid_of[int(line)])

    def files() -> Iterator[Member]:
        yield from _validation(path[VAL], truth)
        yield from _training(path[TRAIN], classes)

    digest = hashlib.sha256("".join(f"{FILES[name].md5}  {name}\n" for name in PACKED).encode()).hexdigest()
    return _Files("ILSVRC2012", digest, classes, files)


def _synsets(meta: bytes) -> tuple[dict[int, str], dict[str, str]]:
    """WordNet IDs by ILSVRC2012_ID, and the names to show by WordNet ID, of the classes without children."""
    import scipy.io

    try:
        synsets = scipy.io.loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"].reshape(-1)
        leaves: list[Any] = [synset for synset in synsets if int(synset["num_children"]) == 0]
        wnid_of = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in leaves}
        return wnid_of, {str(synset["WNID"]): f"{synset['WNID']} {synset['words']}" for synset in leaves}
    except Exception as error:  # a damaged MATLAB file raises almost anything
        detail = " ".join(str(error).split())
        raise UserError(f"meta.mat of {DEVKIT} is damaged ({detail}): get the archive again") from error


def _validation(path: Path, truth: Sequence[str]) -> Iterator[Member]:
    """The validation images, each under its class: the n-th label is that of number n."""
    count = 0
    for file in members(path):
        match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", file.name)
        if match is None or not 1 <= int(match[1]) <= len(truth):
            raise UserError(
                f"{shown(file.name)} in {VAL} is out of place: expected ILSVRC2012_val_00000001.JPEG to "
                f"{len(truth):08}, one a label; get the archives again"
            )
        count += 1
        yield replace(file, name=f"val/{truth[int(match[1]) - 1]}/{file.name}")
    if count != len(truth):
        raise UserError(
            f"{VAL} has {count} images, the ground truth {len(truth)} labels: get the archives again"
        )


def _training(path: Path, classes: Mapping[str, str]) -> Iterator[Member]:
    """The images of a tar that holds a tar for each class."""
    for file in stored_files(path):
        wnid = file.name.removesuffix(".tar")
        if wnid not in classes:
            raise UserError(
                f"{shown(file.name)} in {TRAIN} is of no class in meta.mat: get the archives again"
            )
        for image in nested_members(file):
            yield replace(image, name=f"train/{wnid}/{image.name}")


def _extracted(folder: Path) -> _Files:
    classes = {
        entry.name: entry.name
        for entry in (folder / "train").iterdir()
        if entry.is_dir() and entry.name[0] != "."
    }

    def files() -> Iterator[Member]:
        for split in _SPLIT:
            for file in members(folder / split):
                yield replace(file, name=f"{split}/{file.name}")

    digest = hashlib.sha256()
    for file in files():
        if not file.is_directory:
            size = (folder / file.name).stat().st_size
            digest.update(f"{file.name}\0{size}\n".encode("utf-8", "surrogateescape"))
    return _Files(folder.resolve().name, digest.hexdigest(), classes, files)
