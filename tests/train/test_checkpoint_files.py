"""A checkpoint's files: tensors come back bit by bit, and nothing that is read runs code."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from spectral_ssl.train.checkpoint import Checkpoints
from spectral_ssl.train.checkpoint_files import MANIFEST, STATE, WEIGHTS, contents, load_state

CPU = torch.device("cpu")
DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64),
]


def again(folder: Path, weights: dict[str, Tensor], state: dict[str, Any]) -> tuple[dict[str, Tensor], Any]:
    assert Checkpoints(folder, {}).save(weights, state, 1)
    found = Checkpoints(folder, {}).load(CPU)
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_weights_of_any_type_come_back(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.linspace(-3, 3, 24).reshape(2, 3, 2, 2).to(dtype)
    weights = {"full": values, "scalar": values[0, 0, 0, 0], "none": values[:0]}
    found, _ = again(tmp_path, weights, {})
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert (found[name].dtype, found[name].shape) == (dtype, value.shape)
        assert found[name].contiguous().view(-1).tolist() == value.reshape(-1).tolist()


def test_tensors_that_share_memory_come_back_apart(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    weights = {
        "whole": whole,
        "same": whole,
        "row": whole[1],
        "turned": whole.T,
        "spread": whole[0, 1].expand(5),
        "last": torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).to(
            memory_format=torch.channels_last
        ),
        "parameter": nn.Parameter(whole),
    }
    found, _ = again(tmp_path, weights, {})
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert not any(value.requires_grad for value in found.values())
    found["whole"].zero_()
    assert torch.equal(found["same"], whole)


def test_a_tied_network_comes_back(tmp_path: Path) -> None:
    networks = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)) for _ in range(2)]
    for network in networks:
        network[2].weight = network[0].weight
    found, _ = again(tmp_path, networks[0].state_dict(), {})
    networks[1].load_state_dict(found)
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in networks), strict=True))
    assert networks[1][2].weight is networks[1][0].weight


def test_weights_can_be_read_by_safetensors_alone(tmp_path: Path) -> None:
    weights = {"a": torch.arange(3)}
    again(tmp_path, weights, {})
    path = tmp_path / "checkpoints" / "000000000001" / WEIGHTS
    assert torch.equal(safetensors.torch.load_file(path)["a"], weights["a"])


def test_optimisers_and_generators_go_on_as_if_never_saved(tmp_path: Path) -> None:
    def begun() -> tuple[nn.Linear, torch.optim.Optimizer, torch.Generator]:
        generator = torch.Generator().manual_seed(1)
        network = nn.utils.skip_init(nn.Linear, 3, 2)
        for parameter in network.parameters():
            parameter.data.normal_(generator=generator)
        return network, torch.optim.AdamW(network.parameters(), lr=0.1), generator

    def steps(network: nn.Linear, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
        for _ in range(3):
            optimiser.zero_grad()
            network(torch.randn(5, 3, generator=generator)).square().sum().backward()
            optimiser.step()

    network, optimiser, generator = begun()
    steps(network, optimiser, generator)
    state = {
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "history": [{"loss": 1e-300, "rank": float("inf")}],
        "position": (1, 2, None, True, b"x", torch.Size([2])),
        "ordered": OrderedDict(a=1),
    }
    weights, found = again(tmp_path, network.state_dict(), state)
    assert {name: found[name] for name in ("history", "position", "ordered")} == {
        name: state[name] for name in ("history", "position", "ordered")
    }
    other = begun()
    other[0].load_state_dict(weights)
    other[1].load_state_dict(found["optimiser"])
    other[2].set_state(found["generator"])
    for which in ((network, optimiser, generator), other):
        steps(*which)
    assert torch.equal(network.weight, other[0].weight)


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ({"loss": np.float64(1)}, "state.loss is of type float64"),
        ({"rows": [{}, {"rank": np.float32(1)}]}, "state.rows.1.rank is of type float32"),
        ({"place": Path()}, "state.place is of type PosixPath"),
        ({"call": (1, print)}, "state.call.1 is of type builtin_function_or_method"),
        ({"by": {Path(): 1}}, "a key of state.by is of type PosixPath"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path, state: dict[str, Any], name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}, which a checkpoint cannot hold: make it plain"):
        Checkpoints(tmp_path, {}).save({}, state, 1)
    assert list(tmp_path.iterdir()) == []


class Payload:
    """Unpickles by making a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def altered(folder: Path, name: str, content: bytes, change: Callable[[dict[str, Any]], Any]) -> None:
    """Alter a file and the manifest so that every checksum agrees."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"]
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(manifest)
    body = json.dumps(manifest, sort_keys=True).encode()
    (folder / MANIFEST).write_text(json.dumps(manifest | {"sha256": hashlib.sha256(body).hexdigest()}))


def saved(folder: Path) -> Path:
    again(folder, {"a": torch.zeros(2)}, {"epoch": 1})
    return folder / "checkpoints" / "000000000001"


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, mark = saved(tmp_path), tmp_path / "ran"
    altered(folder, STATE, pickled({"epoch": Payload(mark)}), lambda _: None)
    assert Checkpoints(tmp_path, {}).load(CPU) is None
    assert not mark.exists()
    assert caplog.messages == [
        f"{folder / STATE} is refused: it holds more than plain values and tensors, perhaps code; the run starts "
        "from its beginning"
    ]
    torch.load(io.BytesIO(pickled(Payload(mark))), weights_only=False)
    assert mark.exists()  # it would have run


def test_the_alteration_above_is_noticed_by_nothing_else(tmp_path: Path) -> None:
    altered(saved(tmp_path), STATE, pickled({"epoch": 7}), lambda _: None)
    found = Checkpoints(tmp_path, {}).load(CPU)
    assert found is not None
    assert found[1] == {"epoch": 7}


@pytest.mark.parametrize(
    ("name", "content", "change", "message"),
    [
        (WEIGHTS, b"no tensors", {}, "weights.safetensors cannot be loaded (SafetensorError)"),
        (STATE, b"no archive", {}, "state.pt is refused: it holds more than plain values and tensors"),
        (STATE, pickled({})[:-50], {}, "state.pt cannot be loaded (RuntimeError)"),
        (STATE, pickled({}), {"format": 2}, "manifest.json is of format 2, expected 1"),
        (STATE, pickled({}), {"step": 4}, "manifest.json is of step 4, its folder of step 1"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: bytes,
    change: dict[str, Any],
    message: str,
) -> None:
    altered(saved(tmp_path), name, content, lambda manifest: manifest.update(change))
    assert Checkpoints(tmp_path, {}).load(CPU) is None
    assert message in caplog.text


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"step": 1}', "\udcff"])
def test_what_is_no_manifest_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    path = saved(tmp_path) / MANIFEST
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert Checkpoints(tmp_path, {}).load(CPU) is None
    assert caplog.messages == [f"{path} is not a manifest; the run starts from its beginning"]


def test_tensors_return_to_the_kind_of_device_they_were_on() -> None:
    state = {"steps": torch.tensor(3), "sum": torch.ones(2)}
    content = contents({}, state, 1, {})[STATE]
    there = load_state(content, torch.device("meta"))  # another device than the CPU, which every machine has
    assert all(torch.equal(there[name], value) for name, value in state.items())
    if torch.cuda.is_available():
        content = contents({}, {"steps": state["steps"], "sum": state["sum"].cuda()}, 1, {})[STATE]
        for device in ("cuda", "cpu"):
            there = load_state(content, torch.device(device))
            assert [there[name].device.type for name in ("steps", "sum")] == ["cpu", device]
            assert torch.equal(there["sum"].cpu(), state["sum"])
