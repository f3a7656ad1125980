"""The few matrix operations that the losses share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function

# Norms below this count as this: values and gradients stay finite where a batch has collapsed to 0, and norms
# above it, which is every embedding in use, are divided by exactly.
NORM_FLOOR = 1e-6


def normalise_rows(z: Tensor) -> Tensor:
    """Embeddings (N, K) of norm 1: z_i / max(|z_i|, 1e-6)."""
    return F.normalize(z, dim=1, eps=NORM_FLOOR)


def normalise_columns(z: Tensor) -> Tensor:
    """Dimensions of norm 1 over the batch: each column of z (N, K) over max(its norm, 1e-6)."""
    # A sum of squares: torch takes the norms of columns one by one, ten times as slowly.
    return z * z.square().sum(dim=0).clamp_min(NORM_FLOOR**2).rsqrt()


def standardise_columns(z: Tensor) -> Tensor:
    """Dimensions of mean 0 and norm N^(1/2) over the batch: z (N, K) less its mean, over (variance + eps^2 / N)^(1/2)
    with eps the distance from 1 to the next number of z's type; a constant column becomes 0.

    Batch normalisation: its kernels go over z far less often than a chain of centring and dividing. They scale before
    they shift, which a mean much larger than the deviation would not survive: it is gone before, and has no gradient,
    since what batch normalisation gives does not change with it.
    """
    centred = z - z.detach().mean(dim=0)
    return F.batch_norm(centred, None, None, training=True, eps=torch.finfo(z.dtype).eps ** 2 / len(z))


def center_dimensions(z: Tensor) -> Tensor:
    """Embeddings (N, K) less their mean over the batch, so that every dimension has mean 0."""
    return z - z.mean(dim=0)


def covariance_matrix(z: Tensor) -> Tensor:
    """Cov(Z) = Z^T H Z / (N - 1), (K, K), of embeddings (N, K): the unbiased estimate, as `torch.cov`."""
    z = center_dimensions(z)
    return z.T @ z / (len(z) - 1)


def off_diagonal(matrix: Tensor) -> Tensor:
    """A square matrix (n, n) less its diagonal, (n, n - 1): row i keeps its other entries, in order."""
    n = len(matrix)
    return matrix.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def squared_products(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """<a_i, b_i> of the rows of a and b (n, d), (n,), and the sum over i != j of <a_i, b_j>^2, scalar.

    O(n^2 d) on the rows' side. With n > 2 d the sum is taken on the other, O(n d^2), as
    <A^T A, B^T B>_F - sum_i <a_i, b_i>^2: |A B^T|_F^2 = <A^T A, B^T B>_F is what Theorem 3.3 of Garrido et al. (2023)
    rests on. The price is a difference: an absolute error of a few roundings of its first term. For a = b with rows of
    one length that term is at least n/d of the second, so that at most half of it is lost and the sum is as exact as
    the direct one; where nearly all of it is on the diagonal, rows of very unequal lengths or a few that only meet
    their own partner, the sum has only that absolute accuracy.
    """
    n, d = a.shape
    if n <= 2 * d:
        diagonal, squares, _ = _SquaredProducts.apply(a, None if a is b else b)
        return diagonal, squares
    diagonal = (a * b).sum(dim=1)
    gram = a.T @ a
    whole = gram.square() if a is b else gram * (b.T @ b)
    return diagonal, whole.sum() - diagonal.square().sum()


class _SquaredProducts(Function):
    """The two results of `squared_products`, and P = A B^T less its diagonal: dA = D B and dB = D^T A, D (n, n) with
    d(diagonal) on its diagonal and 2 P d(squares) + dP off it.

    Without b, b is a and dA = (D + D^T) A. By hand: torch's own chain goes over the matrix three times as often, and
    takes two products where the symmetric case needs one. P is returned for the gradient's own gradient only.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        products = a @ (a if b is None else b).T
        diagonal = products.diagonal().clone()
        products.diagonal().zero_()
        return diagonal, products.square().sum(), products

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor | None], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, output[2])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, diagonal: Tensor | None, squares: Tensor | None, rest: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        a, b, products = ctx.saved_tensors
        d = torch.zeros_like(products) if squares is None else products * (2 * squares)
        if rest is not None:
            d = d + rest
        d = d.diagonal_scatter(torch.zeros_like(d[0]) if diagonal is None else diagonal)
        if b is None:
            return _like(d + d.T if rest is not None else 2 * d, a), None
        return _like(d, b), _like(d.T, a)


def _like(d: Tensor, a: Tensor) -> Tensor:
    # d @ a laid out in memory as a is: what follows is slow where a transpose and its gradient differ in that.
    return d @ a if a.is_contiguous() else (a.T @ d.T).T
