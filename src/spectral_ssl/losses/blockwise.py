"""Log-sum-exps over the rows of a matrix of similarities, in memory linear in the number of embeddings.

A small matrix is formed whole. A large one is seen a block at a time and never stored: forwards, the sums of the
blocks are joined; backwards, each block is computed again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses.terms import full_precision

SIMILARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda s: s,
    "squared": torch.square,
    "absolute": torch.abs,
}

BLOCK_BYTES = {"cpu": 2**20}
"""Bytes of a block of similarities, so that it stays in the processor's cache."""

DEVICE_BLOCK_BYTES = 2**24
"""The same on any other device, where a smaller block would be over before the next is launched."""

DIRECT_BLOCKS = 4
"""Matrices of up to so many blocks are formed whole: in float32 1,024 rows and columns on a CPU."""


class Form(NamedTuple):
    """Which log-sum-exps: of exp(phi(<a_i, b_j>) / temperature), phi by its name in `SIMILARITIES`.

    `kind`: "own", a and b are the same (N, K) and the sum for i runs over j != i; "pair", both are (N, K), for i over
    j != i and for j over i != j as well; "all", b is (M, K) and the sum for i runs over every j.
    """

    kind: str
    temperature: float
    similarity: str = "plain"

    @property
    def scale(self) -> float:
        """What a is divided by before the products, so that phi of them has its temperature."""
        return self.temperature**0.5 if self.similarity == "squared" else self.temperature


def own_log_sum_exp(z: Tensor, temperature: float, similarity: str = "plain") -> Tensor:
    """log sum_{j != i} exp(phi(<z_i, z_j>) / temperature) for each row i of z (N, K), N >= 2: (N,).

    Memory is O(N K) and a few blocks, whatever N. Above `DIRECT_BLOCKS` the gradient is computed by hand and has none
    of its own: UserError under `create_graph=True`, and torch's RuntimeError under `torch.func`. The same holds for the
    two functions below.
    """
    return _log_sum_exps(z, z, Form("own", temperature, similarity))[0]


def pair_log_sum_exps(
    a: Tensor, b: Tensor, temperature: float, similarity: str = "plain"
) -> tuple[Tensor, Tensor]:
    """log sum_{j != i} exp(phi(<a_i, b_j>) / temperature) for each row i of a, and for each j of b over i: (N,) each.

    a and b are (N, K), N >= 2. Both come from one pass over the similarities.
    """
    return _log_sum_exps(a, b, Form("pair", temperature, similarity))


def all_log_sum_exp(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """log sum_j exp(<a_i, b_j> / temperature) over every row j of b (M, K), for each row i of a (N, K): (N,)."""
    return _log_sum_exps(a, b, Form("all", temperature))[0]


def _log_sum_exps(a: Tensor, b: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    size = BLOCK_BYTES.get(a.device.type, DEVICE_BLOCK_BYTES)
    if len(a) * len(b) * a.element_size() <= DIRECT_BLOCKS * size:
        return direct(a, b, form)
    return blockwise(a, b, form, math.isqrt(size // a.element_size()))


def direct(a: Tensor, b: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """The sums for a's rows and for b's, (N,) each, from the whole matrix; of kinds but "pair", the first twice."""
    logits = SIMILARITIES[form.similarity](a / form.scale @ b.T)
    if form.kind != "all":
        logits.fill_diagonal_(-math.inf)
    rows = logits.logsumexp(dim=1)
    return rows, logits.logsumexp(dim=0) if form.kind == "pair" else rows


def blockwise(a: Tensor, b: Tensor, form: Form, side: int) -> tuple[Tensor, Tensor]:
    """The same from blocks of `side` rows and columns; their joined sums differ from `direct` by roundings only."""
    if torch.compiler.is_compiling():  # traced, the loop over blocks would be unrolled
        return torch.compiler.disable(_apply)(a, b, form, side)
    return _apply(a, b, form, side)


def _apply(a: Tensor, b: Tensor, form: Form, side: int) -> tuple[Tensor, Tensor]:
    rows, columns = _LogSumExps.apply(a, b, form, side)
    return rows, rows if columns is None else columns


class _LogSumExps(torch.autograd.Function):
    """With p_ij = exp(l_ij - rows_i), q_ij = exp(l_ij - columns_j), l the logits, and g, h the gradients of rows and
    columns: dl_ij = g_i p_ij + h_j q_ij.

    A matrix of kind "own" is symmetric: only the blocks on and above its diagonal are computed, and one above it stands
    for the rows of its mirror image as well, which are its columns.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, form: Form, side: int) -> tuple[Tensor, Tensor | None]:
        scaled = a / form.scale
        rows = a.new_full((len(a),), -math.inf)
        columns = rows if form.kind == "own" else b.new_full((len(b),), -math.inf)
        for i, j, both in _blocks(len(a), len(b), side, form.kind):
            logits = _logits(scaled[i] @ b[j].T, form, i == j)
            rows[i] = torch.logaddexp(rows[i], logits.logsumexp(dim=1))
            if both:
                columns[j] = torch.logaddexp(columns[j], logits.logsumexp(dim=0))
        ctx.save_for_backward(a, b, rows, columns)
        ctx.form, ctx.side = form, side
        return rows, columns if form.kind == "pair" else None

    @staticmethod
    def backward(ctx: Any, g: Tensor, h: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UserError(
                f"found create_graph=True with {len(ctx.saved_tensors[0])} embeddings, expected a first derivative: "
                "similarities of so many are taken a block at a time; pass fewer or leave out create_graph"
            )
        form: Form = ctx.form
        a, b, rows, columns = ctx.saved_tensors
        own = form.kind == "own"
        scaled, h = a / form.scale, g if h is None else h
        to_a, to_b = ctx.needs_input_grad[:2]
        grad_a = torch.zeros_like(a) if to_a else None
        grad_b = grad_a if own else torch.zeros_like(b) if to_b else None
        with full_precision(a):  # under autocast the logits would not be those whose sums were taken
            for i, j, both in _blocks(len(a), len(b), ctx.side, form.kind):
                products = scaled[i] @ b[j].T
                logits = _logits(products, form, i == j)
                weights = (logits - rows[i, None]).exp_().mul_(g[i, None])
                if both:
                    weights += (logits - columns[j]).exp_().mul_(h[j])
                if form.similarity == "squared":
                    weights *= products.mul_(2)
                elif form.similarity == "absolute":
                    weights *= products.sign_()
                if grad_a is not None:
                    grad_a[i].addmm_(weights, b[j], alpha=1 / form.scale)
                if grad_b is not None:
                    grad_b[j].addmm_(weights.T, scaled[i])
        return grad_a, None if own else grad_b, None, None


def _blocks(rows: int, columns: int, side: int, kind: str) -> Iterator[tuple[slice, slice, bool]]:
    """The rows and the columns of each block, and whether sums over its columns are taken too."""
    for i in range(0, rows, side):
        for j in range(i if kind == "own" else 0, columns, side):
            yield slice(i, i + side), slice(j, j + side), kind == "pair" or (kind == "own" and i != j)


def _logits(products: Tensor, form: Form, on_diagonal: bool) -> Tensor:
    """phi of a block of products of the scaled a and b; those left out, on the diagonal, are -inf."""
    logits = SIMILARITIES[form.similarity](products)
    return logits.fill_diagonal_(-math.inf) if on_diagonal and form.kind != "all" else logits
