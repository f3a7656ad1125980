"""How views pass through networks, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spectral_ssl.errors import unknown
from spectral_ssl.methods.table import METHODS

if TYPE_CHECKING:
    import torch

    from spectral_ssl.methods.base import Method
    from spectral_ssl.papers.manifest import RunSettings


def build_method(run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator) -> Method:
    """The networks and loss of a run, freshly initialised from `generator`."""
    if run.method not in METHODS:
        raise unknown("method", run.method, METHODS)
    module, name = METHODS[run.method].split(":")
    method: Method = getattr(import_module(module), name)(run, image_size, channels, generator=generator)
    return method
