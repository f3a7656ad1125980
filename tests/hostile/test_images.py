"""Image files of every odd kind: the right pixels by a second route, or one clear line that names the image."""

from __future__ import annotations

import io
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from spectral_ssl.data.decode import MAX_SCANS
from spectral_ssl.data.sources import ingest, load
from spectral_ssl.errors import UserError

from .made import encoded, member, noise, refused, tar

FLAT = np.full((6, 8, 3), (200, 100, 50), np.uint8)
GREY = noise(1, (6, 8))
DEEP = "has more than 8 bits a channel"
LARGE = "has more than the limit of 67108864 pixels"
CORRUPT = "corrupt image"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG by hand, after the format's specification; `more` are chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def rows(pixels: np.ndarray) -> bytes:
    """Rows of a PNG, each after its filter, none."""
    flat = pixels.reshape(len(pixels), -1)
    return np.pad(flat, ((0, 0), (1, 0))).astype(np.uint8).tobytes()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def of_size(kind: str, width: int, height: int) -> bytes:
    """A whole small file whose header says another size."""
    data = bytearray(encoded(FLAT, kind))
    if kind == "JPEG":
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    else:  # GIF
        data[6:10] = data[data.index(b",") + 5 : data.index(b",") + 9] = struct.pack("<HH", width, height)
    return bytes(data)


