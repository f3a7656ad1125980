"""How many images a tier's data sets have, before they are ingested. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from spectral_ssl.costs.histories import ingested
from spectral_ssl.sections import Data

Shape = tuple[int, int, int, int]  # training images, test images, side in pixels, channels
# What the stage `data` finds in each whole data set. A folder of one's own it has to count; ImageNet has no one side.
WHOLE: dict[str, Shape] = {
    "digits": (1442, 355, 8, 1),
    "factors": (4096, 1024, 32, 3),
    "cifar10": (50_000, 10_000, 32, 3),
    "cifar100": (50_000, 10_000, 32, 3),
    "stl10": (105_000, 8_000, 96, 3),
    "tiny_imagenet": (100_000, 10_000, 64, 3),
    "imagenet": (1_281_167, 50_000, 0, 3),
}
LABELLED = {"stl10": 5_000}  # where not every training image has a label: a limit keeps these only


def shape(data: Data, folder: Path) -> Shape | None:
    """As ingested into `folder`, or else as that data set is known to be; None if neither tells."""
    if (found := ingested(folder)) is not None:
        return found
    if data.name not in WHOLE:
        return None
    train, test, side, channels = WHOLE[data.name]
    side = data.image_size or side
    if data.train_limit is not None:
        train = min(LABELLED.get(data.name, train), data.train_limit)
    test = test if data.test_limit is None else min(test, data.test_limit)
    return (train, test, side, channels) if side else None


def labelled(data: Data, found: Shape) -> int:
    """Training images that probes fit."""
    return min(found[0], LABELLED.get(data.name, found[0]))
