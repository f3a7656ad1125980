"""One checkpoint's folder: `weights.safetensors`, `state.pt` and the manifest that says what they must be.

The manifest names the format, the step, the settings, size and sha256 of the two files, and its own sha256. The
checksums tell of damage, not of malice: whoever alters a file can alter them. Therefore nothing that is read runs
code: safetensors cannot hold any, and `torch.load` is told `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

FORMAT = 1
WEIGHTS, STATE, MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
LEAVES = (type(None), bool, int, float, str, bytes, torch.Size, Tensor, torch.nn.Parameter)


class Damaged(Exception):
    """A checkpoint's file is not what was written; the message names the file and what is wrong."""


def contents(
    weights: Mapping[str, Tensor], state: Mapping[str, Any], step: int, settings: Mapping[str, Any]
) -> dict[str, bytes]:
    """A checkpoint's files by name.

    Args:
        weights: tensors by name, of the types that safetensors has, on any device. Names that share memory are
            written apart.
        state: plain values and tensors in dicts, lists and tuples.
        step: steps done.
        settings: plain JSON.

    Raises:
        TypeError: `state` holds what `weights_only=True` would refuse to load, a NumPy number for example.
    """
    files = {WEIGHTS: _weight_bytes(weights), STATE: _state_bytes(state)}
    entries = {name: {"bytes": len(content), "sha256": _sha256(content)} for name, content in files.items()}
    manifest = {"format": FORMAT, "step": step, "files": entries, "settings": settings}
    files[MANIFEST] = json.dumps({**manifest, "sha256": _sha256_json(manifest)}, indent=1).encode()
    return files


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files; both are on the disk when this returns."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    sync(folder)


def sync(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of the run that a checkpoint is of.

    Raises:
        Damaged: there is no manifest, it was altered, or it is of another format or step.
    """
    settings: dict[str, Any] = _manifest(folder)["settings"]
    return settings


def read(folder: Path) -> tuple[dict[str, Tensor], bytes]:
    """The weights, on the CPU, and the bytes of the state, for `load_state`.

    Raises:
        Damaged: a file is missing, is not the one that the manifest describes, or cannot be loaded.
    """
    files = _manifest(folder)["files"]
    weights, state = (_checked(folder / name, files[name]) for name in (WEIGHTS, STATE))
    tensors = _parsed(folder / WEIGHTS, weights, safetensors.load)
    _parsed(folder / STATE, state, partial(load_state, device=torch.device("cpu")))
    return tensors, state


def load_state(content: bytes, device: torch.device) -> dict[str, Any]:
    """The state: tensors that were saved from the CPU there, those that were saved from another device on this."""

    def place(storage: Any, origin: str) -> Any:
        return storage if origin == "cpu" else storage.to(device=device)

    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=place, weights_only=True)
    return state


def _weight_bytes(weights: Mapping[str, Tensor]) -> bytes:
    # Copies, since safetensors refuses tensors that share memory or are not contiguous.
    apart = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    content: bytes = safetensors.save(apart)
    return content


def _state_bytes(state: Mapping[str, Any]) -> bytes:
    _check_plain(dict(state), "state")
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def _check_plain(value: Any, name: str) -> None:
    """Refuse what could not be loaded while the run is there to be repaired, not when it is resumed."""
    if type(value) in (dict, OrderedDict):
        for key, entry in value.items():
            _check_plain(key, f"a key of {name}")
            _check_plain(entry, f"{name}.{key}")
    elif type(value) in (list, tuple):
        for place, entry in enumerate(value):
            _check_plain(entry, f"{name}.{place}")
    elif type(value) not in LEAVES:
        raise TypeError(
            f"{name} is of type {type(value).__name__}, which a checkpoint cannot hold: make it plain"
        )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(_content(path))
        version, digest = manifest["format"], manifest.pop("sha256", None)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path} is not a manifest") from error
    if version != FORMAT:
        raise Damaged(f"{path} is of format {version}, expected {FORMAT}")
    if digest != _sha256_json(manifest):
        raise Damaged(f"{path} was altered: its sha256 is not the one that it names")
    if manifest["step"] != int(folder.name):
        raise Damaged(f"{path} is of step {manifest['step']}, its folder of step {int(folder.name)}")
    return manifest


def _checked(path: Path, entry: Mapping[str, Any]) -> bytes:
    content = _content(path)
    if len(content) != entry["bytes"]:
        raise Damaged(f"{path} has {len(content)} bytes, expected {entry['bytes']}")
    if _sha256(content) != entry["sha256"]:
        raise Damaged(f"{path} was altered: its sha256 is not the one in the manifest")
    return content


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror or error})") from error


def _parsed(path: Path, content: bytes, parse: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
    try:
        return parse(content)
    except pickle.UnpicklingError as error:
        raise Damaged(
            f"{path} is refused: it holds more than plain values and tensors, perhaps code"
        ) from error
    except Exception as error:  # whatever the readers of two formats raise on bytes that are not theirs
        raise Damaged(f"{path} cannot be loaded ({type(error).__name__})") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_json(value: Any) -> str:
    return _sha256(json.dumps(value, sort_keys=True).encode())
