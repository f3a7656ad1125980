"""Tiny archives of exactly the official binary layout of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), by name.

A record is a label (CIFAR-100: a coarse and a fine one) and 3,072 bytes, red before green before blue.
"""

from __future__ import annotations

import numpy as np

from .fake_imagenet import tar

CIFAR10, CIFAR100 = "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"


def records(seed: int, labels: list[int], *, fine: bool) -> bytes:
    """An image of noise a label."""
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return b"".join(
        bytes([label // 5, label][1 - fine :]) + image.tobytes()
        for label, image in zip(labels, images, strict=True)
    )


def archives(per_class: int = 2) -> dict[str, bytes]:
    """`per_class` training images in each batch of CIFAR-10 and in CIFAR-100; one test image a class."""
    ten, hundred = list(range(10)), list(range(100))
    names = "".join(f"kind {i}\n" for i in ten).encode()
    small = {f"data_batch_{i}.bin": records(i, ten * per_class, fine=False) for i in range(1, 6)}
    small |= {"test_batch.bin": records(6, ten, fine=False), "batches.meta.txt": names + b"\n"}
    fine = "".join(f"kind {i}\n" for i in hundred).encode()
    large = {"train.bin": records(7, hundred * per_class, fine=True), "fine_label_names.txt": fine}
    large["test.bin"] = records(8, hundred, fine=True)
    return {
        CIFAR10: tar({f"cifar-10-batches-bin/{name}": data for name, data in small.items()}, "w:gz"),
        CIFAR100: tar({f"cifar-100-binary/{name}": data for name, data in large.items()}, "w:gz"),
    }
