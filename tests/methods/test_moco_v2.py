"""MoCo v2: queries against a momentum network's keys and a queue of earlier ones."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.methods.base import Method
from spectral_ssl.methods.moco_v2 import MoCoV2

Make = Callable[..., MoCoV2]
Views = tuple[Tensor, Tensor]


@pytest.fixture
def moco(method: Callable[..., Method]) -> Make:
    def make(*, queue: float = 30, symmetric: float = 1, momentum: float = 0.9, **changes: Any) -> MoCoV2:
        options = {"queue": queue, "symmetric": symmetric, "momentum": momentum, "final_momentum": momentum}
        values = {"method": "moco_v2", "loss": "info_nce", "projector": "moco:16", "options": options}
        net = method(**values, **changes)
        assert isinstance(net, MoCoV2)
        return net

    return make


def moved(net: MoCoV2) -> MoCoV2:
    """With a key network that is not the query network's copy."""
    with torch.no_grad():
        for parameter in net.target.parameters():
            parameter.mul_(1.3).add_(0.01)
    return net


def query_and_key(net: MoCoV2, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    q = net.head(net.encoder(query))
    with torch.no_grad():
        k = net.target.head(net.target.encoder(key))
    return functional.normalize(q), functional.normalize(k)


def slow_loss(q: Tensor, k: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """He et al. 2020, equation 1, a query at a time."""
    losses = []
    for one, positive in zip(q, k, strict=True):
        own = torch.exp(one @ positive / temperature)
        others = sum(torch.exp(one @ negative / temperature) for negative in negatives)
        losses.append(-torch.log(own / (own + others)))
    return torch.stack(losses).mean()


def test_loss_by_a_slow_loop_and_lightlys(moco: Make, views: Views) -> None:
    net = moved(moco(symmetric=0, hyperparameters={"temperature": 0.3}))
    start = net.queues[0].rows.clone()
    q, k = query_and_key(copy.deepcopy(net), *views)
    terms = net.step(*views).terms
    assert list(terms) == ["invariance", "repulsion"]
    torch.testing.assert_close(terms.total, slow_loss(q, k, start, 0.3))
    torch.testing.assert_close(terms["invariance"], -(q * k).sum(dim=1).mean() / 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = pytest.importorskip("lightly.loss", exc_type=ImportError)
        theirs = loss.NTXentLoss(temperature=0.3, memory_bank_size=(30, 8))
    theirs.memory_bank.bank = start
    torch.testing.assert_close(terms.total, theirs(q, k))


def test_both_directions_are_averaged_each_with_its_queue(moco: Make, views: Views) -> None:
    net = moved(moco())
    starts = [queue.rows.clone() for queue in net.queues]
    assert not torch.equal(*starts)
    twin = copy.deepcopy(net)
    pairs = [query_and_key(twin, *views), query_and_key(twin, *reversed(views))]
    expected = [slow_loss(q, k, start, 0.2) for (q, k), start in zip(pairs, starts, strict=True)]
    torch.testing.assert_close(net.step(*views).terms.total, torch.stack(expected).mean())
    assert abs(expected[0] - expected[1]) > 1e-4


def test_swapping_views_and_queues_changes_nothing(moco: Make, views: Views) -> None:
    net = moved(moco())
    twin = copy.deepcopy(net)
    twin.queues = torch.nn.ModuleList(reversed(list(twin.queues)))
    torch.testing.assert_close(net.step(*views).terms.total, twin.step(*reversed(views)).terms.total)
    one_way = moved(moco(symmetric=0))
    other = copy.deepcopy(one_way)
    difference = one_way.step(*views).terms.total - other.step(*reversed(views)).terms.total
    assert abs(difference) > 1e-4  # in one direction the roles differ


@pytest.mark.parametrize("symmetric", [0, 1])
def test_gradient_reaches_the_queries_and_no_key(
    moco: Make, views: Views, symmetric: float, gradients: Callable[..., Any]
) -> None:
    net = moved(moco(symmetric=symmetric))
    twin = copy.deepcopy(net)
    pairs = [query_and_key(twin, *views), query_and_key(twin, *reversed(views))][: 1 + int(symmetric)]
    losses = [slow_loss(q, k, queue.rows, 0.2) for (q, k), queue in zip(pairs, twin.queues, strict=True)]
    torch.stack(losses).mean().backward()
    net.step(*views).terms.total.backward()
    expected = gradients(twin)
    for name, gradient in gradients(net).items():
        if name.startswith("target."):
            assert gradient is None
        else:
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)
            assert gradient.norm() > 1e-6, name
    assert not any(queue.rows.requires_grad for queue in net.queues)


@pytest.mark.parametrize("size", [12, 24, 30])
def test_queues_hold_the_last_keys_in_order(moco: Make, batches: list[Views], size: int) -> None:
    net = moco(queue=size)
    seen = [net.queues[0].rows.clone()], [net.queues[1].rows.clone()]
    for views in batches:
        twin = copy.deepcopy(net)
        seen[0].append(query_and_key(twin, *views)[1])  # keys of view 2
        seen[1].append(query_and_key(twin, *reversed(views))[1])
        net.step(*views)
        for queue, keys in zip(net.queues, seen, strict=True):
            assert queue.rows.dtype == torch.float32
            torch.testing.assert_close(queue.rows, torch.cat(keys)[-size:])
        net.update(0.5)


def test_key_network_after_some_steps_by_hand(
    moco: Make, batches: list[Views], advance: Callable[..., Any]
) -> None:
    net = moco(momentum=0.8)
    expected = {name: value.clone() for name, value in net.target.named_parameters()}
    path = advance(net, torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.5), batches)
    for online in path:  # a constant momentum
        expected = {name: 0.8 * value + 0.2 * online[name] for name, value in expected.items()}
    for name, value in net.target.named_parameters():
        torch.testing.assert_close(value, expected[name])
    assert (net.target.head[0].weight - net.head[0].weight).norm() > 0.01


def test_one_direction_sends_each_view_through_one_network(moco: Make, views: Views) -> None:
    net = moved(moco(symmetric=0))
    twin = copy.deepcopy(net)
    result = net.step(*views)
    for part in (net, net.target):
        assert int(part.get_submodule("encoder.layers.1").num_batches_tracked) == 1  # type: ignore[arg-type]
    assert torch.equal(result.representations[0], twin.encoder(views[0]))
    h2 = twin.target.encoder(views[1])
    assert torch.equal(result.representations[1], h2)
    assert torch.equal(result.embeddings[1], twin.target.head(h2))
    assert [z.requires_grad for z in result.embeddings] == [True, False]
    assert len(net.queues) == 1


def test_defaults(method: Callable[..., Method]) -> None:
    net = method(method="moco_v2", loss="info_nce")
    assert net.options == {"momentum": 0.99, "final_momentum": 0.999, "queue": 4096, "symmetric": 1}
    assert [queue.rows.shape for queue in net.queues] == [(4096, 8)] * 2  # type: ignore[union-attr]


def test_a_queue_that_holds_no_batch_is_refused(moco: Make) -> None:
    with pytest.raises(UserError, match=r"^option queue is 8, but batch_size is 12; expected a queue that"):
        moco(queue=8)
    with pytest.raises(
        UserError, match=r"^option symmetric of moco_v2 is 0.5; expected a whole number from 0 to 1;"
    ):
        moco(symmetric=0.5)
