import errno
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from spectral_ssl.data import sources
from spectral_ssl.data.sources import dataset_names, ingest, load
from spectral_ssl.errors import UserError

FILES = [
    "meta.json",
    *(f"{split}_{what}.npy" for split in ("test", "train") for what in ("factors", "images", "labels")),
]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "digits"
    return out, ingest("digits", out)


def test_digits_are_scikit_learns(digits):
    out, meta = digits
    data = load(out)
    bunch = load_digits()
    assert data.train_images.shape[1:] == (8, 8, 1)
    assert data.classes == [str(i) for i in range(10)]
    assert len(data.train_images) + len(data.test_images) == 1797
    for digit in range(10):
        of_class = [i for i in range(1797) if bunch.target[i] == digit]
        test = of_class[4::5]
        train = [i for i in of_class if i not in test]
        for images, labels, rows in [
            (data.train_images, data.train_labels, train),
            (data.test_images, data.test_labels, test),
        ]:
            expected = np.rint(bunch.images[rows] * 15.9375)
            np.testing.assert_array_equal(images[labels == digit][..., 0], expected)
    assert np.all(np.diff(data.train_labels) >= 0)
    assert data.train_images.max() == 255
    assert meta["counts"] == {"train": len(data.train_labels), "test": len(data.test_labels)}


