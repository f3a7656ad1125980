"""A checkpoint comes back as it was, or not at all."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_ssl.train import checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def state() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    return {
        "method": {"weight": torch.randn(5, 4, generator=generator), "steps": torch.tensor(7)},
        "generator": generator.get_state(),
        "epoch": 3,
        "history": [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-300}],
    }


def test_round_trip(tmp_path: Path, state: dict[str, Any]) -> None:
    folder = tmp_path / "not" / "there"
    checkpoint.save(folder, state)
    found = checkpoint.load(folder, CPU)
    assert found is not None
    assert found.keys() == state.keys()
    assert torch.equal(found["method"]["weight"], state["method"]["weight"])
    assert torch.equal(found["method"]["steps"], state["method"]["steps"])
    assert torch.equal(found["generator"], state["generator"])
    assert (found["epoch"], found["history"]) == (state["epoch"], state["history"])
    assert [path.name for path in folder.iterdir()] == [checkpoint.NAME]


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, CPU) is None
    assert checkpoint.load(tmp_path / "missing", CPU) is None


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, -1000, -1])
def test_truncated_file_is_ignored(tmp_path: Path, state: dict[str, Any], kept: int) -> None:
    checkpoint.save(tmp_path, state)
    file = tmp_path / checkpoint.NAME
    file.write_bytes(file.read_bytes()[:kept])
    assert checkpoint.load(tmp_path, CPU) is None


@pytest.mark.parametrize("place", [0.0, 0.005, 0.3, 0.6, 0.999])
def test_flipped_bit_is_noticed(tmp_path: Path, state: dict[str, Any], place: float) -> None:
    checkpoint.save(tmp_path, state)
    file = tmp_path / checkpoint.NAME
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 4
    file.write_bytes(bytes(content))
    assert checkpoint.load(tmp_path, CPU) is None


class Payload:
    """Unpickles by making a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    checkpoint.save(tmp_path, {"epoch": Payload(mark)})
    file = tmp_path / checkpoint.NAME
    body = file.read_bytes()
    assert hashlib.sha256(body[32:]).digest() == body[:32]  # the checksum alone would let it through
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        checkpoint.load(tmp_path, CPU)
    assert not mark.exists()


def test_failing_write_leaves_the_earlier_checkpoint(
    tmp_path: Path, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, state)
    before = (tmp_path / checkpoint.NAME).read_bytes()
    write = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, state | {"epoch": 4})
    monkeypatch.undo()
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    found = checkpoint.load(tmp_path, CPU)
    assert found is not None
    assert found["epoch"] == 3


def test_a_state_that_cannot_be_saved_leaves_the_earlier_checkpoint(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    checkpoint.save(tmp_path, state)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        checkpoint.save(tmp_path, {"epoch": lambda: None})
    found = checkpoint.load(tmp_path, CPU)
    assert found is not None
    assert found["epoch"] == 3
