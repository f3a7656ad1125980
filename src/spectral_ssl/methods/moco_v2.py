"""MoCo v2 (Chen et al. 2020; He et al. 2020): a momentum encoder's keys in a queue are the negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spectral_ssl.losses.info_nce import info_nce_queue
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Passes, Step, through
from spectral_ssl.methods.momentum import MomentumTarget, momentum_options
from spectral_ssl.methods.options import Option
from spectral_ssl.methods.queue import QUEUE, Queue

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class MoCoV2(Method):
    """InfoNCE of queries against their keys and a queue of earlier keys (He et al. 2020, eq. 1).

    The key network is a `MomentumTarget`, and the queue's keys are those of earlier steps only. With `symmetric` 1, the
    default, each view is query once and key once and the loss is the mean of the two directions; each direction has
    its own queue, of the keys of its view: the MoCo v2+ of solo-learn, and Chen & He (2021) symmetrise too.
    With 0 view 1 is the query and view 2 the key, as in the paper, at half the cost; the second representation and
    embedding of a step are then the key network's, without gradient.

    Options besides: `momentum` 0.99 rising to `final_momentum` 0.999 (solo-learn on CIFAR; the paper holds
    0.999); `queue`, rows a queue (see `queue.QUEUE`). The loss is named `info_nce`, which has the `temperature`
    (0.2: Chen et al. 2020).

    Shuffled batch norm (He et al. 2020, section 3.3) is left out: it exchanges samples between GPUs, and on
    one GPU a batch shuffled whole has the statistics that it had.
    """

    OPTIONS = momentum_options(0.99, 0.999) | {"queue": QUEUE, "symmetric": Option(1, 0, 1, whole=True)}
    LOSS = "info_nce"

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        self.target = MomentumTarget(
            self.encoder,
            self.head,
            momentum=self.options["momentum"],
            final_momentum=self.options["final_momentum"],
        )
        size, dim = int(self.options["queue"]), self.head.output_dim
        directions = 2 if self.options["symmetric"] else 1
        self.queues = nn.ModuleList(
            Queue(size, dim, run.batch_size, generator=generator) for _ in range(directions)
        )

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """The loss against the queues as they are; then the step's keys enter them."""
        count = len(self.queues)
        outputs = yield from through((view1, view2)[:count], self.encoder, self.head)
        targets = yield from through((view2, view1)[:count], self.target.encoder, self.target.head)
        directions = []
        for query, key, queue in zip(outputs[count:], targets[count:], self.queues, strict=True):
            assert isinstance(queue, Queue)
            query, key = self.gather(query, key)
            directions.append(info_nce_queue(query, key, queue.rows, **self.hyperparameters))
            queue.push(key)
        terms = Terms({name: torch.stack([d[name] for d in directions]).mean() for name in directions[0]})
        second = (
            outputs if count == 2 else targets
        )  # in one direction view 2 passes through the key network alone
        (h1, z1), (h2, z2) = outputs[::count], second[count - 1 :: count]
        return Step(terms, (h1, h2), (z1, z2))

    def update(self, progress: float) -> None:
        """The key network follows."""
        self.target.move(self.encoder, self.head, progress)
