"""What the readers of official data sets share: finding, fetching and verifying their archives, and reading tars.

Checksums are the MD5s that the owners publish or, where they publish none, those of torchvision 0.27; Tiny
ImageNet's, which neither has, is the one that its users agree on. They tell a damaged or another file and are no
defence against an attacker: archives are read with the same caution as any other.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.archive import (
    Member,
    check_end,
    checked,
    open_tar,
    reading,
    refused,
    shown,
    tar_members,
)
from spectral_ssl.data.compressed import expanded
from spectral_ssl.data.sources import SPLITS, first_per_class
from spectral_ssl.errors import UserError

DEFAULT_FOLDER = Path("data")  # in the working directory
MAX_SMALL_BYTES = 2**28  # of a file that is read whole; CIFAR-100's training images have 155 MB
_TORONTO = "https://www.cs.toronto.edu/~kriz"
_IMAGENET = "https://image-net.org/download.php"


class Published(NamedTuple):
    """A file as its owner publishes it: MD5 in hexadecimal, size in bytes, and where it or its form is."""

    md5: str
    size: int
    url: str
    registration: bool = False


FILES = {
    "cifar-10-python.tar.gz": Published(
        "c58f30108f718f92721af3b95e74349a", 170_498_071, f"{_TORONTO}/cifar-10-python.tar.gz"
    ),
    "cifar-10-binary.tar.gz": Published(
        "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171, f"{_TORONTO}/cifar-10-binary.tar.gz"
    ),
    "cifar-100-python.tar.gz": Published(
        "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437, f"{_TORONTO}/cifar-100-python.tar.gz"
    ),
    "cifar-100-binary.tar.gz": Published(
        "03b5dce01913d631647c71ecec9e9cb8", 168_513_733, f"{_TORONTO}/cifar-100-binary.tar.gz"
    ),
    "stl10_binary.tar.gz": Published(
        "91f7769df0f17e558f3565bffb0c7dfb",
        2_640_397_119,
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    ),
    "tiny-imagenet-200.zip": Published(
        "90528d7ca1a48142e341f4ef8d21d0de", 248_100_043, "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    ),
    "ILSVRC2012_devkit_t12.tar.gz": Published(
        "fa75699e90414af021442c21a62c3abf", 2_568_145, _IMAGENET, registration=True
    ),
    "ILSVRC2012_img_train.tar": Published(
        "1d675b47d978889d74fa0da5fadfb00e", 147_897_477_120, _IMAGENET, registration=True
    ),
    "ILSVRC2012_img_val.tar": Published(
        "29b22e2961454d5413ddabcf34fc5622", 6_744_924_160, _IMAGENET, registration=True
    ),
}


class Archive(NamedTuple):
    """A verified file, and the name in `FILES` of what it holds."""

    path: Path
    name: str


def verified(dataset: str, names: Sequence[str], *, path: Path | None, download: bool) -> Archive:
    """The archive at or in `path` (None: `DEFAULT_FOLDER`) that is one of the official `names`, by its MD5.

    With `download`, one that is in no place is fetched: the one that `path` names, or else the first.

    Raises:
        UserError: nothing there (says what to put where), another MD5, or a download that fails or is refused.
    """
    place = DEFAULT_FOLDER if path is None else path
    candidates = [place] if place.is_file() else [place / name for name in names]
    for candidate in candidates:
        if candidate.is_file():
            return Archive(candidate, _identified(candidate, names))
    target = place if place.name in names else place / names[0]
    published = FILES[target.name]
    if download and not published.registration:
        _download(target)
        return Archive(target, target.name)
    way = f"download it from {published.url} and put it there, or --set data.download=true"
    if published.registration:
        way = f"register at {published.url}, download it and put it there"
    raise UserError(
        f"{dataset} needs {target.name} ({published.size / 1e6:,.0f} MB), found no {target.absolute()}: {way}"
    )


def _md5(path: Path) -> str:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _identified(path: Path, names: Sequence[str]) -> str:
    """The one of some official files that has this file's MD5."""
    found = _md5(path)
    for name in names:
        if FILES[name].md5 == found:
            return name
    likely = [path.name] if path.name in names else names
    expected = " or ".join(f"{FILES[name].md5} ({FILES[name].size} bytes)" for name in likely)
    raise UserError(
        f"{path.name} has MD5 {found} ({path.stat().st_size} bytes), expected {expected}: it is incomplete or "
        f"another file; delete it and get it again from {FILES[likely[0]].url}"
    )


