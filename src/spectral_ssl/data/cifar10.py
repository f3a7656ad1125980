"""CIFAR-10: 50,000 training and 10,000 test images of 10 classes, 32x32 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from spectral_ssl.data import cifar
from spectral_ssl.data.sources import Source

_PYTHON, _BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
LAYOUTS = (
    cifar.Layout(
        archive="cifar-10-python.tar.gz",
        files={
            "train": [f"{_PYTHON}/data_batch_{number}" for number in range(1, 6)],
            "test": [f"{_PYTHON}/test_batch"],
        },
        names=f"{_PYTHON}/batches.meta",
        batch=partial(cifar.pickled_batch, key="labels"),
        classes=partial(cifar.pickled_names, key="label_names"),
    ),
    cifar.Layout(
        archive="cifar-10-binary.tar.gz",
        files={
            "train": [f"{_BINARY}/data_batch_{number}.bin" for number in range(1, 6)],
            "test": [f"{_BINARY}/test_batch.bin"],
        },
        names=f"{_BINARY}/batches.meta.txt",
        batch=partial(cifar.binary_batch, label_bytes=1),
        classes=cifar.text_names,
    ),
)


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """The images in the order of training batches 1 to 5, classes as in `batches.meta`; see `cifar.read`."""
    return cifar.read("cifar10", LAYOUTS, path=path, image_size=image_size, limits=limits, download=download)
