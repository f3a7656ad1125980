import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data.official import FILES
from spectral_ssl.data.sources import ingest, load, sha256_of
from spectral_ssl.errors import UserError

SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 has it
NAME = "stl10_binary.tar.gz"
CLASSES = ["airplane", "bird"]
LABELS = {"train": [2, 1, 1], "test": [1, 2], "unlabeled": [0, 0]}  # from 1; 0: none
IMAGES = {
    part: np.random.default_rng(len(part)).integers(0, 256, (len(labels), 96, 96, 3), dtype=np.uint8)
    for part, labels in LABELS.items()
}


def contents():
    """In the official order, in which images precede their labels and the class names come late."""
    files = {}
    for part in ("test", "train", "unlabeled"):
        # plane by plane, and each plane column by column: (C, W, H)
        files[f"{part}_X.bin"] = np.ascontiguousarray(IMAGES[part].transpose(0, 3, 2, 1)).tobytes()
        if part != "unlabeled":
            files[f"{part}_y.bin"] = bytes(LABELS[part])
    return {**files, "class_names.txt": "\n".join(CLASSES).encode() + b"\n", "fold_indices.txt": b"0 1\n"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(files):
        path = tmp_path / NAME
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(f"stl10_binary/{member}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(FILES, NAME, FILES[NAME]._replace(md5=md5))
        return path

    return write


def test_labelled_images_come_before_unlabelled_ones(tmp_path, write):
    path = write(contents())
    meta = ingest("stl10", tmp_path / "out", path=path)
    data = load(tmp_path / "out")
    np.testing.assert_array_equal(data.train_images, np.concatenate([IMAGES["train"], IMAGES["unlabeled"]]))
    np.testing.assert_array_equal(data.test_images, IMAGES["test"])
    assert data.train_labels.tolist() == [1, 0, 0, -1, -1]
    assert data.test_labels.tolist() == [0, 1]
    assert data.classes == CLASSES
    assert meta["counts"] == {"train": 5, "test": 2}
    assert meta["notes"] == {"unlabelled": 2}
    assert (meta["source"], meta["source_sha256"]) == (NAME, sha256_of(path))


def test_torchvision_reads_the_same(tmp_path, write, monkeypatch):
    from torchvision.datasets import STL10

    path = write(contents())
    ingest("stl10", tmp_path / "out", path=path)
    data = load(tmp_path / "out")
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path, **SAFELY)
    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    theirs = STL10(tmp_path, split="train+unlabeled")
    np.testing.assert_array_equal(data.train_images.transpose(0, 3, 1, 2), theirs.data)
    assert data.classes == theirs.classes
    labels = theirs.labels.astype(np.int8)  # unsigned -1s there
    np.testing.assert_array_equal(data.train_labels, labels)


def test_a_limit_leaves_out_the_unlabelled(tmp_path, write):
    write(contents())
    meta = ingest("stl10", tmp_path / "out", path=tmp_path, image_size=8, train_limit=2)
    data = load(tmp_path / "out")
    expected = [
        np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BICUBIC))
        for image in IMAGES["train"][:2]
    ]
    np.testing.assert_array_equal(data.train_images, expected)
    assert data.train_labels.tolist() == [1, 0]
    assert meta["notes"] == {"resized": 4}
    ingest("stl10", tmp_path / "out", path=tmp_path, image_size=8, train_limit=100)
    assert load(tmp_path / "out").train_labels.tolist() == [1, 0, 0]


def without(name):
    return {file: data for file, data in contents().items() if file != name}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {**contents(), "train_y.bin": bytes([1, 2])},
            "has 3 train images and 2 labels: get the archive again",
        ),
        ({**contents(), "test_y.bin": bytes([1, 2, 2])}, "has 2 test images and 3 labels"),
        (
            {**contents(), "test_y.bin": bytes([1, 3])},
            "has the label 2 in its test split, counted from 0: expected 0",
        ),
        ({**contents(), "test_y.bin": bytes([1, 0])}, "has the label -1 in its test split"),
        ({**contents(), "train_y.bin": bytes([2, 1, 0])}, "has the label -1 in its train split"),
        ({**contents(), "train_y.bin": bytes([1, 1, 1])}, "has no train image of class bird"),
        (
            {**contents(), "unlabeled_X.bin": bytes(27649)},
            r"unlabeled_X\.bin has 27649 bytes, no multiple of 27648",
        ),
        (
            without("unlabeled_X.bin"),
            r"stl10_binary\.tar\.gz has no stl10_binary/unlabeled_X\.bin: expected the",
        ),
        (without("class_names.txt"), r"has no stl10_binary/class_names\.txt"),
        ({**contents(), "../../evil": b""}, r"unsafe path, stl10_binary/\.\./\.\./evil"),
    ],
)
def test_archives_that_do_not_fit_together(tmp_path, write, files, message):
    path = write(files)
    with pytest.raises(UserError, match=message) as caught:
        ingest("stl10", tmp_path / "out", path=path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_truncated_archive(tmp_path, write, monkeypatch):
    path = write(contents())
    path.write_bytes(path.read_bytes()[:-100])
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(FILES, NAME, FILES[NAME]._replace(md5=md5))
    with pytest.raises(UserError, match=rf"^{NAME} is truncated or damaged"):
        ingest("stl10", tmp_path / "out", path=path)
    assert list(tmp_path.iterdir()) == [path]
