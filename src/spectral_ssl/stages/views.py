"""Stage `views`: V views of a subset, the relation graph G that joins them, and a contact sheet."""

from __future__ import annotations

import numpy as np
import torch

from spectral_ssl.data.graph import save_graph, views_graph
from spectral_ssl.data.sources import Dataset, load
from spectral_ssl.data.views import contact_sheet, get_augmentation
from spectral_ssl.errors import UserError
from spectral_ssl.stages import Context

SHEET_ROWS = 8


def run(context: Context) -> int:
    """Write views.npy (V * n, C, H, W) float32, index.npy (n,), G.npz (CSR) and contact_sheet.png.

    Row v * n + i of views.npy is view v of training image index[i], which is G's order.
    """
    tier = context.tier
    dataset = load(context.layout.data(tier.data.slug))
    index = subset(dataset, tier.views.images)
    images = torch.from_numpy(dataset.train_images[index].transpose(0, 3, 1, 2).copy())
    augmentation = get_augmentation(tier.training.augmentation, images.shape[-1], images.shape[1])
    generator = torch.Generator().manual_seed(0)
    factors = torch.from_numpy(dataset.train_factors[index]) if dataset.meta["factors"] else None
    views = torch.cat(
        [augmentation(images, generator=generator, factors=factors) for _ in range(tier.views.views)]
    )

    folder = context.layout.views(tier.data.slug, tier.training.augmentation)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "views.npy", views.numpy())
    np.save(folder / "index.npy", index)
    save_graph(folder / "G.npz", views_graph(len(index), tier.views.views))
    rows = np.linspace(0, len(index) - 1, min(SHEET_ROWS, len(index))).round().astype(int)
    contact_sheet(
        images[rows],
        augmentation,
        rows=len(rows),
        views=8,
        generator=generator,
        path=folder / "contact_sheet.png",
        factors=None if factors is None else factors[rows],
    )
    return 0


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
