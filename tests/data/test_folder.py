import io
import json
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.errors import UserError


def picture(seed, shape=(6, 8, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(pixels, kind="PNG", mode=None, **options):
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


NAMES = [
    f"{split}/{c}/{i}.png"
    for split, n in (("train", 4), ("test", 2))
    for c in ("b", "a-b", "a")
    for i in range(n)
]
PIXELS = {name: picture(seed) for seed, name in enumerate(NAMES)}
DEEP = "has more than 8 bits a channel: expected 8-bit images; convert it first"
BOMB = "has more than the limit of 67108864 pixels: shrink or remove it"
GOOD = {name: encoded(pixels) for name, pixels in PIXELS.items()}


def write(path, files):
    """Pack files in shuffled order, so that no test leans on the order of storage."""
    shuffled = {str(name): files[name] for name in np.random.default_rng(0).permutation(list(files))}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as target:
            for name, data in shuffled.items():
                target.writestr(name, data)
    elif path.suffix:
        with tarfile.open(path, f"w:{path.suffix[1:]}") as target:
            for name, data in shuffled.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                target.addfile(info, io.BytesIO(data))
    else:
        for name, data in shuffled.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


def ingested(tmp_path, files, name="images.tar", **options):
    ingest("folder", tmp_path / "out", path=write(tmp_path / name, files), **options)
    return load(tmp_path / "out")


def refused(tmp_path, files, message, name="images.tar", **options):
    path = write(tmp_path / name, files)
    with pytest.raises(UserError, match=message) as caught:
        ingest("folder", tmp_path / "out", path=path, **options)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["images", "images.tar", "images.tar.gz", "images.tar.xz", "images.zip"])
def test_images_and_labels_in_the_order_of_class_and_name(tmp_path, name):
    data = ingested(tmp_path, GOOD, name)
    assert data.classes == ["a", "a-b", "b"]
    for split, count in (("train", 4), ("test", 2)):
        order = [f"{split}/{c}/{i}.png" for c in data.classes for i in range(count)]
        np.testing.assert_array_equal(getattr(data, f"{split}_images"), [PIXELS[n] for n in order])
        np.testing.assert_array_equal(getattr(data, f"{split}_labels"), np.arange(3).repeat(count))
    meta = data.meta
    assert (meta["dataset"], meta["source"], meta["image_shape"]) == ("folder", name, [6, 8, 3])
    assert meta["counts"] == {"train": 12, "test": 6}
    assert meta["notes"] == {}
    assert str(tmp_path) not in json.dumps(meta)


def test_the_digest_of_a_directory_follows_names_and_bytes(tmp_path):
    def digest(name, files):
        path = write(tmp_path / name, files)
        return ingest("folder", tmp_path / f"{name}_out", path=path)["source_sha256"]

    first = digest("one", GOOD)
    assert digest("two", {**GOOD, "train/a/.DS_Store": b"ignored"}) == first
    renamed = {name.replace("3.png", "4.png"): data for name, data in GOOD.items()}
    assert digest("three", renamed) != first
    assert digest("four", {**GOOD, "test/b/1.png": encoded(picture(99))}) != first


def test_a_limit_takes_the_first_of_each_class_by_name(tmp_path):
    data = ingested(tmp_path, GOOD, train_limit=6, test_limit=3)
    expected = [PIXELS[f"train/{c}/{i}.png"] for c in ("a", "a-b", "b") for i in (0, 1)]
    np.testing.assert_array_equal(data.train_images, expected)
    np.testing.assert_array_equal(data.test_labels, [0, 1, 2])


def test_images_beyond_the_limit_do_not_matter(tmp_path):
    odd = {"train/a/9.png": encoded(picture(0, (3, 3))), "train/b/9.png": b"corrupt"}
    assert len(ingested(tmp_path, {**GOOD, **odd}, train_limit=12).train_labels) == 12


def test_path_is_needed(tmp_path):
    with pytest.raises(UserError, match="'folder' needs a path: give a directory or archive"):
        ingest("folder", tmp_path / "out")
    with pytest.raises(UserError, match="no file or directory"):
        ingest("folder", tmp_path / "out", path=tmp_path / "absent")


def without(part):
    return {name: data for name, data in GOOD.items() if part not in name}


@pytest.mark.parametrize("name", ["images", "images.tar", "images.zip"])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (without("test/"), "has no images in a test/ split, found train/: expected train/ and test/"),
        (without("train/"), "has no images in a train/ split, found test/"),
        ({f"root/{n}": d for n, d in GOOD.items()}, "no images in a train/ split, found root/"),
        ({**GOOD, "val/a/0.png": b""}, "has val/ beside train/ and test/: rename or remove it"),
        (
            {**GOOD, "test/dog/0.png": b""},
            r"test/ has 1 class\(es\) that train/ has not, the first dog: expected the same",
        ),
        ({**GOOD, "train/0.png": b""}, r"train/0\.png is out of place: expected split/class/image"),
        ({**GOOD, "train/a/b/0.png": b""}, r"train/a/b/0\.png is out of place"),
        ({**GOOD, "0.png": b""}, r"^0\.png is out of place"),
        ({**GOOD, "train/a/notes.txt": b"x"}, r"train/a/notes\.txt is not an image: expected only images"),
    ],
)
def test_a_layout_that_is_wrong(tmp_path, files, message, name):
    refused(tmp_path, files, message, name)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_class(tmp_path, split):
    path = write(tmp_path / "images", GOOD)
    (path / split / "dog").mkdir()
    with pytest.raises(UserError, match=f"class {split}/dog of images is empty: add images or remove"):
        ingest("folder", tmp_path / "out", path=path)


