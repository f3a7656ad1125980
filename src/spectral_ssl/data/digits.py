"""scikit-learn's 8x8 handwritten digits (1,797 images, 10 classes): embedded, so nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.data.decode import resized
from spectral_ssl.data.sources import Source, first_per_class
from spectral_ssl.errors import UserError


def read(
    *, path: Path | None, image_size: int | None, limits: Mapping[str, int | None], download: bool = False
) -> Source:
    """The digits as greyscale images (8, 8, 1), grey levels 0..16 scaled to 0..255 and rounded.

    The split is fixed: in the data set's own order, every fifth image of each class is a test image (5th,
    10th, ...), the others train. The writers follow each other in that order, so both splits see all of them.
    `download` changes nothing.

    Raises:
        UserError: a path is given.
    """
    if path is not None:
        raise UserError(f"digits comes with scikit-learn and takes no path, found {path}: leave the path out")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    targets = bunch.target.astype(np.int64)
    rank = np.empty_like(targets)  # of each image within its class
    for digit in range(10):
        of_class = targets == digit
        rank[of_class] = np.arange(of_class.sum())
    classes = [str(digit) for digit in range(10)]
    rows: dict[str, NDArray[np.intp]] = {}
    for split, chosen in (("train", rank % 5 != 4), ("test", rank % 5 == 4)):
        order = np.flatnonzero(chosen)
        order = order[np.argsort(targets[order], kind="stable")]
        rows[split] = order[first_per_class(targets[order], limits[split], classes, split)]
    notes: Counter[str] = Counter()
    side = image_size or 8

    def decoded() -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
        for split, order in rows.items():
            for row, index in enumerate(order):
                yield split, row, resized(images[index], side, notes)

    digest = hashlib.sha256(images.tobytes() + targets.tobytes()).hexdigest()
    labels = {split: targets[order] for split, order in rows.items()}
    return Source("scikit-learn digits", digest, classes, (side, side, 1), labels, decoded(), notes)
