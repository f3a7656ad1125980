"""Zip archives whose directory lies: one clear line, or the right images."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from spectral_ssl.data.sources import ingest

from .made import (
    FILES,
    central,
    good_zip,
    is_right,
    refused,
    zipped,
)

DAMAGED = "is truncated or damaged"
UNSAFE = "has a member with an unsafe path"


def zip64(data: bytes) -> bytes:
    """A zip whose first entry claims 2^60 bytes in a zip64 field."""
    place = data.index(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, 2**60)
    name_length = struct.unpack_from("<H", data, place + 28)[0]
    end = data.index(b"PK\x05\x06")
    size = struct.unpack_from("<I", data, end + 12)[0] + len(extra)
    entry = bytearray(data[place : place + 46 + name_length])
    entry[24:28], entry[30:32] = b"\xff" * 4, struct.pack("<H", len(extra))
    tail = data[end : end + 12] + struct.pack("<I", size) + data[end + 16 :]
    return data[:place] + bytes(entry) + extra + data[place + 46 + name_length : end] + tail


ZIPS = {
    "overlapping entries": (lambda z: central(z, 1, 42, bytes(4)), "members that overlap"),
    "a quoted bomb": (lambda z: central(z, 0, 20, struct.pack("<I", 500)), "members that overlap"),
    "bzip2": (lambda z: central(z, 0, 10, b"\x0c\0"), "is compressed by method 12"),
    "LZMA": (lambda z: central(z, 0, 10, b"\x0e\0"), "is compressed by method 14"),
    "Deflate64": (lambda z: central(z, 0, 10, b"\x09\0"), "is compressed by method 9"),
    "encrypted": (lambda z: central(z, 0, 8, b"\x01\0"), "is encrypted"),
    "a device": (lambda z: central(z, 0, 40, b"\0\x20"), "is neither a file nor a directory"),
    "a link": (lambda z: central(z, 0, 40, b"\0\xa0"), "is a symbolic link"),
    "a version of the future": (lambda z: central(z, 0, 6, b"\xff\0"), DAMAGED),
    "another name inside": (lambda z: central(z, 0, 46, b"train/a/9.png"), "1 corrupt image, train/a/9.png"),
    "another size": (lambda z: central(z, 0, 24, b"\x09\0\0\0"), "1 corrupt image, train/a/0.png"),
    "another checksum": (lambda z: central(z, 0, 16, b"\0\0\0\0"), "1 corrupt image, train/a/0.png"),
    "a zero byte in a name": (lambda z: central(z, 0, 46, b"train/a/\0.png"), UNSAFE),
    "4 GiB": (lambda z: central(z, 0, 24, b"\xfe" + b"\xff" * 3), "the limit for one image is"),
    "zip64": (zip64, "has 1152921504606846976 bytes, the limit for one image"),
    "a directory beyond the file": (lambda z: z[:-6] + b"\xff\xff\xff\x7f\0\0", "8 corrupt images"),
    "a garbled count": (lambda z: z[:-12] + b"\xff\xff" + z[-10:], ""),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_that_lies(tmp_path: Path, name: str) -> None:
    change, message = ZIPS[name]
    data = change(good_zip())
    assert data != good_zip()
    if message:
        assert message in refused(tmp_path, data, "images.zip")
        return
    (tmp_path / "images.zip").write_bytes(data)
    ingest("folder", tmp_path / "out", path=tmp_path / "images.zip")
    assert is_right(tmp_path / "out")


def test_a_name_that_a_zip_has_twice(tmp_path: Path) -> None:
    files = {**FILES, "train/b/2.png": FILES["train/a/0.png"]}
    twice = zipped(files).replace(b"train/b/2.png", b"train/b/0.png")
    assert "train/b/0.png occurs twice in images.zip" in refused(tmp_path, twice, "images.zip")
