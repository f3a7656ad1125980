"""Arrays on the disk that lie or would run code: one line that names the file, and no memory for what is not there."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectral_ssl.data.arrays import read_array, read_arrays
from spectral_ssl.data.graph import load_graph, save_graph, views_graph
from spectral_ssl.data.sources import ingest, load

from .made import peak_of, refusal

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


class Canary:
    """Unpickles by making a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.place),)


def npy(array: Any, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def headed(header: str, data: bytes = b"", version: bytes = b"\x01\0") -> bytes:
    """An `.npy` file with this header, after the format's specification."""
    length = struct.pack("<H" if version == b"\x01\0" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode("latin1") + data


def described(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


BAD: dict[str, bytes] = {
    "empty": b"",
    "text": b"1,2,3\n",
    "a pickle": b"\x80\x02cos\nsystem\nU\x05touchq.",
    "cut": npy(VALUES)[:-1],
    "grown": npy(VALUES) + b"x",
    "cut in its header": npy(VALUES)[:40],
    "10^12 elements": headed(described("(1000000000000,)"), bytes(8)),
    "more than 2^64": headed(described("(4294967296, 4294967296, 9)"), bytes(8)),
    "a product of 0 modulo 2^64": headed(described("(4294967296, 4294967296)"), b""),
    "negative": headed(described("(-3, 4)"), bytes(48)),
    "twice negative": headed(described("(-3, -4)"), bytes(48)),
    "a shape that is none": headed(described("'12'"), bytes(48)),
    "a shape of fractions": headed(described("(3.0, 4.0)"), bytes(48)),
    "a scalar": headed(described("()"), bytes(4)),
    "of another dimension": npy(VALUES.ravel()),
    "integers": npy(VALUES.astype(np.int64)),
    "complex": npy(VALUES.astype(np.complex64)),
    "text of characters": npy(np.full((3, 4), "x")),
    "records": npy(np.zeros((3, 4), [("a", "<f4")])),
    "dates": npy(np.zeros((3, 4), "M8[s]")),
    "an unknown type": headed(described("(3, 4)", "'<q9'"), bytes(48)),
    "a type that is code": headed(described("(3, 4)", "__import__('os').mkdir('canary')"), bytes(48)),
    "a header that is code": headed("__import__('os').mkdir('canary')", bytes(48)),
    "a header too deep": headed("(" * 60000, bytes(48)),
    "a header of 4 GiB": headed("", b"", b"\x02\0")[:8] + b"\xff" * 8,
    "a version of the future": headed(described("(3, 4)"), bytes(48), b"\x09\0"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["file", "mapped", "npz", "deflated npz"])
def test_what_is_no_such_array(tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x"
    call: Callable[[], Any]
    if "npz" in kind:
        with zipfile.ZipFile(
            path, "w", zipfile.ZIP_DEFLATED if kind != "npz" else zipfile.ZIP_STORED
        ) as target:
            target.writestr("z.npy", BAD[name])
        call = lambda: read_arrays(path, ["z"], kinds="f", ndim=2)  # noqa: E731
    else:
        path.write_bytes(BAD[name])
        call = lambda: read_array(path, kinds="f", ndim=2, mapped=kind == "mapped")  # noqa: E731
    text = refusal(call)
    assert text.startswith(f"{path} is damaged (")
    assert text.endswith("delete it and run the stage that writes it")
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2"])
def test_any_order_of_axes_and_bytes_gives_the_values(tmp_path: Path, order: Any, dtype: str) -> None:
    array = np.asarray(VALUES, dtype, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", z=array)
    for found in (
        read_array(tmp_path / "x.npy", kinds="f", ndim=2),
        read_arrays(tmp_path / "x.npz", ["z"])["z"],
    ):
        np.testing.assert_array_equal(found, VALUES)
        assert found.dtype.isnative
    assert isinstance(read_array(tmp_path / "x.npy", mapped=True), np.memmap)


@pytest.mark.parametrize("kind", ["npy", "mapped", "npz", "graph"])
def test_objects_are_not_unpickled(tmp_path: Path, kind: str) -> None:
    mark, path = tmp_path / "canary", tmp_path / "x"
    array = np.array([Canary(mark)], dtype=object)
    if kind in ("npy", "mapped"):
        path.write_bytes(npy(array, pickled=True))
        text = refusal(lambda: read_array(path, mapped=kind == "mapped"))
    else:
        with path.open("wb") as file:
            np.savez(file, **dict.fromkeys(("z", "format", "shape", "data", "indices", "indptr"), array))
        text = refusal(lambda: load_graph(path) if kind == "graph" else read_arrays(path, ["z"]))
    assert "an array of type object" in text
    assert not mark.exists()
    if kind == "npy":
        np.load(path, allow_pickle=True)
        assert mark.exists()  # it would have run


def test_archives_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, z=VALUES)
    assert "There is no item named 'y.npy'" in refusal(lambda: read_arrays(path, ["y"]))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert "is damaged" in refusal(lambda: read_arrays(path, ["z"]))
    changed = bytearray(whole)
    changed[whole.index(VALUES.tobytes()) + 7] ^= 1
    path.write_bytes(changed)
    assert "Bad CRC-32" in refusal(lambda: read_arrays(path, ["z"]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as target:
        target.writestr("z.npy", npy(VALUES))
    assert "compressed by method 12" in refusal(lambda: read_arrays(path, ["z"]))
    assert "is missing: run the stage" in refusal(lambda: read_arrays(tmp_path / "no", ["z"]))


PEAK = """
import sys
from spectral_ssl.data.arrays import read_array, read_arrays
from spectral_ssl.errors import UserError
try:
    read_arrays(sys.argv[1], ["z"]) if sys.argv[1].endswith("z") else read_array(sys.argv[1])
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_lying_shape_costs_no_memory(tmp_path: Path, name: str) -> None:
    printed, idle = peak_of(PEAK, tmp_path / "absent.npy")
    assert "is missing" in printed
    bad = headed(described("(300000000,)"), bytes(9))
    if name == "x.npz":
        with zipfile.ZipFile(tmp_path / name, "w") as target:
            target.writestr("z.npy", bad)
    else:
        (tmp_path / name).write_bytes(bad)
    printed, peak = peak_of(PEAK, tmp_path / name)
    assert "its header says" in printed
    assert peak - idle < 16 * 2**20


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npy"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.mkdir()
    for call in (lambda: read_array(path), lambda: read_arrays(path, ["z"])):
        assert str(path) in refusal(call)


GRAPHS: dict[str, dict[str, Any]] = {
    "an index beyond the shape": {"indices": np.array([0, 99, 2, 1, 0, 2])},
    "a negative index": {"indices": np.array([0, -9, 2, 1, 0, 2])},
    "rows beyond the entries": {"indptr": np.array([0, 1, 2, 3, 4, 5, 10**9])},
    "rows that go back": {"indptr": np.array([0, 5, 2, 3, 4, 5, 6])},
    "too few rows": {"indptr": np.array([0, 6])},
    "a shape of 10^12": {"shape": np.array([10**12, 10**12])},
    "no square": {"shape": np.array([6, 9])},
    "a shape of one number": {"shape": np.array([6])},
    "another format": {"format": np.array(b"coo")},
    "data of another length": {"data": np.ones(2)},
    "data in two dimensions": {"data": np.ones((6, 1))},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_whose_arrays_do_not_fit(tmp_path: Path, name: str) -> None:
    path = tmp_path / "G.npz"
    save_graph(path, views_graph(3, 2))
    assert load_graph(path).shape == (6, 6)
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    np.savez_compressed(path, **(arrays | GRAPHS[name]))
    assert str(path) in refusal(lambda: load_graph(path))


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("a scalar", "complex")])
def test_an_ingested_folder_with_such_an_array(tmp_path: Path, name: str) -> None:
    ingest("digits", tmp_path / "d", train_limit=10, test_limit=10)
    assert isinstance(load(tmp_path / "d").train_images, np.memmap)
    (tmp_path / "d" / "train_images.npy").write_bytes(BAD[name])
    text = refusal(lambda: load(tmp_path / "d"))
    assert "train_images.npy" in text
    assert text.endswith("delete the folder and ingest the data set again")


@pytest.mark.parametrize("value", [None, [], "x", 1e400, {"train": 10}, {"train": -1, "test": 10}])
def test_an_ingested_folder_with_other_counts(tmp_path: Path, value: Any) -> None:
    ingest("digits", tmp_path / "d", train_limit=10, test_limit=10)
    meta = json.loads((tmp_path / "d" / "meta.json").read_text())
    (tmp_path / "d" / "meta.json").write_text(json.dumps(meta | {"counts": value}))
    assert refusal(lambda: load(tmp_path / "d")).endswith("delete the folder and ingest the data set again")