def test_a_name_that_occurs_twice(tmp_path):
    path = write(tmp_path / "images.tar", GOOD)
    with tarfile.open(path, "a") as target:
        info = tarfile.TarInfo("./train/a/0.png")
        target.addfile(info)
    with pytest.raises(UserError, match=r"train/a/0\.png occurs twice in images\.tar"):
        ingest("folder", tmp_path / "out", path=path)


def test_a_class_missing_from_test_is_allowed(tmp_path):
    assert ingested(tmp_path, without("test/b/")).meta["counts"] == {"train": 12, "test": 4}


def test_corrupt_images_are_counted_and_the_first_is_named(tmp_path):
    whole, damaged = encoded(picture(1), "JPEG"), bytearray(GOOD["test/a/0.png"])
    damaged[60] ^= 0xFF
    corrupt = {
        "train/b/9.jpg": whole[: len(whole) // 2 + 100],
        "test/a/0.png": damaged,
        "train/a/2.png": b"x",
    }
    refused(tmp_path, {**GOOD, **corrupt}, r"^3 corrupt images, the first train/a/2\.png: replace or remove")
    refused(
        tmp_path, {**GOOD, "train/b/9.jpg": b""}, r"^1 corrupt image, train/b/9\.jpg: replace or remove it"
    )
    refused(tmp_path, dict.fromkeys(GOOD, b"x"), r"^18 corrupt images, the first train/a/0\.png")


def test_a_failed_checksum_in_a_zip_is_a_corrupt_image(tmp_path):
    path = write(tmp_path / "images.zip", GOOD)
    data = bytearray(path.read_bytes())
    data[data.index(GOOD["train/b/1.png"]) + 50] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"1 corrupt image, train/b/1\.png"):
        ingest("folder", tmp_path / "out", path=path)


def test_a_truncated_archive_leaves_nothing(tmp_path):
    path = write(tmp_path / "images.tar.xz", GOOD)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"images\.tar\.xz is truncated or damaged"):
        ingest("folder", tmp_path / "out", path=path)
    assert [p.name for p in tmp_path.iterdir()] == ["images.tar.xz"]


def test_sizes_that_differ(tmp_path):
    message = r"^train/b/0\.png has 7x9 pixels, train/a/0\.png 8x6: give image_size to resize all images"
    refused(tmp_path, {**GOOD, "train/b/0.png": encoded(picture(1, (9, 7, 3)))}, message)


def test_resizing_crops_the_centre_and_filters(tmp_path):
    stripes = np.zeros((40, 60, 3), np.uint8)
    stripes[:, ::2] = 200  # finer than the target: an unfiltered resize would alias to 0 or 200
    stripes[:, :10] = stripes[:, 50:] = 255  # outside the central square
    square = picture(3, (5, 5, 3))
    data = ingested(
        tmp_path, {**GOOD, "train/a/0.png": encoded(stripes), "train/a/1.png": encoded(square)}, image_size=5
    )
    assert data.train_images.shape == (12, 5, 5, 3)
    assert np.all(np.abs(data.train_images[0].astype(int) - 100) < 25)
    np.testing.assert_array_equal(data.train_images[1], square)
    assert data.meta["notes"] == {"resized": 17}
    assert data.meta["image_size"] == 5


