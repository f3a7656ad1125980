"""BYOL (Grill et al. 2020): predict a momentum target's embedding of the other view; no negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods.base import Method, Passes, Step, through
from spectral_ssl.methods.momentum import MomentumTarget, momentum_options
from spectral_ssl.methods.options import Option
from spectral_ssl.models.heads import get_head

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import RunSettings


class BYOL(Method):
    """Loss = 2 - 2 cos(p1, t2) + 2 - 2 cos(p2, t1), the mean over samples (Grill et al. 2020, eq. 2 and its mirror).

    p is the online prediction of a view and t the target's embedding of it, without gradient. In terms of
    `negative_cosine` it is 4 + 2 (D(p1, t2) + D(p2, t1)), between 0 and 8: the gradient is four times that of
    SimSiam's form, which lightly uses. Both views pass through both networks.

    Options: `momentum` at the start (0.99: solo-learn on CIFAR; the paper's is 0.996 for 1000 epochs), rising to
    `final_momentum` (1); `predictor_width` (4096: paper). `embed` gives the projector's output.
    """

    OPTIONS = momentum_options(0.99, 1.0) | {"predictor_width": Option(4096, 1, whole=True)}
    LOSS = "negative_cosine"

    def __init__(
        self, run: RunSettings, image_size: int, channels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__(run, image_size, channels, generator=generator)
        predictor = f"predictor:{self.options['predictor_width']:.0f}"
        self.predictor = get_head(predictor, self.head.output_dim, run.embedding_dim, generator=generator)
        self.target = MomentumTarget(
            self.encoder,
            self.head,
            momentum=self.options["momentum"],
            final_momentum=self.options["final_momentum"],
        )

    def passes(self, view1: Tensor, view2: Tensor) -> Passes:
        """The symmetrised loss; representations and embeddings are the online network's."""
        networks = (self.encoder, self.head, self.predictor)
        h1, h2, z1, z2, p1, p2 = yield from through((view1, view2), *networks)
        *_, t1, t2 = yield from through((view1, view2), self.target.encoder, self.target.head)
        p1, p2, t1, t2 = self.gather(p1, p2, t1, t2)
        cosines = self.loss(p1, t2).total + self.loss(p2, t1).total
        return Step(Terms({"invariance": 4 + 2 * cosines}), (h1, h2), (z1, z2))

    def update(self, progress: float) -> None:
        """The target follows."""
        self.target.move(self.encoder, self.head, progress)