def _download(target: Path) -> None:
    """Fetch an official file under a temporary name, verify it and only then give it its own."""
    from torchvision.datasets.utils import download_url

    published = FILES[target.name]
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        download_url(published.url, part.parent, filename=part.name)
        found = _md5(part)
        if found != published.md5:
            raise UserError(
                f"{published.url} gave a file with MD5 {found}, expected {published.md5}: run again, or put "
                f"{target.name} at {target.absolute()} yourself"
            )
        part.replace(target)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"cannot download {published.url} ({detail}): check the network, or put {target.name} at "
            f"{target.absolute()} yourself"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of any size in a tar; its bytes are there once, in order, until the next file is asked for."""

    name: str
    size: int
    archive: Path
    stream: IO[bytes]

    def read(self, count: int) -> bytes:
        """The next `count` bytes; UserError if the archive ends before."""
        with reading(self.archive):
            data = self.stream.read(count)
            if len(data) != count:
                raise EOFError(f"{self.name} ends early")
            return data


def stored_files(path: Path) -> Iterator[StoredFile]:
    """The files of a tar (plain or gzip) in stored order, refusing what `archive.members` refuses but size.

    Raises:
        UserError: a truncated or damaged archive; an unsafe name, a link, or a name that occurs twice.
    """
    seen: set[str] = set()
    with reading(path), expanded(path) as stream, open_tar(stream) as tar:
        while (info := tar.next()) is not None:
            name = checked(path, info.name, 0).removeprefix("./")
            if not info.isreg() and not info.isdir():
                raise refused(path, name, "neither a file nor a directory")
            if info.issparse():
                raise refused(path, name, "a sparse file")
            if name in seen:
                raise UserError(f"{shown(name)} occurs twice in {path.name}: get the archive again")
            seen.add(name)
            content = tar.extractfile(info)
            if content is not None:
                yield StoredFile(name, info.size, path, content)
            tar.members.clear()  # type: ignore[attr-defined]  # a record of every file otherwise
        check_end(tar)


def nested_members(file: StoredFile) -> Iterator[Member]:
    """The files of a plain tar that is stored in another one, as `archive.members` gives them."""
    return tar_members(Path(file.name), lambda _: nullcontext(file.stream))


def small_files(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The bytes of some files of a tar, by name; UserError for one that is not there."""
    found: dict[str, bytes] = {}
    for file in stored_files(path):
        if file.name in names:
            if file.size > MAX_SMALL_BYTES:
                raise UserError(
                    f"{file.name} in {path.name} has {file.size} bytes, expected {MAX_SMALL_BYTES} at most: get the "
                    "archive again"
                )
            found[file.name] = file.read(file.size)
    for name in names:
        if name not in found:
            raise missing(path, name)
    return found


def missing(path: Path, name: str) -> UserError:
    """The error for a file that an archive must hold and does not."""
    return UserError(f"{path.name} has no {shown(name)}: expected the official layout; get the archive again")


def text_lines(data: bytes) -> list[str]:
    """The lines of a text file that are not blank."""
    return [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]


def check_labels(labels: NDArray[np.int64], classes: Sequence[str], split: str, archive: str) -> None:
    """Raise UserError for a label outside 0..C-1, and for a class that a split lacks."""
    outside = labels[(labels < 0) | (labels >= len(classes))]
    if outside.size:
        raise UserError(
            f"{archive} has the label {outside[0]} in its {split} split, counted from 0: expected "
            f"0..{len(classes) - 1} for {len(classes)} classes; get the archive again"
        )
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        raise UserError(
            f"{archive} has no {split} image of class {shown(classes[int(counts.argmin())])}: expected some of "
            f"each of {len(classes)} classes; get the archive again"
        )


def arranged(
    found: Mapping[str, Sequence[tuple[int, str]]],
    classes: Sequence[str],
    limits: Mapping[str, int | None],
    archive: str,
) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[str, int]]]:
    """Labels by split, and the split and row of each file name, of images in the order of (class, name).

    `found` holds (class number, file name) by split.

    Raises:
        UserError: a class without images, a name that occurs twice, or a limit that cannot be met.
    """
    labels: dict[str, NDArray[np.int64]] = {}
    rows: dict[str, tuple[str, int]] = {}
    for split in SPLITS:
        files = sorted(found[split])
        for (_, name), (_, following) in pairwise(files):
            if name == following:
                raise UserError(f"{shown(name)} occurs twice in {archive}: get the archive again")
        every = np.array([number for number, _ in files], dtype=np.int64)
        check_labels(every, classes, split, archive)
        keep = first_per_class(every, limits[split], classes, split)
        labels[split] = every[keep]
        rows.update((files[index][1], (split, row)) for row, index in enumerate(keep))
    return labels, rows


def placed(
    found: Iterable[Member], rows: Mapping[str, tuple[str, int]]
) -> Iterator[tuple[Member, tuple[str, int]]]:
    """The files that `rows` names, each with its split and row."""
    for member in found:
        if not member.is_directory and member.name in rows:
            yield member, rows[member.name]
