"""Ingestion of archives of exactly the official layout, with every odd kind of file that they hold."""

from __future__ import annotations

import fcntl
import io
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image, ImageOps

from spectral_ssl.data.official import FILES
from spectral_ssl.data.sources import ingest, load
from spectral_ssl.errors import UserError

from . import fake_imagenet, fake_tiny_imagenet
from .fake_imagenet import BROKEN_EXIF, DEVKIT, LEAVES, TRAIN
from .fake_images import jpeg


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes archives whose checksums are then the official ones."""

    def put(files):
        for name, md5 in fake_imagenet.write(tmp_path / "data", files).items():
            monkeypatch.setitem(FILES, name, FILES[name]._replace(md5=md5))
        return tmp_path / "data"

    return put


def test_every_kind_of_image_in_imagenet(tmp_path, put):
    meta = ingest("imagenet", tmp_path / "out", path=put(fake_imagenet.archives()), image_size=32)
    data = load(tmp_path / "out")
    assert meta["notes"] == {
        "CMYK to RGB": 3,
        "L to RGB": 4,
        "RGBA to RGB": 1,  # the PNG
        "resized": 28,
        "turned by EXIF orientation": 8,
    }
    assert data.classes == sorted(f"{wnid} {words}" for wnid, words in LEAVES)
    assert np.bincount(data.train_labels).tolist() == [5] * 4
    assert np.bincount(data.test_labels).tolist() == [2] * 4


def test_imagenet_images_are_what_pillow_makes_of_the_files(tmp_path, put):
    """By another route: each file opened, turned, made RGB and fitted."""
    ingest("imagenet", tmp_path / "out", path=put(fake_imagenet.archives()), image_size=32)
    images = load(tmp_path / "out").train_images
    expected = []
    for wnid, files in sorted(fake_imagenet.training_images(5, (50, 37)).items()):
        for name in sorted(files):
            with Image.open(io.BytesIO(files[name])) as image:
                upright = image.transpose(Image.Transpose.ROTATE_270) if name == f"{wnid}_1.JPEG" else None
                whole = (upright or ImageOps.exif_transpose(image)).convert("RGB")
                expected.append(np.asarray(ImageOps.fit(whole, (32, 32), Image.Resampling.BICUBIC)))
    np.testing.assert_array_equal(images, expected)


def test_an_exif_block_that_pillow_cannot_write_hides_no_image():
    with Image.open(io.BytesIO(jpeg(1, (20, 16), exif=BROKEN_EXIF))) as image:
        assert image.getexif()[0x0112] == 6
        with pytest.raises(AttributeError):
            ImageOps.exif_transpose(image)


@pytest.mark.parametrize("exif", [b"", b"II", b"garbage", b"MM\0*", b"II*\0\xff\xff\xff\xff"])
def test_an_exif_block_that_says_nothing_leaves_the_image(tmp_path, exif):
    for split in ("train", "test"):
        folder = tmp_path / "images" / split / "a"
        folder.mkdir(parents=True)
        (folder / "0.jpg").write_bytes(jpeg(1, (16, 16), exif=exif))
    ingest("folder", tmp_path / "out", path=tmp_path / "images")
    with Image.open(io.BytesIO(jpeg(1, (16, 16)))) as plain:
        np.testing.assert_array_equal(load(tmp_path / "out").train_images[0], np.asarray(plain))


def test_tiny_imagenet(tmp_path, put):
    archive = fake_tiny_imagenet.archive(fake_tiny_imagenet.contents())
    folder = put({fake_tiny_imagenet.NAME: archive})
    meta = ingest("tiny_imagenet", tmp_path / "out", path=folder)
    data = load(tmp_path / "out")
    assert meta["notes"] == {"L to RGB": 5}
    wnids = sorted(fake_tiny_imagenet.WNIDS)
    assert data.classes == [f"{wnid} {fake_tiny_imagenet.WORDS[wnid]}" for wnid in wnids]
    third = fake_tiny_imagenet.WNIDS.index(wnids[2])
    with Image.open(io.BytesIO(fake_tiny_imagenet.picture(1000 * third + 4, 4))) as image:
        np.testing.assert_array_equal(data.train_images[2 * 5 + 4], np.asarray(image))


def without_field(name):
    """The kit's table of synsets without one of its fields."""
    synsets = scipy.io.loadmat(io.BytesIO(fake_imagenet.meta_mat()))["synsets"]
    others = [field for field in synsets.dtype.names if field != name]
    table = np.empty(synsets.shape, [(field, object) for field in others])
    for field in others:
        table[field] = synsets[field]
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": table})
    return buffer.getvalue()


def another_variable():
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"sets": np.eye(3)})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "meta",
    [
        without_field("num_children"),
        without_field("WNID"),
        another_variable(),
        fake_imagenet.meta_mat()[:200],
    ],
)
def test_a_meta_file_of_another_shape_is_named(tmp_path, put, meta):
    folder = put({**fake_imagenet.archives(), DEVKIT: fake_imagenet.devkit(meta, [1])})
    with pytest.raises(
        UserError, match=rf"^meta\.mat of {DEVKIT} is damaged \(.+\): get the archive"
    ) as caught:
        ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    assert "\n" not in str(caught.value)


def test_a_damaged_image_in_a_tar_in_the_tar_is_named(tmp_path, put):
    images = fake_imagenet.training_images(5, (50, 37))
    images["n01739381"]["n01739381_2.JPEG"] = images["n01739381"]["n01739381_2.JPEG"][:300]
    tars = {f"{wnid}.tar": fake_imagenet.tar(files) for wnid, files in images.items()}
    folder = put({**fake_imagenet.archives(), TRAIN: fake_imagenet.tar(tars)})
    with pytest.raises(UserError, match=r"^1 corrupt image, train/n01739381/n01739381_2\.JPEG: replace"):
        ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_too_little_room_is_told_before_any_image_is_decoded(tmp_path, put, monkeypatch):
    folder = put(fake_imagenet.archives())
    usage = namedtuple("usage", "total used free")
    needed = 28 * 224 * 224 * 3
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed, 1, needed - 1))
    decoded = []
    with pytest.raises(UserError) as caught:
        ingest(
            "imagenet",
            tmp_path / "out",
            path=folder,
            image_size=224,
            progress=lambda *call: decoded.append(call),
        )
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'out'}: about 4 MiB are needed there, the disk has 4 MiB free: make room or "
        "choose another folder, then run again"
    )
    assert not decoded
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed, 0, needed))
    ingest("imagenet", tmp_path / "out", path=folder, image_size=224)


KILLED = """
import os, signal, sys
from spectral_ssl.data.sources import ingest
def stop(done, total):
    if done == 15:
        os.kill(os.getpid(), signal.SIGKILL)
ingest("digits", sys.argv[1], progress=stop)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_ingestion_left_is_removed_by_the_next(tmp_path, monkeypatch):
    out = tmp_path / "digits"
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    done = subprocess.run([sys.executable, "-c", KILLED, out], check=False)
    assert done.returncode == -9
    lock, part = names(tmp_path)
    assert (lock[:8], lock[-5:], part[:-5]) == (".digits.", ".lock", lock[:-5])
    (tmp_path / ".digits-large.0a1b2c3d.part").mkdir()  # another data set's
    with (tmp_path / lock).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as one that is still at work
        ingest("digits", out, train_limit=10, test_limit=10)
        assert names(tmp_path) == [".digits-large.0a1b2c3d.part", lock, part, "digits"]
    ingest("digits", out, train_limit=10, test_limit=10)
    assert names(tmp_path) == [".digits-large.0a1b2c3d.part", "digits"]
