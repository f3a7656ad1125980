"""The queue: first in, first out, whatever the batch; directions in float32; neighbours by brute force."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.methods.queue import Queue


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def queue(size: int = 10, dim: int = 3, batch: int = 4) -> Queue:
    return Queue(size, dim, batch, generator=generator())


def units(rows: int, dim: int = 3, seed: int = 1) -> Tensor:
    z = torch.randn(rows, dim, generator=generator(seed))
    return z / z.norm(dim=1, keepdim=True)


def test_it_starts_with_random_directions_of_its_generator() -> None:
    before = torch.random.get_rng_state()
    rows = Queue(500, 3, 4, generator=generator()).rows
    assert torch.equal(torch.random.get_rng_state(), before)
    assert rows.shape == (500, 3)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(500))
    assert rows.mean(dim=0).norm() < 0.15  # of all directions alike
    assert torch.equal(rows, Queue(500, 3, 4, generator=generator()).rows)
    assert not torch.equal(rows, Queue(500, 3, 4, generator=generator(1)).rows)


@pytest.mark.parametrize("size", [4, 7, 10, 12])  # one batch, and both multiples and not
def test_the_oldest_leave_first(size: int) -> None:
    held, expected = queue(size), list(queue(size).rows)
    for step in range(6):
        batch = units(4, seed=step)
        held.push(batch)
        for row in batch:  # one at a time
            expected.pop(0)
            expected.append(row)
        torch.testing.assert_close(held.rows, torch.stack(expected))


def test_directions_are_held_in_float32() -> None:
    held = queue(4)
    z = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0], [1e-3, 0.0, 0.0], [1.0, 2.0, 2.0]])
    held.push(z.bfloat16())
    assert held.rows.dtype == torch.float32
    torch.testing.assert_close(held.rows[0], torch.tensor([0.6, 0.0, 0.8]))
    torch.testing.assert_close(held.rows[3], torch.tensor([1.0, 2.0, 2.0]) / 3)
    assert torch.equal(held.rows[1], torch.zeros(3))  # a collapsed embedding has no direction, and is not NaN


def test_pushing_spoils_no_gradient_and_keeps_none() -> None:
    held = queue()
    z = units(4).requires_grad_()
    before = held.rows.clone()
    loss = (z @ held.rows.T).square().sum()
    held.push(z)
    assert not held.rows.requires_grad
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * z.detach() @ before.T @ before)


def test_nearest_by_brute_force_and_by_lightlys_bank() -> None:
    held, z = queue(50, 5), 3 * torch.randn(20, 5, generator=generator(2))
    found = held.nearest(z.requires_grad_())
    assert not found.requires_grad
    for row, neighbour in zip(z.detach(), found, strict=True):
        best = max(held.rows, key=lambda other: float(torch.cosine_similarity(row, other, dim=0)))
        assert torch.equal(neighbour, best)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = pytest.importorskip("lightly.models.modules", exc_type=ImportError)
    bank = modules.NNMemoryBankModule(size=(50, 5))
    bank.bank = held.rows.clone()
    assert torch.equal(found, bank(z.detach()))


def test_cosines_are_not_rounded_under_autocast() -> None:
    held, z = queue(4000, 3), units(50)
    rounded = held.rows[(z.bfloat16() @ held.rows.T.bfloat16()).argmax(dim=1)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = held.nearest(z)
    assert torch.equal(found, held.nearest(z))
    assert not torch.equal(rounded, found), "the queue is dense enough for rounding to matter"


def test_a_queue_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(UserError) as refused:
        Queue(11, 3, 12, generator=generator())
    assert str(refused.value) == (
        "option queue is 11, but batch_size is 12; expected a queue that holds a batch; "
        "set the option queue to at least 12"
    )


def test_its_rows_are_state() -> None:
    held, other = queue(), Queue(10, 3, 4, generator=generator(5))
    held.push(units(4))
    other.load_state_dict(held.state_dict())
    assert list(held.state_dict()) == ["rows"]
    assert torch.equal(other.rows, held.rows)
