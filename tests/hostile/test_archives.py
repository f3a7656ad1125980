"""Archives that were made to harm: one clear line, or the right images."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import socket
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from spectral_ssl.data.sources import ingest
from spectral_ssl.errors import UserError

from .made import (
    FILES,
    good_tar,
    good_zip,
    is_right,
    member,
    refusal,
    refused,
    sparse_map,
    tar,
    zipped,
)

DAMAGED = "is truncated or damaged"
UNSAFE = "has a member with an unsafe path"
ZSTD = zstandard.ZstdCompressor(write_checksum=True)
KINDS: dict[str, Callable[[], bytes]] = {
    "tar": good_tar,
    "tar.gz": lambda: gzip.compress(good_tar()),
    "tar.xz": lambda: lzma.compress(good_tar()),
    "tar.zst": lambda: ZSTD.compress(good_tar()),
    "zip": lambda: good_zip(zipfile.ZIP_DEFLATED),
}
NAMES = [
    *("/x.png", "//x.png", "/etc/passwd", "../x.png", "../../x.png", "train/../x.png", "train/a/..", ".."),
    *("train/a/../../../x.png", "./../x.png", "\\x.png", "\\\\host\\x.png", "..\\x.png", "train\\..\\x.png"),
    *("C:\\x.png", "C:/x.png", "c:x.png", "Z:", "train/..\\x.png", "train/a/./../x.png"),
]
BAD_NAMES = [  # neither unsafe nor a place for an image
    *(
        "train/a/$(touch x)",
        "train/a/{x}",
        "train/a/a\nb",
        "train\\a\\x.png",
        "~/x.png",
        "train/a/x.png/y.png",
    ),
    *(
        "train/a/\x1b[2J.txt",
        "x" * 3000,
        "x/" * 300,
        "\u202egnp.x",
        "train/x.png",
        "\udcff",
        "CON",
        "train/a/x.png ",
    ),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "pax"])
def test_every_spelling_of_an_unsafe_path(tmp_path: Path, kind: str, name: str) -> None:
    if kind == "zip":
        assert UNSAFE in refused(tmp_path, zipped(FILES | {name: b"x"}))
        return
    if kind == "pax":
        record = f" path={name}\n"
        bad = member("h", f"{len(record) + 2}{record}".encode(), kind=tarfile.XHDTYPE) + member("x.png", b"x")
    else:
        bad = member(name, b"x")
    data = tar(*(member(*item) for item in FILES.items()), bad)
    assert UNSAFE in refused(tmp_path, gzip.compress(data) if kind == "tar.gz" else data)


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_are_no_place_for_an_image(tmp_path: Path, kind: str, name: str) -> None:
    if kind == "zip" and "\udcff" in name:
        pytest.skip("a zip's names are UTF-8 or code page 437")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for each, data in (FILES | {name: b"x"}).items():
            info = tarfile.TarInfo(each)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    text = refused(tmp_path, zipped(FILES | {name: b"x"}) if kind == "zip" else buffer.getvalue())
    assert any(words in text for words in ("is not an image", "is out of place", "beside train/ and test/"))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "\u202ea", "\udcff", "a\tb", "\u2028"])
def test_a_class_whose_name_cannot_be_printed(tmp_path: Path, name: str) -> None:
    files = {f"{split}/{name}/0.png": FILES["train/a/0.png"] for split in ("train", "test")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for each, data in files.items():
            info = tarfile.TarInfo(each)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    assert "expected a name that can be printed on a line" in refused(tmp_path, buffer.getvalue())


def test_classes_that_differ_by_normalisation_are_refused_and_by_case_are_two(tmp_path: Path) -> None:
    def files(*names: str) -> bytes:
        picture = FILES["train/a/0.png"]
        return tar(*(member(f"{split}/{n}/0.png", picture) for split in ("train", "test") for n in names))

    accented = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    assert "differ only in how accents are stored" in refused(tmp_path, files(*accented))
    (tmp_path / "images.tar").write_bytes(files("a", "A"))
    assert ingest("folder", tmp_path / "out", path=tmp_path / "images.tar")["classes"] == ["A", "a"]


TARS = {
    "GNU sparse": (member("train/a/s.png", kind=tarfile.GNUTYPE_SPARSE), DAMAGED + " (a sparse member)"),
    "PAX sparse": (sparse_map(1000), DAMAGED + " (a sparse member)"),
    "block device": (member("train/a/d.png", kind=tarfile.BLKTYPE), "is neither a file nor a directory"),
    "fifo": (member("train/a/d.png", kind=tarfile.FIFOTYPE), "is neither a file nor a directory"),
    "unknown type": (member("train/a/d.png", b"x", kind=b"Q"), "is neither a file nor a directory"),
    "enormous member": (member("train/a/d.png", size=10**12), "the limit for one image is"),
    "negative size": (member("train/a/d.png", size=-512), DAMAGED),
    "long name of a gigabyte": (member("l", kind=b"L", size=2**30), "extended header of 1073741824 bytes"),
    "PAX header of a terabyte": (member("h", kind=b"x", size=10**12), "an extended header of"),
    "global header of a terabyte": (member("h", kind=b"g", size=10**12), "an extended header of"),
    "PAX record of a lying length": (member("h", b"99 path=x\n", kind=b"x") + member("x.png"), ""),
    "PAX size of text": (member("h", b"15 size=lots!!\n", kind=b"x") + member("train/a/x.png"), ""),
    "PAX size below zero": (member("h", b"12 size=-99\n", kind=b"x") + member("train/a/x.png"), ""),
    "a chain of long names": (member("l", b"x", kind=b"L") * 3000 + member("x.png"), DAMAGED),
    "a long name at the end": (member("l", b"x" * 600, kind=b"L"), DAMAGED),
    "the same name twice": (member("train/a/0.png", b"x"), "train/a/0.png occurs twice"),
    "the same name by dots": (member("./train//a/./0.png", b"x"), "train/a/0.png occurs twice"),
    "a second archive": (bytes(1024) + good_tar(), DAMAGED + " (it goes on after its end)"),
    "something after the end": (bytes(1024) + b"x", DAMAGED + " (it goes on after its end)"),
}


@pytest.mark.parametrize("name", TARS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_a_tar_that_lies(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    bad, message = TARS[name]
    assert message in refused(tmp_path, pack(tar(*(member(*item) for item in FILES.items()), bad)))


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("tail", [b"garbage" * 9, b"\x1f\x8b\x08\0", b"\xfd7zXZ\0\0"])
def test_garbage_after_a_compressed_stream(tmp_path: Path, kind: str, tail: bytes) -> None:
    assert DAMAGED in refused(tmp_path, KINDS[kind]() + tail, f"images.{kind}")


def test_streams_and_padding_that_follow_each_other_are_one(tmp_path: Path) -> None:
    data = good_tar()
    (tmp_path / "images").write_bytes(
        lzma.compress(data[:900]) + bytes(8) + lzma.compress(b"") + lzma.compress(data[900:]) + bytes(2**19)
    )
    ingest("folder", tmp_path / "out", path=tmp_path / "images")
    assert is_right(tmp_path / "out")


def corrupted(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes altered, a piece cut off, left out, doubled or zeroed."""
    at, end = sorted(rng.integers(0, len(data), 2).tolist())
    way = int(rng.integers(0, 6))
    if way < 2:
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 1 + 3 * way):
            changed[place] ^= int(rng.integers(1, 256))
        return bytes(changed)
    if way == 2:
        return data[:at]
    if way == 3:
        return data[:at] + data[end:]
    if way == 4:
        return data[:end] + data[at:]
    return data[:at] + bytes(min(end - at, 40)) + data[at + min(end - at, 40) :]


def outcome(path: Path, out: Path) -> str | None:
    """The line that an ingestion ends in; None if it works."""
    try:
        ingest("folder", out, path=path)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_is_told_or_does_not_matter(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    whole, path, out = KINDS[kind](), tmp_path / f"images.{kind}", tmp_path / "out"
    told = 0
    for seed in range(3 * max(20, request.config.getoption("trials", 0) or 0)):
        path.write_bytes(corrupted(whole, np.random.default_rng(seed)))
        if (text := outcome(path, out)) is None:
            # a tar without a checksum may lose whole members at its end
            assert is_right(out, whole=kind != "tar"), seed
            shutil.rmtree(out)
        else:
            told += 1
            assert text.isprintable(), seed
            assert not out.exists(), seed
    assert told > 20


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "loop", "unreadable"])
def test_a_path_that_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "images.tar"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(path))
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_bytes(good_tar())
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads everything")
    text = refusal(lambda: ingest("folder", tmp_path / "out", path=path))
    assert str(path) in text
    assert any(word in text for word in ("is neither a file nor", "no file or directory", "cannot read"))
