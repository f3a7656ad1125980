"""A data set that does not fit on its device: images read from their files by threads, ahead of their use."""

from __future__ import annotations

import math
import os
import weakref
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from mmap import mmap
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.train.images import Images, labels_and_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectral_ssl.data.sources import Dataset

    Loaded = tuple[Tensor, torch.cuda.Event | None]


class Rows:
    """The images of a split, read from the file that an array (N, H, W, C) uint8 is mapped from.

    Not through the map: where a file has become shorter, or its disk fails, that ends the process without a word
    (SIGBUS), and pages read through it count as the process's memory. The file stays open, so that a data set that is
    replaced meanwhile is read to its end.

    Raises UserError for an array that is not mapped from a file, or is a part of one that is.
    """

    def __init__(self, array: NDArray[np.uint8]) -> None:
        if not isinstance(array, np.memmap) or array.filename is None:
            raise UserError("images in memory cannot be streamed; expected a data set mapped from its files")
        base: object = array.base
        if not isinstance(base, mmap) or not array.flags.c_contiguous:
            # A part of the map says the whole's offset.
            raise UserError(
                f"a part of {array.filename} cannot be streamed; expected all of its images, in order"
            )
        self.path = array.filename
        self.start = array.offset
        self.shape = array.shape
        self.file = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Fill `out` (B, H, W, C) with these rows: in the file's order, neighbours that stay neighbours at once.

        Raises UserError for a file that cannot be read or has become too short.
        """
        order = np.argsort(rows, kind="stable")
        ranked = rows[order]
        size = math.prod(self.shape[1:])
        view = out.reshape(-1).data
        apart = (np.diff(ranked) != 1) | (np.diff(order) != 1)
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
        places, starts = (order * size).tolist(), (self.start + ranked * size).tolist()
        for first, last in pairwise(edges):
            if first < last:
                self._fill(view[places[first] : places[first] + (last - first) * size], starts[first])

    def _fill(self, view: memoryview, start: int) -> None:
        try:
            while view:
                count = os.preadv(self.file, [view], start)
                if not count:
                    raise UserError(
                        f"{self.path} ended at byte {start}, and more images were expected: it was cut short while "
                        "it was read; ingest the data set again"
                    )
                view, start = view[count:], start + count
        except OSError as error:
            raise UserError(
                f"cannot read {self.path}: {error.strerror or error}; check its disk, then run again"
            ) from error


@dataclass(kw_only=True)
class Stream(Images):
    """Images read from their files in whole batches, one a thread, in the order that they are asked for.

    As many batches as there are threads, and one more, are under way while one is used. Arrays of the files' layout
    (B, H, W, C) become (B, C, H, W) in the thread on a CPU; CUDA has them copied from pinned memory on a stream of its
    own and does this itself, while the networks compute.
    """

    train: Rows
    test: Rows
    workers: int

    @classmethod
    def reading(cls, dataset: Dataset, device: torch.device, *, workers: int = 2) -> Stream:
        """A data set's images in its files, which have to stay.

        Raises UserError for arrays that no file has, or no worker.
        """
        if workers < 1:
            raise UserError(f"{workers} workers to read images; expected 1 or more")
        train, test = Rows(dataset.train_images), Rows(dataset.test_images)
        return cls(train=train, test=test, workers=workers, **labels_and_factors(dataset, device))

    def __post_init__(self) -> None:
        self._side = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the training images."""
        n, height, width, channels = self.train.shape
        return n, channels, height, width

    def get(self, split: str, index: Tensor) -> Tensor:
        """Some images of a split, (B, C, H, W) uint8 on the device; waits for the device and the disk."""
        return self._ready(self._load(split, self._checked(split, index)))

    def batches(self, split: str, index: Tensor, size: int) -> Generator[Tensor, None, None]:
        """The images of `index` in its order, `size` at a time; the last batch may be smaller.

        Waits for the device once, at the first batch. No thread is left when the generator ends or is closed. Raises
        UserError where reading fails.
        """
        pending: deque[Future[Loaded]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="images") as pool:
            try:
                for rows in self._checked(split, index).split(size):
                    pending.append(pool.submit(self._load, split, rows))
                    if len(pending) > self.workers + 1:
                        yield self._ready(pending.popleft().result())
                while pending:
                    yield self._ready(pending.popleft().result())
            finally:
                for future in pending:
                    future.cancel()

    def _checked(self, split: str, index: Tensor) -> Tensor:
        rows, n = index.cpu(), self.count(split)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
            raise IndexError(f"images {int(rows.min())} to {int(rows.max())} of {n} {split} images")
        return rows

    def _load(self, split: str, rows: Tensor) -> Loaded:
        source: Rows = getattr(self, split)
        shape = (len(rows), *source.shape[1:])
        if self._side is None:
            found = np.empty(shape, np.uint8)
            source.read(rows.numpy(), found)
            return torch.from_numpy(np.ascontiguousarray(found.transpose(0, 3, 1, 2))), None
        with torch.cuda.stream(self._side):
            # Pinned memory goes back to torch's cache, which does not lend it again before the copy has been made.
            pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
            source.read(rows.numpy(), pinned.numpy())
            images = pinned.to(self.device, non_blocking=True).permute(0, 3, 1, 2).contiguous()
            return images, self._side.record_event()

    def _ready(self, loaded: Loaded) -> Tensor:
        """The images for the stream that asks: it waits for the copy, and the copy's memory for it."""
        images, copied = loaded
        if copied is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(copied)
            images.record_stream(current)
        return images
