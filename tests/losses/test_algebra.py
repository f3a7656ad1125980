"""Sums of squared products on either side, standardised columns: by slow loops, by torch's own chain, at collapse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.algebra import (
    center_dimensions,
    normalise_columns,
    off_diagonal,
    squared_products,
    standardise_columns,
)

SHAPES = [(7, 3), (6, 3), (3, 7), (4, 4), (2, 1), (2, 5), (1, 3)]


def matrices(shape: tuple[int, int], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for _ in range(2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_squared_products_entry_by_entry(shape):
    a, b = matrices(shape)
    for left, right in ((a, b), (a, a)):
        diagonal, squares = squared_products(left, right)
        products = [[(x @ y).item() for y in right] for x in left]
        assert diagonal.tolist() == pytest.approx([row[i] for i, row in enumerate(products)], rel=1e-12)
        expected = sum(p**2 for i, row in enumerate(products) for j, p in enumerate(row) if i != j)
        whole = sum(p**2 for row in products for p in row)
        assert squares.item() == pytest.approx(expected, rel=1e-12, abs=4e-16 * whole)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
@pytest.mark.parametrize("transposed", [False, True])
def test_derivatives_of_squared_products(shape, transposed):
    a, b = matrices(shape[::-1] if transposed else shape)

    def turned(z: Tensor) -> Tensor:
        return z.T if transposed else z

    def one(z: Tensor) -> tuple[Tensor, Tensor]:
        rows = turned(z)
        return squared_products(rows, rows)

    for function, inputs in ((one, (a,)), (lambda x, y: squared_products(turned(x), turned(y)), (a, b))):
        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)
        for part in (0, 1):  # one result alone
            assert torch.autograd.gradcheck(lambda *z, f=function, p=part: f(*z)[p], inputs)


def test_the_side_is_the_other_one_beyond_twice_its_length():
    for n, d, product in ((6, 3, 2 * 6 * 6 * 3), (7, 3, 2 * 7 * 3 * 3)):
        a, b = matrices((n, d))
        with FlopCounterMode(display=False) as counter:
            squared_products(a, a)
        assert counter.get_total_flops() == product
        with FlopCounterMode(display=False) as counter:
            squared_products(a, b)
        assert counter.get_total_flops() == product * (2 if n > 2 * d else 1)


def related(n: int, k: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, k, generator=generator)
    return z, z + 0.1 * torch.randn(n, k, generator=generator)


CASES = [
    ("spectral", "repulsion", (2048, 64), {"projection": "sphere"}),
    ("spectral", "repulsion", (2048, 1000), {"projection": "sphere"}),
    ("vicreg", "covariance", (64, 2048), {}),
    ("vicreg", "covariance", (500, 1024), {}),
    ("barlow_twins", "redundancy", (64, 2048), {}),
    ("barlow_twins", "redundancy", (500, 1024), {"center": False}),
]


@pytest.mark.parametrize(("name", "term", "shape", "options"), CASES)
def test_float32_on_the_other_side_at_sizes_in_use(name, term, shape, options):
    """Nothing is lost where rows have one length: both the value and the gradient are float64's to 1e-5."""
    views = [z.requires_grad_() for z in related(*shape)]
    wide = [z.detach().double().requires_grad_() for z in views]
    found, expected = get_loss(name)(*views, **options)[term], get_loss(name)(*wide, **options)[term]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(
        torch.autograd.grad(found, views), torch.autograd.grad(expected, wide), strict=True
    ):
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


