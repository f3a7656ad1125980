"""Archives that expand too far: refused, and never more memory than a bound."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard

from .made import (
    central,
    encoded,
    good_tar,
    member,
    peak_of,
    refused,
    sparse_map,
    tar,
)

DAMAGED = "is truncated or damaged"
ZSTD = zstandard.ZstdCompressor(write_checksum=True)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.zst", "zip"])
def test_what_expands_too_far_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compressed", "archive"):
        monkeypatch.setattr(f"spectral_ssl.data.{module}.FREE_BYTES", 2**16)
    flat = encoded(np.zeros((600, 600, 3), np.uint8), "BMP")
    names = [f"{split}/a/{i}.bmp" for split in ("train", "test") for i in range(3)]
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, flat)
        data = buffer.getvalue()
    else:
        whole = tar(*(member(name, flat) for name in names))
        data = {"tar.gz": gzip.compress, "tar.xz": lzma.compress, "tar.zst": ZSTD.compress}[kind](whole)
    assert "expands to more than 200 times its size" in refused(tmp_path, data, f"images.{kind}")


def large_window(kind: str) -> bytes:
    """A stream whose decoder is told to keep 2 or 4 GiB."""
    if kind == "zst":  # the window's descriptor of 2^31, then one last raw block
        return b"\x28\xb5\x2f\xfd\0\xa8" + struct.pack("<I", 1 | 512 << 3)[:3] + good_tar()[:512]
    data = bytearray(lzma.compress(good_tar()))
    data[16] = 40  # the dictionary's size in the first block's header
    data[20:24] = struct.pack("<I", zlib.crc32(data[12:20]))
    return bytes(data)


@pytest.mark.parametrize("kind", ["xz", "zst"])
def test_a_decoder_that_is_told_to_keep_gigabytes(tmp_path: Path, kind: str) -> None:
    text = refused(tmp_path, large_window(kind), f"images.tar.{kind}")
    assert DAMAGED in text
    assert "emory" in text


def deflated_bomb() -> bytes:
    """A zip member of 256 MiB that says it has 9 bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a/0.png", bytes(2**28))
    return central(buffer.getvalue(), 0, 24, b"\x09\0\0\0")


BOMBS = {
    "zip": deflated_bomb,
    "pax": lambda: gzip.compress(member("h", bytes(2**28), kind=b"x") + bytes(1024)),
    "sparse": lambda: gzip.compress(tar(sparse_map(2**22))),
    "name": lambda: gzip.compress(member("l", b"x" * 2**28, kind=b"L") + member("x.png") + bytes(1024)),
    "xz": lambda: large_window("xz"),
}
PEAK = """
import sys
from spectral_ssl.data import decode, folder
from spectral_ssl.errors import UserError
from pathlib import Path
try:
    source = folder.read(path=Path(sys.argv[1]), image_size=None, limits={"train": None, "test": None})
    list(source.images)
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_bomb_stays_below_64_mib_above_the_process_itself(tmp_path: Path, name: str) -> None:
    path = tmp_path / "images.bin"
    path.write_bytes(b"nothing")
    printed, idle = peak_of(PEAK, path)
    assert "unknown kind" in printed
    path.write_bytes(BOMBS[name]())
    printed, peak = peak_of(PEAK, path)
    assert "images" in printed
    assert "\n" not in printed
    assert peak - idle < 64 * 2**20
