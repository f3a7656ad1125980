"""What a run's networks compute and weigh, counted; GPUs' published peaks. The one module here that imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from typing import Any

import torch

from spectral_ssl.errors import unknown
from spectral_ssl.methods import build_method
from spectral_ssl.models.specification import parse_head
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.flops import PEAKS, step_flops

BATCH = 2
TRAINED = 6  # FLOPs that a product takes: once forward, twice backward, a multiplication and an addition each
# Of a run's settings all that is counted depends on; a joint embedding's loss does not belong to them.
COUNTED = ("method", "options", "encoder", "projector", "embedding_dim")
REST: dict[str, Any] = {
    "dataset": "counted", "augmentation": "none", "hyperparameters": {}, "batch_size": BATCH, "epochs": 1,
    "precision": "float32", "probes": ["knn"], "draws": 2, "threads": 1, "seed": 0,
    "optimiser": {"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.0, "warmup_epochs": 0.0},
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """flops: model FLOPs a view of a training step; width: of representations; weights_bytes: the encoder's, stored."""

    flops: float
    width: int
    weights_bytes: int


def network(settings: Mapping[str, Any], side: int, channels: int) -> Network:
    """A run's networks on images of this side and number of channels; settings as `RunSettings` names them.

    A joint embedding's encoder is counted once, with the smallest head, and every head by its widths: the networks of a
    tier have few encoders and many heads, some of them larger than the encoder.
    """
    counted = {name: settings[name] for name in COUNTED}
    if settings["method"] != "joint_embedding":
        return _network(json.dumps(counted | {"loss": settings["loss"]}, sort_keys=True), side, channels)
    least = counted | {"loss": "simclr", "projector": "linear", "embedding_dim": 1}
    found = _network(json.dumps(least, sort_keys=True), side, channels)
    head = parse_head(settings["projector"], found.width, settings["embedding_dim"])
    products = 0 if head.kind == "none" else sum(wide * narrow for wide, narrow in pairwise(head.widths))
    return replace(found, flops=found.flops + TRAINED * (products - found.width))


@cache
def _network(counted: str, side: int, channels: int) -> Network:
    run = RunSettings(**REST, **json.loads(counted))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a few images: more threads than free cores would wait for each other
    try:
        method = build_method(run, side, channels, generator=torch.Generator().manual_seed(0))
        flops = step_flops(method, BATCH, (channels, side, side)) / (2 * BATCH)
    finally:
        torch.set_num_threads(threads)
    tensors = method.encoder.state_dict().values()
    stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return Network(flops, method.representation_dim, stored)


def peak(gpu: str, precision: str) -> float:
    """A GPU's published peak in FLOP/s, by its name as the driver gives it; float32 as TF32 where it has that.

    Raises UserError for a GPU or a precision without a published peak.
    """
    for pattern, peaks in PEAKS.items():
        if peaks and (fnmatchcase(gpu, pattern) or gpu == pattern.rstrip("*")):
            name = "tf32" if precision == "float32" and "tf32" in peaks else precision
            if name not in peaks:
                raise unknown(f"precision of {gpu}", precision, peaks)
            return peaks[name] * 1e12
    raise unknown(
        "device", gpu, ["cpu", "cuda", *(name.rstrip("*") for name, peaks in PEAKS.items() if peaks)]
    )