def test_all_greyscale_stays_one_channel(tmp_path):
    files = {name: encoded(pixels[..., 0]) for name, pixels in PIXELS.items()}
    files["train/a/0.png"] = encoded(picture(1, (6, 8)) > 127)
    files["train/a/1.png"] = encoded(PIXELS["train/a/1.png"][..., 0], mode="LA")
    data = ingested(tmp_path, files)
    assert data.train_images.shape == (12, 6, 8, 1)
    np.testing.assert_array_equal(data.train_images[0, ..., 0], np.where(picture(1, (6, 8)) > 127, 255, 0))
    np.testing.assert_array_equal(data.train_images[1, ..., 0], PIXELS["train/a/1.png"][..., 0])
    assert data.meta["notes"] == {"1 to L": 1, "LA to L": 1}


def test_mixed_modes_become_rgb(tmp_path):
    flat = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    palette = Image.fromarray(flat).quantize(4)
    files = {
        **GOOD,
        "train/a/0.png": encoded(picture(1, (6, 8))),
        "train/a/1.png": encoded(palette, transparency=b"\x00\x80"),
        "train/a/2.png": encoded(np.dstack([flat, np.zeros((6, 8), np.uint8)])),
        "train/a/3.tif": encoded(flat, "TIFF", "CMYK"),
        "train/a/4.GIF": encoded(palette, "GIF"),
        "train/a/5.webp": encoded(flat, "WEBP", lossless=True),
    }
    del files["train/a/3.png"]
    data = ingested(tmp_path, files)
    np.testing.assert_array_equal(data.train_images[0], np.repeat(picture(1, (6, 8))[..., None], 3, axis=2))
    for row in range(1, 6):
        np.testing.assert_array_equal(data.train_images[row], flat)
    assert data.meta["notes"] == {"CMYK to RGB": 1, "L to RGB": 1, "P to RGB": 2, "RGBA to RGB": 1}


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright = PIXELS["train/a/0.png"]
    turned = encoded(np.rot90(upright).copy(), "PNG", exif=exif)
    data = ingested(tmp_path, {**GOOD, "train/a/0.png": turned})
    np.testing.assert_array_equal(data.train_images[0], upright)
    assert data.meta["notes"] == {"turned by EXIF orientation": 1}


@pytest.mark.parametrize(("kind", "suffix"), [("GIF", "gif"), ("PNG", "png"), ("TIFF", "tif")])
def test_the_first_frame_of_several_is_taken(tmp_path, kind, suffix):
    frames = [Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (10, 90, 200)]
    several = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    data = ingested(tmp_path, {**GOOD, f"train/a/00.{suffix}": several})
    np.testing.assert_array_equal(data.train_images[1], np.full((6, 8, 3), 10))
    assert data.meta["notes"]["first frame taken"] == 1


def colour_png(side, depth):
    """A PNG written by hand: Pillow writes neither 16-bit colour nor a size that is not true."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0))
    rows = zlib.compress(bytes(8 * (1 + 8 * 3 * depth // 8)))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("suffix", "data", "message"),
    [
        ("png", encoded(np.zeros((6, 8), np.uint16)), DEEP),
        ("png", colour_png(8, depth=16), DEEP),
        ("tif", encoded(np.zeros((6, 8), np.uint16), "TIFF"), DEEP),
        ("tif", encoded(np.zeros((6, 8), np.float32), "TIFF"), DEEP),
        ("pgm", b"P5 8 6 65535\n" + bytes(96), DEEP),
        ("ppm", b"P6 8 6 1023\n" + bytes(288), DEEP),
        ("tif", encoded(Image.new("LAB", (8, 6)), "TIFF"), "has colour mode LAB: expected greyscale or RGB"),
        ("png", colour_png(8193, depth=8), BOMB),
        ("png", colour_png(12_000, depth=8), BOMB),  # Pillow warns
        ("png", colour_png(30_000, depth=8), BOMB),  # Pillow refuses
    ],
)
def test_deep_odd_and_enormous_images_are_refused_by_name(tmp_path, suffix, data, message):
    refused(tmp_path, {**GOOD, f"train/a/5.{suffix}": data}, rf"train/a/5\.{suffix} {message}")


def test_hand_written_png_is_readable(tmp_path):
    data = ingested(tmp_path, {**GOOD, "train/a/5.png": colour_png(8, depth=8)}, image_size=8)
    assert not data.train_images[4].any()
