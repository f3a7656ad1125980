from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spectral_ssl.errors import UserError
from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive

SHAPES = [(7, 3), (3, 7), (4, 4), (1, 5), (5, 1), (1, 1)]


def matrix(shape: tuple[int, int]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_definitions_entry_by_entry(shape):
    z = matrix(shape)
    n, k = shape
    samples = sum((z[i] @ z[j]).item() ** 2 for i in range(n) for j in range(n) if i != j)
    dimensions = sum((z[:, a] @ z[:, b]).item() ** 2 for a in range(k) for b in range(k) if a != b)
    assert sample_contrastive(z).item() == pytest.approx(samples, rel=1e-12)
    assert dimension_contrastive(z).item() == pytest.approx(dimensions, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_theorem_3_3_gives_the_same_value_on_the_smaller_side(shape):
    z = matrix(shape)
    size = (z.T @ z).square().sum().item()
    for criterion in (sample_contrastive, dimension_contrastive):
        smaller = criterion(z, side="smaller").item()
        assert smaller == pytest.approx(criterion(z).item(), abs=1e-14 * size)


@pytest.mark.parametrize("shape", [(50, 3), (3, 50)])
def test_the_smaller_side_is_the_cheaper_one(shape):
    """Operations of the Gram product: 2 N^2 K on the samples' side, 2 N K^2 on the dimensions'."""
    n, k = shape
    costs = {(sample_contrastive, "own"): 2 * n * n * k, (dimension_contrastive, "own"): 2 * n * k * k}
    for criterion in (sample_contrastive, dimension_contrastive):
        for side in ("own", "smaller"):
            with FlopCounterMode(display=False) as counter:
                criterion(matrix(shape), side=side)
            assert counter.get_total_flops() == costs.get((criterion, side), 2 * n * k * min(n, k))


def test_theorem_3_3_on_the_own_sides(views):
    z = views[0]
    rows, columns = (z.square().sum(dim=d).square().sum() for d in (1, 0))
    left, right = dimension_contrastive(z) + columns, sample_contrastive(z) + rows
    assert left.item() == pytest.approx(right.item(), rel=1e-14)
    without_fourth_powers = dimension_contrastive(z) - sample_contrastive(z)
    assert abs(without_fourth_powers) > 1


def test_known_values():
    assert sample_contrastive(torch.ones(3, 2)) == 6 * 4
    assert dimension_contrastive(torch.ones(3, 2)) == 2 * 9
    assert sample_contrastive(torch.eye(4)) == dimension_contrastive(torch.eye(4)) == 0


@pytest.mark.parametrize("criterion", [sample_contrastive, dimension_contrastive])
@pytest.mark.parametrize("side", ["own", "smaller"])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
def test_gradients(criterion, side, shape):
    assert torch.autograd.gradcheck(lambda z: criterion(z, side=side), matrix(shape).requires_grad_())


@pytest.mark.parametrize("criterion", [sample_contrastive, dimension_contrastive])
def test_bad_input_is_refused(criterion):
    with pytest.raises(UserError, match=r"matrix .*: found shape \(3,\)"):
        criterion(torch.ones(3))
    with pytest.raises(UserError, match="unknown value of side 'cheap'; known: own, smaller"):
        criterion(torch.ones(3, 2), side="cheap")
