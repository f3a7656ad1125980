import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data import cifar10
from spectral_ssl.data.official import FILES
from spectral_ssl.data.pickled import load_dictionary
from spectral_ssl.data.sources import ingest, load, sha256_of
from spectral_ssl.errors import UserError

SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 has it
NAMES = {"cifar10": [f"kind {i}" for i in range(10)], "cifar100": [f"fine {i}" for i in range(100)]}
ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(J%sJ%st"
    b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T%stb"
)


def python2(value):
    """A value as Python 2 pickles it: arrays under NumPy's old name, with integers for booleans, bytes as text."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(key) + python2(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"T" + struct.pack("<I", len(value)) + value.encode("latin1")
    shape = [struct.pack("<i", length) for length in value.shape]
    return ARRAY % (*shape, struct.pack("<I", value.size) + value.tobytes())


def pickled(value):
    return b"\x80\x02" + python2(value) + b"."


def batch(seed, labels):
    return np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8), list(labels)


BATCHES = {
    "cifar10": [batch(0, range(10)), *(batch(i, [i, 3]) for i in range(1, 5)), batch(9, range(9, -1, -1))],
    "cifar100": [batch(0, range(99, -1, -1)), batch(1, range(100))],
}


def python_files(dataset):
    batches, names = BATCHES[dataset], NAMES[dataset]
    if dataset == "cifar100":
        entries = [
            {"filenames": ["a"] * 100, "coarse_labels": [0] * 100, "fine_labels": labels, "data": data}
            for data, labels in batches
        ]
        meta = {"fine_label_names": names, "coarse_label_names": ["coarse"] * 20}
        contents = zip(("train", "test", "meta"), (*entries, meta), strict=True)
        return {f"cifar-100-python/{name}": pickled(entry) for name, entry in contents}
    entries = [{"batch_label": "a batch", "labels": labels, "data": data} for data, labels in batches]
    meta = {"num_cases_per_batch": 10, "label_names": names, "num_vis": 3072}
    files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    contents = zip(files, (*entries, meta), strict=True)
    return {f"cifar-10-batches-py/{name}": pickled(entry) for name, entry in contents}


def binary_files(dataset):
    fine = dataset == "cifar100"
    parts = [
        b"".join(bytes([7] * fine + [label]) + row.tobytes() for row, label in zip(data, labels, strict=True))
        for data, labels in BATCHES[dataset]
    ]
    names = ("\n".join(NAMES[dataset]) + "\n\n").encode()
    if fine:
        files = ("train.bin", "test.bin", "fine_label_names.txt")
        return {f"cifar-100-binary/{n}": d for n, d in zip(files, (*parts, names), strict=True)}
    files = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt"]
    return {f"cifar-10-batches-bin/{n}": d for n, d in zip(files, (*parts, names), strict=True)}


VERSIONS = [
    ("cifar10", "cifar-10-python.tar.gz", python_files),
    ("cifar10", "cifar-10-binary.tar.gz", binary_files),
    ("cifar100", "cifar-100-python.tar.gz", python_files),
    ("cifar100", "cifar-100-binary.tar.gz", binary_files),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(name, files):
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(FILES, name, FILES[name]._replace(md5=md5))
        return path

    return write


@pytest.mark.parametrize(("dataset", "name", "files"), VERSIONS)
def test_images_in_the_archives_order(tmp_path, write, dataset, name, files):
    path = write(name, files(dataset))
    meta = ingest(dataset, tmp_path / "out", path=tmp_path)
    data = load(tmp_path / "out")
    *train, test = BATCHES[dataset]
    for split, batches in (("train", train), ("test", [test])):
        pixels = np.concatenate([part for part, _ in batches])
        expected = np.stack([pixels[:, :1024], pixels[:, 1024:2048], pixels[:, 2048:]], axis=-1)
        images = getattr(data, f"{split}_images")
        np.testing.assert_array_equal(images, expected.reshape(-1, 32, 32, 3))
        assert getattr(data, f"{split}_labels").tolist() == [label for _, part in batches for label in part]
    assert data.classes == NAMES[dataset]
    assert (meta["source"], meta["source_sha256"], meta["notes"]) == (name, sha256_of(path), {})


@pytest.mark.filterwarnings("ignore:dtype")  # torchvision's reader, under NumPy 2.4.0 to 2.4.4
@pytest.mark.parametrize(("dataset", "name", "files"), VERSIONS[::2])
def test_torchvision_reads_the_same(tmp_path, write, monkeypatch, dataset, name, files):
    from torchvision import datasets

    path = write(name, files(dataset))
    ingest(dataset, tmp_path / "out", path=path)
    data = load(tmp_path / "out")
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path, **SAFELY)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *arguments: True)
    for split in ("train", "test"):
        theirs = getattr(datasets, dataset.upper())(tmp_path, train=split == "train")
        np.testing.assert_array_equal(getattr(data, f"{split}_images"), theirs.data)
        assert getattr(data, f"{split}_labels").tolist() == theirs.targets
    assert data.classes == theirs.classes


def test_limits_and_another_size(tmp_path, write):
    write("cifar-10-binary.tar.gz", binary_files("cifar10"))
    meta = ingest("cifar10", tmp_path / "out", path=tmp_path, image_size=16, train_limit=10, test_limit=10)
    data = load(tmp_path / "out")
    first = BATCHES["cifar10"][0][0][0].reshape(3, 32, 32).transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(first).resize((16, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(data.train_images[0], expected)
    assert data.train_labels.tolist() == list(range(10))
    assert meta["notes"] == {"resized": 20}


class Runs:
    def __reduce__(self):
        return open, ("ran", "w")


def test_a_pickle_that_would_run_code_does_not(tmp_path, write, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = python_files("cifar10")
    files["cifar-10-batches-py/batches.meta"] = pickle.dumps({"label_names": Runs()}, protocol=2)
    path = write("cifar-10-python.tar.gz", files)
    with pytest.raises(
        UserError,
        match=r"^cifar-10-batches-py/batches\.meta is no pickle of plain data \(it names \w+\.open, which is neither",
    ):
        ingest("cifar10", tmp_path / "out", path=path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(files["cifar-10-batches-py/batches.meta"])["label_names"].close()
    assert (tmp_path / "ran").exists()  # so it would have


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_python_3_are_read_as_well(protocol):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for written in (array, np.asfortranarray(array)):
        read = load_dictionary(pickle.dumps({"data": written, "labels": [1, 2]}, protocol=protocol), "x")
        np.testing.assert_array_equal(read["data"], array)
        assert read["labels"] == [1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            pickled({"data": np.zeros((1, 2), np.uint8)})[:-9],
            "x is no pickle of plain data .*: do not trust this",
        ),
        (b"", "pickle exhausted before seeing STOP"),
        (pickle.dumps([1]), "x holds a list, expected a dictionary"),
        (pickle.dumps({"a": np.zeros(2)}, protocol=4), "an array that is not of unsigned bytes"),
        (pickle.dumps({"a": np.array([None])}, protocol=4), "an array that is not of unsigned bytes"),
        (pickle.dumps(np.zeros(2, np.uint8), protocol=5), r"it names numpy\._core\.numeric\._frombuffer"),
        (pickle.dumps({"a": complex(1)}), r"it names builtins\.complex"),
        (b"\x80\x02cos\nsystem\nU\x02lstR.", r"it names os\.system"),
        (b"\x80\x02U\x01aQ.", "persistent"),
    ],
)
def test_pickles_of_anything_else_are_refused(data, message):
    with pytest.raises(UserError, match=message) as caught:
        load_dictionary(data, "x")
    assert "\n" not in str(caught.value)


def changed(name, change):
    """The files of CIFAR-10's Python version with one entry changed."""
    files = python_files("cifar10")
    data, labels = BATCHES["cifar10"][0]
    entry = {"batch_label": "a batch", "labels": labels, "data": data}
    return {**files, f"cifar-10-batches-py/{name}": pickled({**entry, **change})}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (changed("data_batch_1", {"labels": list(range(9))}), "data_batch_1 has 10 images and 9 labels"),
        (changed("data_batch_1", {"labels": [*range(9), 10]}), "has the label 10 in its train split"),
        (changed("data_batch_1", {"labels": [*range(9), -1]}), "has the label -1 in its train split"),
        (changed("data_batch_1", {"labels": "text"}), "data_batch_1 has no list of whole numbers labels"),
        (changed("data_batch_1", {"data": "text"}), r"data_batch_1 has no data of shape \(n, 3072\)"),
        (changed("test_batch", {"data": np.zeros((10, 9), np.uint8)}), "test_batch has no data of shape"),
        (
            changed("test_batch", {"labels": [0] * 10}),
            r"cifar-10-python\.tar\.gz has no test image of class kind 1",
        ),
        (changed("batches.meta", {}), r"batches\.meta has no list of class names label_names"),
        (
            {n: d for n, d in python_files("cifar10").items() if not n.endswith("_3")},
            r"cifar-10-python\.tar\.gz has no cifar-10-batches-py/data_batch_3: expected the official layout",
        ),
        ({**python_files("cifar10"), "../evil": b""}, r"a member with an unsafe path, \.\./evil"),
    ],
)
def test_archives_that_do_not_fit_together(tmp_path, write, files, message):
    path = write("cifar-10-python.tar.gz", files)
    with pytest.raises(UserError, match=message) as caught:
        ingest("cifar10", tmp_path / "out", path=path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_records_that_are_cut(tmp_path, write):
    files = binary_files("cifar10")
    files["cifar-10-batches-bin/test_batch.bin"] = files["cifar-10-batches-bin/test_batch.bin"][:-1]
    path = write("cifar-10-binary.tar.gz", files)
    with pytest.raises(UserError, match=r"test_batch\.bin has 30729 bytes, no multiple of 3073"):
        ingest("cifar10", tmp_path / "out", path=path)


def test_a_truncated_archive(tmp_path, write, monkeypatch):
    name = "cifar-10-python.tar.gz"
    path = write(name, python_files("cifar10"))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=f"{name} has MD5 .*expected .*: it is incomplete or another file"):
        ingest("cifar10", tmp_path / "out", path=path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(FILES, name, FILES[name]._replace(md5=md5))
    with pytest.raises(UserError, match=f"{name} is truncated or damaged"):
        ingest("cifar10", tmp_path / "out", path=path)


def test_the_python_version_is_preferred(tmp_path, write):
    for _, name, files in VERSIONS[:2]:
        write(name, files("cifar10"))
    limits = {"train": None, "test": None}
    assert cifar10.read(path=tmp_path, image_size=None, limits=limits).name == VERSIONS[0][1]
