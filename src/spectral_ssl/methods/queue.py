"""A queue of the last embeddings: MoCo's negatives, NNCLR's support set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.losses.algebra import normalise_rows
from spectral_ssl.losses.terms import full_precision
from spectral_ssl.methods.options import Option

# Ours, for small data. Papers: 65536 (He et al. 2020), 98304 (Dwibedi et al. 2021). solo-learn on CIFAR: 32768 for
# MoCo, 65536 for NNCLR.
QUEUE = Option(4096, 2, whole=True)


class Queue(nn.Module):
    """First in, first out: `rows` (size, K), the last `size` embeddings, of norm 1, float32, oldest first.

    It starts full of random directions from `generator`, as in the code of He et al. (MoCo), in solo-learn
    and lightly: they count as negatives, or as neighbours, until real embeddings have pushed them out. A queue longer
    than an epoch holds an image's own embedding of the epoch before, as it does there.

    The oldest rows leave one by one, so `size` need not be a multiple of the batch. `push` makes a new tensor:
    what a loss still holds for its gradient stays as it was. `rows` is in `state_dict`.
    Raises UserError if a batch does not fit in.
    """

    rows: Tensor

    def __init__(self, size: int, dim: int, batch_size: int, *, generator: torch.Generator) -> None:
        super().__init__()
        if size < batch_size:
            raise UserError(
                f"option queue is {size}, but batch_size is {batch_size}; expected a queue that holds a batch; "
                f"set the option queue to at least {batch_size}"
            )
        self.register_buffer("rows", normalise_rows(torch.randn(size, dim, generator=generator)))

    @torch.no_grad()
    def push(self, embeddings: Tensor) -> None:
        """Adds the directions of embeddings (B, K), the last row last, and drops the B oldest."""
        self.rows = torch.cat([self.rows[len(embeddings) :], normalise_rows(embeddings.to(self.rows.dtype))])

    @torch.no_grad()
    def nearest(self, embeddings: Tensor) -> Tensor:
        """For each of embeddings (B, K) the row of the largest cosine with it, (B, K), without gradient."""
        with full_precision(embeddings):
            cosines = normalise_rows(embeddings.to(self.rows.dtype)) @ self.rows.T
        return self.rows[cosines.argmax(dim=1)]
