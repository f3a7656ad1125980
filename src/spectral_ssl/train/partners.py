"""Positive pairs drawn from a relation graph over the training images, on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.data.pairing import Relation, parse_relation
from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.errors import UserError, unknown
from spectral_ssl.train.room import free_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectral_ssl.train.images import Images

_BLOCK = 1024  # images that are read at once


@dataclass
class Partners:
    """Row i's candidates are `members[start[i] : start[i] + size[i]]`, i itself left out where it is among them.

    Groups (classes, factor levels) share one stretch of `members`, so that memory is linear in the images however
    many edges the graph has. wrong: the chance that a partner is any other image instead, related or not. It is drawn
    anew each time; a graph of which that fraction of the edges is rewired would keep its wrong edges.

    Every image comes first equally often, so an edge weighs one over the candidates of the image that it leaves: in
    groups as `labels_graph` has it with the weights "class", not "ones".
    """

    members: Tensor
    start: Tensor
    size: Tensor
    place: Tensor
    wrong: float

    def sample(self, index: Tensor, *, generator: torch.Generator) -> Tensor:
        """A partner (B,) for each of these images (B,), a batch or all of an epoch; one without any is its own."""

        def uniform() -> Tensor:
            # Float32 has 2^24 values: of 1.3 million candidates some would come 8 % more often than others.
            return torch.rand(len(index), generator=generator, device=index.device, dtype=torch.float64)

        size, place = self.size[index], self.place[index]
        inside = place >= 0
        others = size - inside.long()
        step = (uniform() * others).long()  # never rounds up to `others`
        offset = torch.where(inside, (place + 1 + step) % size.clamp_min(1), step)
        # A lonely image's stretch is empty: its start may lie behind the last member.
        partner = self.members[(self.start[index] + offset).clamp_max(len(self.members) - 1)]
        partner = torch.where(others > 0, partner, index)
        if self.wrong:
            n = len(self.start)
            random = (index + 1 + (uniform() * (n - 1)).long()) % n
            partner = torch.where(uniform() < self.wrong, random, partner)
        return partner


def partners(spec: str, images: Images) -> Partners | None:
    """The sampler of a relation's pairs; None for `views`, whose pairs are one image twice.

    Raises UserError for a relation that the data set cannot give: no such factor, more neighbours than images.
    """
    relation = parse_relation(spec)
    if relation.kind == "views" and not relation.wrong:
        return None
    if relation.kind == "neighbours":
        return _of_neighbours(relation, images)
    n, device = images.count("train"), images.device
    group = _groups(relation, images).cpu()
    order = torch.argsort(group, stable=True)
    values, counts = torch.unique_consecutive(group[order], return_counts=True)
    starts = torch.cumsum(counts, 0) - counts
    which = torch.searchsorted(values, group.contiguous())
    place = torch.empty(n, dtype=torch.long)
    place[order] = torch.arange(n) - torch.repeat_interleave(starts, counts)
    order, starts, counts, place = (part.to(device) for part in (order, starts[which], counts[which], place))
    return Partners(order, starts, counts, place, relation.wrong)


def _groups(relation: Relation, images: Images) -> Tensor:
    """A number an image; equal numbers are related. Unlabelled images are related to none."""
    everyone = torch.arange(images.count("train"))
    if relation.kind == "views":
        return everyone
    if relation.kind == "labels":
        labels = images.train_labels.cpu()
        return torch.where(labels < 0, -1 - everyone, labels)
    names = images.factor_names
    if not names:
        raise UserError(
            f"relation 'factor:{relation.argument}' needs a data set with known factors, and this one has none; "
            "use the data set 'factors', or the relation 'labels'"
        )
    if relation.argument not in names:
        raise unknown("factor", str(relation.argument), names)
    return images.train_factors[:, names.index(str(relation.argument))].cpu()


def _of_neighbours(relation: Relation, images: Images) -> Partners:
    pixels = _pixels(images)
    graph = neighbours_graph(pixels, int(str(relation.argument)))

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(images.device)

    nowhere = torch.full((len(pixels),), -1, device=images.device)
    sizes = tensor(np.diff(graph.indptr))
    return Partners(tensor(graph.indices), tensor(graph.indptr[:-1]), sizes, nowhere, relation.wrong)


def _pixels(images: Images) -> NDArray[np.float64]:
    """The training images (N, C H W) as the search for neighbours takes them; refused where memory is short."""
    n, *shape = images.shape
    pixels = math.prod(shape)
    needed, free = 8 * n * pixels, free_memory(torch.device("cpu"))
    if needed > free:
        raise UserError(
            f"neighbours among {n:,} images of {pixels:,} numbers need {needed / 2**30:.1f} GiB of memory, and "
            f"{free / 2**30:.1f} GiB are free; set data.train_limit or choose the relation 'labels'"
        )
    table = np.empty((n, pixels))
    start = 0
    for part in images.batches("train", torch.arange(n), _BLOCK):
        table[start : start + len(part)] = part.flatten(1).cpu().numpy()
        start += len(part)
    return table