def test_arrays_are_read_only_maps_and_the_meta_data_agree(digits):
    out, meta = digits
    data = load(out)
    assert sorted(p.name for p in out.iterdir()) == FILES
    assert isinstance(data.train_images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        data.train_images[0] = 0
    assert data.train_images.dtype == np.uint8
    assert data.test_labels.dtype == np.int64
    assert data.meta == meta == json.loads((out / "meta.json").read_text())
    for name, digest in meta["sha256"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_ingesting_again_replaces_with_the_same_bytes(tmp_path, digits):
    first = {name: (digits[0] / name).read_bytes() for name in FILES}
    out = tmp_path / "digits"
    ingest("digits", out, train_limit=10)
    ingest("digits", out)
    assert {name: (out / name).read_bytes() for name in FILES} == first
    assert [p.name for p in tmp_path.iterdir()] == ["digits"]


def test_limits_take_the_first_of_each_class(tmp_path, digits):
    whole = load(digits[0])
    ingest("digits", tmp_path / "few", train_limit=30, test_limit=10**6)
    few = load(tmp_path / "few")
    np.testing.assert_array_equal(few.train_labels, np.arange(10).repeat(3))
    for digit in range(10):
        expected = whole.train_images[whole.train_labels == digit][:3]
        np.testing.assert_array_equal(few.train_images[few.train_labels == digit], expected)
    np.testing.assert_array_equal(few.test_images, whole.test_images)
    assert few.meta["limits"] == {"train": 30, "test": 10**6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_limit": 25}, "train_limit is 25, not the same number for each of 10 classes: take 20"),
        ({"train_limit": 7}, "take 10"),
        ({"test_limit": 350}, r"test_limit is 350, 35 a class, but class 8 has 34 images: take at most 340"),
        ({"train_limit": 0}, "train_limit is 0: expected a positive whole number"),
        ({"image_size": -8}, "image_size is -8: expected a positive"),
        ({"path": "somewhere"}, "takes no path, found somewhere"),
    ],
)
def test_digits_refuse(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        ingest("digits", tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_digits_of_another_size(tmp_path, digits):
    ingest("digits", tmp_path / "d", image_size=16, train_limit=10, test_limit=10)
    data = load(tmp_path / "d")
    original = load(digits[0]).test_images[0, ..., 0]
    expected = np.asarray(Image.fromarray(original).resize((16, 16), Image.Resampling.BICUBIC))
    assert data.train_images.shape == (10, 16, 16, 1)
    np.testing.assert_array_equal(data.test_images[0, ..., 0], expected)
    assert data.meta["notes"] == {"resized": 20}


def test_unknown_name_suggests_the_nearest(tmp_path):
    names = dataset_names()
    assert names == sorted(names)
    assert {"digits", "folder", "imagenet"} < set(names)
    with pytest.raises(UserError, match="unknown data set 'digit'; did you mean 'digits'"):
        ingest("digit", tmp_path / "out")


def test_readers_are_imported_only_on_demand():
    script = (
        "import sys, spectral_ssl.data.sources\n"
        "print([m for m in ('PIL', 'sklearn', 'torch', 'spectral_ssl.data.folder') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert run.stdout.strip() == "[]"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    written, pwrite = [], os.pwrite

    def failing(descriptor, data, offset):
        written.append(offset)
        if len(written) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(
        UserError, match=r"cannot write .*digits: No space left on device; .* make room"
    ) as caught:
        ingest("digits", tmp_path / "digits")
    assert "\n" not in str(caught.value)
    assert len(written) == 101
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_earlier_result(tmp_path, monkeypatch):
    out = tmp_path / "digits"
    ingest("digits", out, train_limit=10, test_limit=10)
    before = {name: (out / name).read_bytes() for name in FILES}

    def stop(done, total):
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest("digits", out, progress=stop)
    assert {name: (out / name).read_bytes() for name in FILES} == before
    assert [p.name for p in tmp_path.iterdir()] == ["digits"]


def test_progress_counts_every_image(tmp_path):
    calls = []
    ingest("digits", tmp_path / "d", train_limit=10, test_limit=10, progress=lambda *call: calls.append(call))
    assert calls == [(i, 20) for i in range(1, 21)]


def test_foreign_files_are_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis\.tex, which is no part of a data set"):
        ingest("digits", tmp_path)
    with pytest.raises(UserError, match="is a file, expected a folder"):
        ingest("digits", tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_reader_that_loses_images_is_noticed(tmp_path, monkeypatch):
    from spectral_ssl.data import digits as reader

    def short(**arguments):
        source = reader.__dict__["_read"](**arguments)
        next(source.images)
        return source

    monkeypatch.setattr(reader, "_read", reader.read, raising=False)
    monkeypatch.setattr(reader, "read", short)
    with pytest.raises(UserError, match="gave 19 of 20 images"):
        ingest("digits", tmp_path / "d", train_limit=10, test_limit=10)
    assert list(tmp_path.iterdir()) == []


def test_load_says_how_to_repair(tmp_path):
    out = tmp_path / "d"
    repair = "delete the folder and ingest the data set again"

    def fails(message):
        with pytest.raises(UserError, match=f"{message}.*{repair}"):
            load(out)
        ingest("digits", out, train_limit=10, test_limit=10)

    fails(r"meta\.json is missing")
    (out / "test_labels.npy").unlink()
    fails(r"test_labels\.npy is missing")
    (out / "meta.json").write_text('{"classes": ')
    fails("is damaged")
    (out / "meta.json").write_text('{"classes": []}')
    fails("is damaged .KeyError")
    (out / "train_images.npy").write_bytes((out / "train_images.npy").read_bytes()[:-1])
    fails("is damaged")
    np.save(out / "train_images.npy", np.zeros((9, 8, 8, 1), np.uint8))
    fails(r"holds uint8 \(9, 8, 8, 1\), meta.json says uint8 \(10, 8, 8, 1\)")
    np.save(out / "train_labels.npy", np.zeros(10, np.int32))
    fails("holds int32")
    np.save(out / "train_labels.npy", np.full(10, 10))
    fails(r"labels outside -1\.\.9")
    np.save(out / "train_labels.npy", np.full(10, -2))
    fails(r"labels outside -1\.\.9")
    np.save(out / "test_labels.npy", np.full(10, -1))
    fails(r"test_labels\.npy has labels outside 0\.\.9")
    np.save(out / "train_labels.npy", np.array([None] * 10, dtype=object), allow_pickle=True)
    fails("is damaged")
    assert len(load(out).train_labels) == 10


def test_training_images_may_lack_a_label(tmp_path):
    ingest("digits", tmp_path / "d", train_limit=10, test_limit=10)
    labels = np.where(np.arange(10) < 4, -1, np.arange(10))
    np.save(tmp_path / "d" / "train_labels.npy", labels)
    np.testing.assert_array_equal(load(tmp_path / "d").train_labels, labels)


@pytest.mark.parametrize(
    ("limit", "kept"), [(None, [0, 1, 2, 3, 4, 5]), (6, [1, 2, 4, 5]), (4, [1, 2, 4, 5]), (2, [1, 2])]
)
def test_a_limit_counts_labelled_images_and_leaves_out_the_others(limit, kept):
    labels = np.array([-1, 1, 0, -1, 0, 1])
    assert sources.first_per_class(labels, limit, ["a", "b"], "train").tolist() == kept


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert sources.sha256_of(tmp_path / "abc") == known
