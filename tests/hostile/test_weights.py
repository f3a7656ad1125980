"""Weights, checkpoints and losses that lie or would run code: one line that names the file, and no canary."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from spectral_ssl.data.pickled import load_dictionary
from spectral_ssl.losses.own import own_loss
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.own import load_own

from .made import refusal


def weights() -> dict[str, torch.Tensor]:
    encoder = get_encoder("mlp", 8, 1, generator=torch.Generator().manual_seed(0))
    return {name: value.contiguous() for name, value in encoder.state_dict().items()}


FIRST = next(iter(weights()))


def lying(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A safetensors file whose header was changed."""
    data = save(weights())
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def doubled() -> bytes:
    data = save(weights())
    length = struct.unpack_from("<Q", data)[0]
    text = data[8 : 8 + length].rstrip()
    entry = json.dumps(json.loads(text)[FIRST] | {"data_offsets": [0, 4], "shape": [1]})
    text = text[:-1] + f', "{FIRST}": {entry}}}'.encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def entry(**fields: Any) -> bytes:
    return lying(lambda header: header[FIRST].update(fields))


def altered(value: Any) -> bytes:
    return save(weights() | {FIRST: value})


TENSORS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "a header beyond the file": lambda: struct.pack("<Q", 10**6) + save(weights())[8:],
    "a header of 10^12": lambda: struct.pack("<Q", 10**12) + save(weights())[8:],
    "a header of 2^64": lambda: b"\xff" * 8 + save(weights())[8:],
    "no JSON": lambda: struct.pack("<Q", 9) + b"x" * 99,
    "no UTF-8": lambda: struct.pack("<Q", 9) + b'{"\xff\xfe": 1}' + bytes(99),
    "a list": lambda: struct.pack("<Q", 2) + b"[]",
    "nested deep": lambda: struct.pack("<Q", 10**5) + b"[" * 10**5,
    "offsets out of range": lambda: entry(data_offsets=[0, 10**12]),
    "offsets that overlap": lambda: lying(
        lambda h: [value.update(data_offsets=[0, 4]) for key, value in h.items() if key != "__metadata__"]
    ),
    "offsets that go back": lambda: entry(data_offsets=[8, 0]),
    "negative offsets": lambda: entry(data_offsets=[-8, 0]),
    "an unknown type": lambda: entry(dtype="Q9"),
    "another type": lambda: entry(dtype="F64"),
    "a shape of 10^24": lambda: entry(shape=[10**12, 10**12]),
    "a name twice": doubled,
    "another shape": lambda: altered(torch.ones(2, 2)),
    "no number": lambda: altered(torch.full_like(weights()[FIRST], float("nan"))),
    "infinite": lambda: altered(torch.full_like(weights()[FIRST], float("-inf"))),
    "cut": lambda: save(weights())[:-9],
    "grown": lambda: save(weights()) + bytes(9),
}


@pytest.mark.parametrize("name", TENSORS)
def test_safetensors_that_lie(tmp_path: Path, name: str) -> None:
    path = tmp_path / "e.safetensors"
    path.write_bytes(TENSORS[name]())
    assert refusal(lambda: load_own(path, 8, 1, name="mlp")).startswith(f"{path} ")


class Canary:
    """Unpickles by a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


CALLS: dict[str, Callable[[str], Canary]] = {
    "mkdir": lambda mark: Canary(os.mkdir, mark),
    "system": lambda mark: Canary(os.system, f"mkdir {mark}"),
    "exec": lambda mark: Canary(exec, f"import os; os.mkdir({mark!r})"),
    "open": lambda mark: Canary(open, mark, "w"),
    "torch.from_file": lambda mark: Canary(torch.from_file, mark, True, 10),
    "torch.save": lambda mark: Canary(torch.save, 1, mark),
    "torch.load": lambda mark: Canary(torch.load, mark),
    "getattr": lambda mark: Canary(getattr, os, "mkdir"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["torch", "legacy", "plain", "batch"])
def test_no_pickle_calls_anything(tmp_path: Path, name: str, kind: str) -> None:
    mark, path = tmp_path / "canary", tmp_path / "e.pth"
    value = {"data": CALLS[name](str(mark))}
    if kind in ("plain", "batch"):
        try:
            path.write_bytes(pickle.dumps(value, protocol=2))
        except TypeError:
            pytest.skip("a module cannot be pickled")
    else:
        try:
            torch.save(value, path, _use_new_zipfile_serialization=kind == "torch")
        except TypeError:
            pytest.skip("a module cannot be pickled")
    if kind == "batch":
        assert "which is neither plain data nor an array" in refusal(
            lambda: load_dictionary(path.read_bytes(), "b")
        )
    else:
        assert "no state dict of tensors only" in refusal(lambda: load_own(path, 8, 1, name="mlp"))
    assert not mark.exists()


PICKLES = {
    "a memo index of 2^31": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a memo index of text": b"](p2147483647\n.",
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "a byte array of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "a number of 2^31 bytes": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
    "a number of many digits": b"I" + b"9" * 10**5 + b"\n.",
    "a depth of 10^5": b"(" * 10**5 + b"t" * 10**5 + b".",
    "itself": b"\x80\x02]q\0h\0a.",
    "an extension": b"\x80\x02\x82\x01.",
    "a buffer of elsewhere": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_that_ask_for_too_much(name: str) -> None:
    start = time.process_time()
    assert refusal(lambda: load_dictionary(PICKLES[name], "b")).startswith("b ")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", ["no zip", "a cut zip", "keys of numbers", "a list", "a tensor", "a module"])
def test_files_that_are_no_state_dict(tmp_path: Path, name: str) -> None:
    path = tmp_path / "e.pth"
    if name == "no zip":
        path.write_bytes(b"PK\x05\x06" + bytes(18))
    elif name == "a cut zip":
        with zipfile.ZipFile(path, "w") as target:
            target.writestr("e/constants.pkl", bytes(600))
        path.write_bytes(path.read_bytes()[200:])
    elif name == "a module":
        torch.save(torch.nn.Linear(2, 2), path)
    else:
        value = {"keys of numbers": {1: torch.ones(1)}, "a list": [torch.ones(1)]}.get(name, torch.ones(1))
        torch.save(value, path)
    assert str(path) in refusal(lambda: load_own(path, 8, 1, name="mlp"))


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "1/0",
        "def loss(z1, z2)",
        "\0",
        "x" + "(" * 500,
        "raise MemoryError",
        "def f(): f()\nf()",
        "x = '\udcff'",
        "import absent_module",
        "raise ValueError('a\\nb')",
    ],
)
def test_a_loss_that_does_not_load_never_ends_in_success(tmp_path: Path, code: str) -> None:
    path = tmp_path / "loss.py"
    path.write_bytes(code.encode("utf-8", "surrogateescape"))
    text = refusal(lambda: own_loss(str(path)).hyperparameters)
    assert f"{path} " in text


@pytest.mark.skipif(sys.platform != "linux", reason="a pipe")
def test_a_pipe_is_no_encoder_and_no_loss(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "e.py")
    assert "no encoder file" in refusal(lambda: load_own(tmp_path / "e.py", 8, 1))
    assert "no loss file" in refusal(lambda: own_loss(str(tmp_path / "e.py")))
