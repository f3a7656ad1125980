"""NNCLR (Dwibedi et al. 2021): the positive is the nearest neighbour in a queue of earlier embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Passes, Step, through
from spectral_ssl.methods.options import Option
from spectral_ssl.methods.queue import QUEUE, Queue
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class NNCLR(Method):
    """Loss = 1/2 L(NN(z1), p2) + 1/2 L(NN(z2), p1), L the `info_nce` (Dwibedi et al. 2021, eq. 4 and algorithm 1).

    NN(z) is the row of the queue nearest to a view's projection, p the prediction from a projection. The
    negatives are the batch's other predictions, of the same view as the positive. Gradient flows through the
    predictions of both views; a neighbour carries none, and neither does the projection that it is sought by.
    After the loss the projections of view 1 enter the queue, and only these, as in algorithm 1: a step's loss does
    not change under exchange of the views, the queue that it leaves does.

    Options: `queue`, its rows (see `queue.QUEUE`); `predictor_width` (4096: paper). The loss is named `info_nce`,
    which has the `temperature` (0.1: paper; 0.2: solo-learn on CIFAR). `embed` gives the projector's output.
    """

    OPTIONS = {"queue": QUEUE, "predictor_width": Option(4096, 1, whole=True)}  # noqa: RUF012
    LOSS = "info_nce"

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        predictor = f"predictor:{self.options['predictor_width']:.0f}"
        self.predictor = get_head(predictor, self.head.output_dim, run.embedding_dim, generator=generator)
        size = int(self.options["queue"])
        self.queue = Queue(size, self.head.output_dim, run.batch_size, generator=generator)

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """The symmetrised loss against the queue as it is; then view 1's projections enter it."""
        networks = (self.encoder, self.head, self.predictor)
        h1, h2, z1, z2, p1, p2 = yield from through((view1, view2), *networks)
        sought1, sought2, p1, p2 = self.gather(z1.detach(), z2.detach(), p1, p2)
        first = self.loss(self.queue.nearest(sought1), p2, **self.hyperparameters)
        second = self.loss(self.queue.nearest(sought2), p1, **self.hyperparameters)
        self.queue.push(sought1)
        terms = Terms({name: (first[name] + second[name]) / 2 for name in first})
        return Step(terms, (h1, h2), (z1, z2))
