"""Checkpoints of unfinished runs: written whole or not at all, checked when read, loaded without code."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, their sha256 in front; atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    temporary = folder / f".{NAME}.{os.getpid()}.part"
    try:
        temporary.write_bytes(hashlib.sha256(body).digest() + body)
        temporary.replace(folder / NAME)
    finally:
        temporary.unlink(missing_ok=True)


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The state last saved in `folder`, or None if there is none or its checksum does not match its bytes.

    A damaged checkpoint is not an error: the run starts again, which costs time and never a wrong number.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != digest:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    return state