FRAMES = [Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (10, 90, 200)]
ANIMATED = {"save_all": True, "append_images": FRAMES[1:]}
INDEXES = noise(2, (6, 8)) % 3
PALETTE = noise(3, (3, 3))
PLTE = chunk(b"PLTE", PALETTE.tobytes())
BITS = noise(4, (6, 8)) > 127
ONE_BIT = np.packbits(BITS, axis=1)
EXIF = b"Exif\0\0MM\0*\0\0\0\x08"
LOOP = EXIF[6:] + b"\0\x01\x87\x69\0\4\0\0\0\1\0\0\0\x08"
BOMB = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20 - 9)))
WELL: dict[str, tuple[str, bytes, np.ndarray]] = {
    "palette": ("png", png(8, 6, 8, 3, rows(INDEXES), PLTE), PALETTE[INDEXES]),
    "palette with alpha": (
        "png",
        png(8, 6, 8, 3, rows(INDEXES), PLTE, chunk(b"tRNS", b"\0\x80\xff")),
        PALETTE[INDEXES],
    ),
    "one bit": ("png", png(8, 6, 1, 0, rows(ONE_BIT)), np.where(BITS, 255, 0)),
    "grey with alpha": ("png", png(8, 6, 8, 4, rows(np.dstack([GREY, FLAT[..., 0]]))), GREY),
    "grey with a transparent value": ("png", png(8, 6, 8, 0, rows(GREY), chunk(b"tRNS", b"\0\x05")), GREY),
    "colour with alpha": ("png", png(8, 6, 8, 6, rows(np.dstack([noise(5), GREY]))), noise(5)),
    "CMYK TIFF": ("tif", saved(Image.fromarray(FLAT).convert("CMYK"), "TIFF"), FLAT),
    "Deflate TIFF": ("tiff", encoded(noise(6), "TIFF", compression="tiff_adobe_deflate"), noise(6)),
    "lossless WebP": ("webp", encoded(noise(7), "WEBP", lossless=True), noise(7)),
    "BMP": ("bmp", encoded(noise(8), "BMP"), noise(8)),
    "text PPM": ("ppm", b"P3\n8 6\n255\n" + b" ".join(b"%d" % v for v in FLAT.ravel()), FLAT),
    "PBM": ("pbm", b"P4\n8 6\n" + np.packbits(BITS, axis=1).tobytes(), np.where(BITS, 0, 255)),
    "animated GIF": ("gif", saved(FRAMES[0], "GIF", **ANIMATED), np.full((6, 8, 3), 10)),
    "animated PNG": ("png", saved(FRAMES[0], "PNG", **ANIMATED), np.full((6, 8, 3), 10)),
    "animated WebP": ("webp", saved(FRAMES[0], "WEBP", lossless=True, **ANIMATED), np.full((6, 8, 3), 10)),
    "pages of a TIFF": ("tif", saved(FRAMES[0], "TIFF", **ANIMATED), np.full((6, 8, 3), 10)),
    "another suffix": ("jpg", encoded(noise(9)), noise(9)),
    "a broken colour profile": ("png", encoded(noise(10), icc_profile=b"no profile"), noise(10)),
    "a colour profile": (
        "png",
        encoded(noise(11), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        noise(11),
    ),
    "hostile EXIF": ("png", encoded(noise(12), exif=EXIF + b"\xff\xff" * 40), noise(12)),
    "EXIF that points at itself": ("png", encoded(noise(13), exif=LOOP), noise(13)),
    "a bomb in a text": ("png", encoded(noise(14))[:33] + BOMB + encoded(noise(14))[33:], noise(14)),
    "something after the end": ("png", encoded(noise(15)) + b"<?php", noise(15)),
}  # fmt: skip
ILL: dict[str, tuple[str, bytes, str]] = {
    "empty": ("png", b"", CORRUPT),
    "text": ("png", b"#!/bin/sh\ntouch canary\n", CORRUPT),
    "SVG": ("png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", CORRUPT),
    "EPS": ("png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n", CORRUPT),
    "JPEG 2000": ("jpg", encoded(FLAT, "JPEG2000"), CORRUPT),
    "AVIF": ("jpg", b"\0\0\0 ftypavif" + bytes(40), CORRUPT),
    "ICO": ("png", encoded(FLAT, "ICO"), CORRUPT),
    "16-bit grey": ("png", encoded(GREY.astype(np.uint16) * 257), DEEP),
    "16-bit colour": ("png", png(8, 6, 16, 2, bytes(6 * 49)), DEEP),
    "16-bit grey with alpha": ("png", png(8, 6, 16, 4, bytes(6 * 33)), DEEP),
    "16-bit TIFF": ("tif", encoded(GREY.astype(np.uint16), "TIFF"), DEEP),
    "floating-point TIFF": ("tif", encoded(GREY.astype(np.float32), "TIFF"), DEEP),
    "32-bit TIFF": ("tif", encoded(GREY.astype(np.int32), "TIFF"), DEEP),
    "16-bit PPM": ("ppm", b"P6 8 6 65535\n" + bytes(288), DEEP),
    "Lab TIFF": ("tif", saved(Image.new("LAB", (8, 6)), "TIFF"), "has colour mode LAB"),
    "PNG of 100,000 squared": ("png", png(100_000, 100_000, 8, 2, bytes(9)), LARGE),
    "PNG of 2^31": ("png", png(2**31 - 1, 2**31 - 1, 1, 0, bytes(9)), LARGE),
    "PNG of no width": ("png", png(0, 6, 8, 2, b""), CORRUPT),
    "JPEG of 65,500 squared": ("jpg", of_size("JPEG", 65_500, 65_500), LARGE),
    "JPEG of no height": ("jpg", of_size("JPEG", 8, 0), CORRUPT),
    "GIF of 65,535 squared": ("gif", of_size("GIF", 65_535, 65_535), LARGE),
    "BMP of 2^30": ("bmp", bmp(2**30, 2**30), LARGE),
    "BMP of a negative width": ("bmp", bmp(-8, 6), LARGE),
    "PPM of 10^9": ("ppm", b"P6 1000000000 1000000000 255\n", LARGE),
    "a PNG cut in two": ("png", encoded(noise(1))[:150], CORRUPT),
    "a JPEG cut in two": ("jpg", encoded(noise(1), "JPEG")[:-40], CORRUPT),
    "a bomb in a PNG": ("png", png(8, 6, 8, 2, b"\x07" * 2**22), CORRUPT),
}


def folder(path: Path, suffix: str, data: bytes, beside: bytes) -> bytes:
    """A tar in which the image lies beside others of 8x6 pixels."""
    names = ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"]
    return tar(member(f"train/a/0.{suffix}", data), *(member(name, beside) for name in names))


@pytest.mark.parametrize("name", WELL)
def test_pixels_come_out_as_the_format_says(tmp_path: Path, name: str) -> None:
    suffix, data, expected = WELL[name]
    (tmp_path / "i.tar").write_bytes(folder(tmp_path, suffix, data, encoded(FLAT)))
    ingest("folder", tmp_path / "out", path=tmp_path / "i.tar")
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    np.testing.assert_array_equal(load(tmp_path / "out").train_images[0], expected)


@pytest.mark.parametrize("name", ILL)
def test_others_are_refused_by_name(tmp_path: Path, name: str) -> None:
    suffix, data, message = ILL[name]
    text = refused(tmp_path, folder(tmp_path, suffix, data, encoded(FLAT)))
    assert message in text
    assert f"train/a/0.{suffix}" in text


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_one_colour_is_that_colour(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(FLAT).convert(mode)
    data = saved(image, "JPEG", quality=95, **options)
    (tmp_path / "i.tar").write_bytes(folder(tmp_path, "jpg", data, encoded(FLAT)))
    ingest("folder", tmp_path / "out", path=tmp_path / "i.tar")
    expected = np.asarray(Image.fromarray(FLAT).convert("L").convert("RGB") if mode == "L" else FLAT, int)
    assert np.abs(load(tmp_path / "out").train_images[0] - expected).max() <= 3


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_a_long_strip_is_cropped_to_its_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    strip = np.zeros((*size, 3), np.uint8)
    strip.reshape(-1, 3)[49_990:50_010] = 77
    data = folder(tmp_path, "png", encoded(strip), encoded(FLAT))
    (tmp_path / "i.tar").write_bytes(data)
    ingest("folder", tmp_path / "out", path=tmp_path / "i.tar", image_size=4)
    assert (load(tmp_path / "out").train_images[0] == 77).all()
    (tmp_path / "i.tar").unlink()
    shutil.rmtree(tmp_path / "out")
    assert "give image_size to resize all images to one size" in refused(tmp_path, data)


def test_a_jpeg_of_many_scans_costs_no_time(tmp_path: Path) -> None:
    large = saved(Image.new("RGB", (4096, 4096)), "JPEG", progressive=True)
    place = large.rindex(b"\xff\xda")
    assert large.count(b"\xff\xda") < 20
    bomb = large[:place] + large[place:-2] * MAX_SCANS + large[-2:]
    start = time.process_time()
    assert CORRUPT in refused(tmp_path, folder(tmp_path, "jpg", bomb, encoded(FLAT)))
    assert time.process_time() - start < 2


FORMATS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded(noise(0)),
    "jpg": lambda: encoded(noise(0), "JPEG"),
    "gif": lambda: encoded(noise(0), "GIF"),
    "webp": lambda: encoded(noise(0), "WEBP"),
    "tif": lambda: encoded(noise(0), "TIFF", compression="tiff_lzw"),
    "bmp": lambda: encoded(noise(0), "BMP"),
    "ppm": lambda: encoded(noise(0), "PPM"),
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_random_damage_ends_in_a_line_or_in_an_image(
    tmp_path: Path, suffix: str, request: pytest.FixtureRequest
) -> None:
    whole, path = FORMATS[suffix](), tmp_path / "i.tar"
    for seed in range(3 * max(15, request.config.getoption("trials", 0) or 0)):
        rng = np.random.default_rng(seed)
        data = bytearray(whole[: int(rng.integers(1, len(whole)))] if seed % 3 == 0 else whole)
        for place in rng.integers(0, len(data), seed % 4):
            data[place] = int(rng.integers(0, 256))
        path.write_bytes(folder(tmp_path, suffix, bytes(data), encoded(FLAT)))
        assert outcome(path, tmp_path / "out", exact=suffix == "png").isprintable(), seed


def outcome(path: Path, out: Path, *, exact: bool) -> str:
    """The line that an ingestion ends in, or "" where it works; a PNG's checksums leave no other pixels."""
    try:
        ingest("folder", out, path=path, image_size=8 if not exact else None)
    except UserError as error:
        return str(error)
    if exact:
        np.testing.assert_array_equal(load(out).train_images[0], noise(0))
    return ""
