"""CIFAR-100 with its 100 fine labels: 50,000 training and 10,000 test images, 32x32 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from spectral_ssl.data import cifar
from spectral_ssl.data.sources import Source

_PYTHON, _BINARY = "cifar-100-python", "cifar-100-binary"
LAYOUTS = (
    cifar.Layout(
        archive="cifar-100-python.tar.gz",
        files={"train": [f"{_PYTHON}/train"], "test": [f"{_PYTHON}/test"]},
        names=f"{_PYTHON}/meta",
        batch=partial(cifar.pickled_batch, key="fine_labels"),
        classes=partial(cifar.pickled_names, key="fine_label_names"),
    ),
    cifar.Layout(
        archive="cifar-100-binary.tar.gz",
        files={"train": [f"{_BINARY}/train.bin"], "test": [f"{_BINARY}/test.bin"]},
        names=f"{_BINARY}/fine_label_names.txt",
        batch=partial(cifar.binary_batch, label_bytes=2),  # coarse, fine
        classes=cifar.text_names,
    ),
)


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """The images in the archive's order, classes as in `meta`; see `cifar.read`."""
    return cifar.read("cifar100", LAYOUTS, path=path, image_size=image_size, limits=limits, download=download)
