"""InfoNCE in one direction: by slow loops, by torch's cross-entropy, by SimCLR, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.info_nce import info_nce, info_nce_queue


@pytest.fixture
def queue() -> Tensor:
    rows = torch.randn(11, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return functional.normalize(rows)


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def softmax_of_first(candidates: list[Tensor], temperature: float) -> Tensor:
    weights = [torch.exp(value / temperature) for value in candidates]
    return -torch.log(weights[0] / torch.stack(weights).sum())


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_batch_by_a_slow_loop(views: tuple[Tensor, Tensor], temperature: float) -> None:
    z1, z2 = views
    losses = []
    for i, anchor in enumerate(z1):
        cosines = [torch.cosine_similarity(anchor, other, dim=0) for other in z2]
        losses.append(softmax_of_first([cosines[i], *cosines[:i], *cosines[i + 1 :]], temperature))
    terms = info_nce(z1, z2, temperature=temperature)
    same(terms.total, torch.stack(losses).mean())
    same(terms["invariance"], -torch.cosine_similarity(z1, z2).mean() / temperature)
    same(get_loss("info_nce")(z1, z2, temperature=temperature).total, terms.total)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_queue_by_a_slow_loop(views: tuple[Tensor, Tensor], queue: Tensor, temperature: float) -> None:
    losses = []
    for query, key in zip(*views, strict=True):
        cosines = [torch.cosine_similarity(query, other, dim=0) for other in (key, *queue)]
        losses.append(softmax_of_first(cosines, temperature))
    terms = info_nce_queue(*views, queue, temperature=temperature)
    assert list(terms) == ["invariance", "repulsion"]
    same(terms.total, torch.stack(losses).mean())


def test_batch_is_cross_entropy(views: tuple[Tensor, Tensor]) -> None:
    logits = functional.normalize(views[0]) @ functional.normalize(views[1]).T / 0.2
    same(info_nce(*views).total, functional.cross_entropy(logits, torch.arange(7)))


def test_both_directions_are_simclr_with_negatives_of_the_other_view(views: tuple[Tensor, Tensor]) -> None:
    both = (info_nce(*views).total + info_nce(*reversed(views)).total) / 2
    same(both, get_loss("simclr")(*views, temperature=0.2, negatives="cross_view").total)
    assert abs(info_nce(*views).total - both) > 1e-3  # one direction alone is another loss


def test_a_queue_of_the_batchs_other_keys_is_the_batch(views: tuple[Tensor, Tensor]) -> None:
    """For one query, and so with the same rows for each, the queue's form is the batch's."""
    query, keys = views[0][:1].expand(7, 4), functional.normalize(views[1])
    by_queue = info_nce_queue(query, keys[:1].expand(7, 4), keys[1:], temperature=0.3).total
    logits = functional.normalize(query[:1]) @ keys.T / 0.3
    same(by_queue, functional.cross_entropy(logits, torch.tensor([0])))


def test_known_answers(queue: Tensor) -> None:
    """Equal candidates share the probability; a perfect positive among opposite negatives leaves almost none."""
    row = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    same(info_nce(row.repeat(5, 1), row.repeat(5, 1)).total, torch.tensor(math.log(5), dtype=torch.float64))
    found = info_nce_queue(row.repeat(2, 1), 3 * row.repeat(2, 1), -row.repeat(9, 1), temperature=0.5).total
    same(found, torch.tensor(math.log1p(9 * math.exp(-4)), dtype=torch.float64))


def test_half_precision_is_promoted_whatever_autocast_says(
    views: tuple[Tensor, Tensor], queue: Tensor
) -> None:
    halves = [z.bfloat16() for z in views]
    plain = info_nce_queue(*(z.float() for z in halves), queue.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = info_nce_queue(*halves, queue.float())
    for name, term in found.items():
        assert term.dtype == torch.float32
        assert torch.equal(term, plain[name])
    assert info_nce_queue(*views, queue.float()).total.dtype == torch.float64


def test_small_temperatures_do_not_overflow(views: tuple[Tensor, Tensor], queue: Tensor) -> None:
    floats = [z.float() for z in views]
    assert torch.isfinite(info_nce_queue(*floats, queue.float(), temperature=1e-3).total)


def test_gradients(views: tuple[Tensor, Tensor], queue: Tensor) -> None:
    inputs = [z[:5].clone().requires_grad_() for z in (*views, queue)]
    assert torch.autograd.gradcheck(lambda *z: info_nce_queue(*z).total, inputs)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_impossible_temperatures(views: tuple[Tensor, Tensor], queue: Tensor, temperature: float) -> None:
    message = f"temperature must be a finite number above 0: found {temperature}"
    with pytest.raises(UserError, match=message):
        info_nce(*views, temperature=temperature)
    with pytest.raises(UserError, match=message):
        info_nce_queue(*views, queue, temperature=temperature)


def test_a_queue_that_is_no_matrix(views: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match=r"must be a matrix .*: found shape \(3,\)"):
        info_nce_queue(*views, torch.ones(3, dtype=torch.float64))