@pytest.mark.parametrize("shape", [(40, 3), (3, 40)])
def test_losses_are_those_of_the_whole_matrix(shape):
    """To 1e-12 in float64, by another route: the matrix itself."""
    z1, z2 = (z.detach() for z in matrices(shape))
    k = shape[1]
    u1, u2 = (torch.nn.functional.normalize(z, dim=1) for z in (z1, z2))
    expected = off_diagonal(u1 @ u2.T).square().mean().item()
    assert get_loss("spectral")(z1, z2, projection="sphere")["repulsion"].item() == pytest.approx(
        expected, rel=1e-12
    )
    for reduction, divisor in (("mean", k), ("sum", 1)):
        expected = sum(off_diagonal(torch.cov(z.T)).square().sum().item() for z in (z1, z2)) / divisor
        found = get_loss("vicreg")(z1, z2, covariance=1.0, reduction=reduction)["covariance"]
        assert found.item() == pytest.approx(expected, rel=1e-12)
    correlation = torch.corrcoef(torch.cat([z1, z2], dim=1).T)[:k, k:]
    terms = get_loss("barlow_twins")(z1, z2, lambda_=1.0)
    assert terms["redundancy"].item() == pytest.approx(
        off_diagonal(correlation).square().sum().item(), rel=1e-12
    )
    assert terms["invariance"].item() == pytest.approx(
        (1 - correlation.diagonal()).square().sum().item(), rel=1e-12
    )


def test_what_the_difference_costs_where_all_is_on_the_diagonal():
    """One dimension with all the variance leaves nothing off the diagonal but roundings of what is on it."""
    z = torch.zeros(4, 20)
    z[:, 3] = torch.tensor([1.0, -2.0, 3.0, 0.5])
    found = get_loss("vicreg")(z, z, covariance=1.0, reduction="sum")["covariance"]
    assert 0 <= abs(found.item()) < 4 * torch.finfo(torch.float32).eps * torch.cov(z.T).square().sum()


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_standardised_columns_are_centred_and_normalised_ones(shape):
    z, g = matrices(shape)
    with torch.no_grad():
        z[:, 2] *= 1e-4
    found = standardise_columns(z)
    expected = len(z) ** 0.5 * normalise_columns(center_dimensions(z))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-15)
    for one, other in zip(torch.autograd.grad(found, z, g), torch.autograd.grad(expected, z, g), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert found.square().sum(dim=0).tolist() == pytest.approx([len(z)] * shape[1], rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_standardised_columns_that_collapsed(dtype):
    (z, g) = matrices((6, 4), dtype)
    eps = torch.finfo(dtype).eps
    with torch.no_grad():
        z[:, 1] = 5.0
        z[:, 2] *= eps / z[:, 2].sub(z[:, 2].mean()).norm()  # half-way: its norm is the floor
    found = standardise_columns(z)
    assert found[:, 1].abs().max() == 0
    assert found[:, 2].norm().item() == pytest.approx(3**0.5, rel=1e-4)
    (gradient,) = torch.autograd.grad(found, z, g)
    expected = (g[:, 1] - g[:, 1].mean()) * 6**0.5 / eps
    torch.testing.assert_close(gradient[:, 1], expected.detach(), rtol=1e-4, atol=0)


def test_derivatives_of_standardised_columns():
    (z, _) = matrices((5, 3))
    assert torch.autograd.gradcheck(standardise_columns, z)
    assert torch.autograd.gradgradcheck(standardise_columns, z)


@pytest.mark.parametrize("name", ["simclr", "vicreg", "barlow_twins", "spectral", "vicreg_ctr"])
@pytest.mark.parametrize("shape", [(6, 4), (9, 3), (3, 9)])
def test_losses_of_many_runs_at_once(name, shape):
    """`torch.func.vmap` of the gradient is the gradient of each."""
    generator = torch.Generator().manual_seed(1)
    views = [torch.randn(3, *shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    gradient = torch.func.grad(lambda a, b: get_loss(name)(a, b).total, argnums=(0, 1))
    together = torch.func.vmap(gradient)(*views)
    for i, pair in enumerate(zip(*views, strict=True)):
        for found, expected in zip(together, gradient(*pair), strict=True):
            torch.testing.assert_close(found[i], expected, rtol=1e-12, atol=1e-12)
