"""Small image folders, archives of them made by hand, and what a refusal must look like."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.errors import UserError

SOURCES = Path(__file__).parents[2] / "src"


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """An image file of pixels (H, W, C) or (H, W)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, shape: tuple[int, ...] = (6, 8, 3)) -> np.ndarray:
    """Pixels."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


NAMES = [f"{split}/{name}/{i}.png" for split in ("train", "test") for name in "ab" for i in range(2)]
FILES = {name: encoded(noise(seed)) for seed, name in enumerate(NAMES)}
PIXELS = {
    split: np.stack([noise(i) for i, name in enumerate(NAMES) if name.startswith(split)])
    for split in ("train", "test")
}


def member(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    """A tar's header and data; `size` is what the header says."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data) if size is None else size
    header = info.tobuf(tarfile.GNU_FORMAT)
    return header + data.ljust(-len(data) // 512 * -512, b"\0")


def tar(*members: bytes) -> bytes:
    """A tar of such members with its end."""
    return b"".join(members) + bytes(1024)


def good_tar() -> bytes:
    """The folder as a tar."""
    return tar(*(member(name, data) for name, data in FILES.items()))


def good_zip(method: int = zipfile.ZIP_STORED) -> bytes:
    """The folder as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of members by name, whatever the names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, data)
    return buffer.getvalue()


def central(data: bytes, which: int, offset: int, value: bytes) -> bytes:
    """A zip with a field of one central directory entry replaced."""
    place = -1
    for _ in range(which + 1):
        place = data.index(b"PK\x01\x02", place + 1)
    return data[: place + offset] + value + data[place + offset + len(value) :]


def sparse_map(entries: int) -> bytes:
    """A PAX header that announces a sparse file of version 1.0, and a member that begins with its map."""
    records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    data = b"%d\n" % entries + b"1\n" * 2 * entries
    return member("h", records, kind=tarfile.XHDTYPE) + member("train/a/s.png", data)


def refusal(call: Callable[[], Any]) -> str:
    """The one line that a call ends in."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 700
    return text


def refused(folder: Path, data: bytes, name: str = "images.tar") -> str:
    """The one line that ingesting an archive of these bytes ends in; nothing is left beside it."""
    (folder / name).write_bytes(data)
    text = refusal(lambda: ingest("folder", folder / "out", path=folder / name))
    assert os.listdir(folder) == [name]
    return text


def is_right(folder: Path, *, whole: bool = True) -> bool:
    """Whether an ingested folder has the classes, labels and pixels above, all of them or the first of each class."""
    found = load(folder)
    for split, pixels in PIXELS.items():
        images, labels = getattr(found, f"{split}_images"), getattr(found, f"{split}_labels")
        rows = [2 * label + labels[:row].tolist().count(label) for row, label in enumerate(labels.tolist())]
        if not np.array_equal(images, pixels[rows]) or (whole and rows != [0, 1, 2, 3]):
            return False
    return found.classes == ["a", "b"][: len(found.classes)]


def peak_of(code: str, *arguments: str | Path, limit: int = 2**31) -> tuple[str, int]:
    """What a fresh process of `code` prints, and its peak memory in bytes; it has `limit` bytes of addresses."""
    within = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n{code}\n" + (
        "print(); print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", within, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(SOURCES), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    *printed, peak = done.stdout.split("\n")[:-1]
    return "\n".join(printed).strip(), 1024 * int(peak)
