"""Stage `views`: V views of a subset, the relation graph G that joins them, and a contact sheet of each data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spectral_ssl.data.graph import save_graph, views_graph
from spectral_ssl.data.sources import Dataset, load
from spectral_ssl.data.views import contact_sheet, get_augmentation
from spectral_ssl.errors import UserError
from spectral_ssl.provenance import replacing
from spectral_ssl.stages import Context

SHEET_ROWS = 8


def run(context: Context) -> int:
    """Write views.npy (V * n, C, H, W) float32, index.npy (n,) and G.npz (CSR) of the tier's own data set, and
    contact_sheet.png of every one.

    Row v * n + i of views.npy is view v of training image index[i], which is G's order.
    """
    tier = context.tier
    for name, preset in tier.augmentations.items():
        dataset = load(context.layout.data(name))
        folder = context.layout.views(name, preset)
        generator = torch.Generator().manual_seed(0)
        if name == tier.data.slug:
            index = subset(dataset, tier.views.images)
            drawn = Drawn(dataset, index, preset)
            drawn.save(folder / "views.npy", tier.views.views, generator)
            with replacing(folder / "index.npy") as file:
                np.save(file, index)
            save_graph(folder / "G.npz", views_graph(len(index), tier.views.views))
        else:
            index = subset(dataset, SHEET_ROWS)
        rows = np.linspace(0, len(index) - 1, min(SHEET_ROWS, len(index))).round().astype(int)
        Drawn(dataset, index[rows], preset).sheet(folder / "contact_sheet.png", generator)
    return 0


class Drawn:
    """Some training images, by `index`, under an augmentation."""

    def __init__(self, dataset: Dataset, index: np.ndarray, preset: str) -> None:
        self.images = torch.from_numpy(dataset.train_images[index].transpose(0, 3, 1, 2).copy())
        self.augmentation = get_augmentation(preset, self.images.shape[-1], self.images.shape[1])
        self.factors = torch.from_numpy(dataset.train_factors[index]) if dataset.meta["factors"] else None

    def view(self, generator: torch.Generator) -> torch.Tensor:
        """A view of each image, (n, C, H, W)."""
        return self.augmentation(self.images, generator=generator, factors=self.factors)

    def save(self, path: Path, views: int, generator: torch.Generator) -> None:
        """Views of every image, (views * n, C, H, W), all first views first; one view of each in memory at a time."""
        shape = (views * len(self.images), *self.images.shape[1:])
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with replacing(path) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(views):
                file.write(np.ascontiguousarray(self.view(generator).numpy()).data)

    def sheet(self, path: Path, generator: torch.Generator) -> None:
        """A picture of each image and eight of its views, an image a row."""
        contact_sheet(
            self.images,
            self.augmentation,
            rows=len(self.images),
            views=8,
            generator=generator,
            path=path,
            factors=self.factors,
        )


def subset(dataset: Dataset, size: int) -> np.ndarray:
    """Sorted indices of `size` training images, spread over the classes as evenly as they allow; unlabelled ones
    count as one more class.
    """
    labels = np.asarray(dataset.train_labels)
    if size > len(labels):
        raise UserError(f"views.images is {size}, but there are {len(labels)} training images; set it lower")
    rank = np.empty(len(labels), dtype=int)  # an image's place among those of its class
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.sort(np.lexsort((labels, rank))[:size])
