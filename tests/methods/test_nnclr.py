"""NNCLR: a prediction should resemble the nearest neighbour of the other view's projection."""

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
from spectral_ssl.methods.nnclr import NNCLR

Make = Callable[..., NNCLR]
Views = tuple[Tensor, Tensor]


@pytest.fixture
def nnclr(method: Callable[..., Method]) -> Make:
    def make(*, queue: float = 30, **changes: Any) -> NNCLR:
        options = {"queue": queue, "predictor_width": 16}
        net = method(method="nnclr", loss="info_nce", projector="nnclr:16", options=options, **changes)
        assert isinstance(net, NNCLR)
        return net

    return make


def outputs(net: NNCLR, views: Views) -> tuple[list[Tensor], list[Tensor]]:
    z = [net.head(net.encoder(view)) for view in views]
    return z, [net.predictor(one) for one in z]


def slow_loss(z: Tensor, p: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Dwibedi et al. 2021, equation 4, a sample at a time, the neighbours by search."""
    losses = []
    p = functional.normalize(p)
    for i, one in enumerate(z.detach()):
        neighbour = max(rows, key=lambda row: float(torch.cosine_similarity(one, row, dim=0)))
        candidates = [torch.exp(neighbour @ other / temperature) for other in p]
        losses.append(-torch.log(candidates[i] / torch.stack(candidates).sum()))
    return torch.stack(losses).mean()


def manual(net: NNCLR, views: Views, temperature: float) -> Tensor:
    rows = net.queue.rows
    (z1, z2), (p1, p2) = outputs(net, views)
    return (slow_loss(z1, p2, rows, temperature) + slow_loss(z2, p1, rows, temperature)) / 2


def test_loss_and_gradient_by_a_slow_loop(nnclr: Make, views: Views, gradients: Callable[..., Any]) -> None:
    net = nnclr(hyperparameters={"temperature": 0.3})
    twin = copy.deepcopy(net)
    terms, expected = net.step(*views).terms, manual(twin, views, 0.3)
    assert list(terms) == ["invariance", "repulsion"]
    torch.testing.assert_close(terms.total, expected)
    terms.total.backward()
    expected.backward()
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(gradient, twin.get_parameter(name).grad, rtol=1e-3, atol=1e-6)
        assert gradient.norm() > 0 or name.endswith("bias")
    assert not net.queue.rows.requires_grad


def test_loss_with_lightlys_bank_and_cross_entropy(nnclr: Make, views: Views) -> None:
    """lightly's example puts neighbours and predictions into NTXent, whose candidates are both; the bank is one."""
    net = nnclr()
    (z1, z2), (p1, p2) = outputs(copy.deepcopy(net), views)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = pytest.importorskip("lightly.models.modules", exc_type=ImportError)
    bank = modules.NNMemoryBankModule(size=(30, 8))
    bank.bank = net.queue.rows.clone()
    n1, n2 = bank(z1.detach(), update=False), bank(z2.detach(), update=False)
    label = torch.arange(12)
    first = functional.cross_entropy(n1 @ functional.normalize(p2).T / 0.2, label)
    second = functional.cross_entropy(n2 @ functional.normalize(p1).T / 0.2, label)
    torch.testing.assert_close(net.step(*views).terms.total, (first + second) / 2)


def test_projection_alone_moves_nothing(nnclr: Make, views: Views) -> None:
    """With predictions that do not depend on the input, only the search for neighbours sees the networks."""
    net = nnclr()

    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(12, 8, generator=torch.Generator().manual_seed(5)))

        def forward(self, z: Tensor) -> Tensor:
            return self.table.expand_as(z)

    net.predictor = Constant()  # type: ignore[assignment]
    net.step(*views).terms.total.backward()
    assert all(p.grad is None for part in (net.encoder, net.head) for p in part.parameters())
    assert net.predictor.table.grad.norm() > 1e-4  # type: ignore[union-attr]


def test_swapping_the_views_changes_the_queue_and_not_the_loss(nnclr: Make, views: Views) -> None:
    net = nnclr()
    twin = copy.deepcopy(net)
    one, other = net.step(*views).terms.total, twin.step(*reversed(views)).terms.total
    torch.testing.assert_close(one, other)
    one.backward()
    other.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, twin.get_parameter(name).grad, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(net.queue.rows, twin.queue.rows, atol=1e-2)


@pytest.mark.parametrize("size", [12, 24, 30])
def test_the_queue_holds_the_last_projections_of_view_1_in_order(
    nnclr: Make, batches: list[Views], size: int
) -> None:
    net = nnclr(queue=size)
    seen = [net.queue.rows.clone()]
    for views in batches:
        (z1, _), _ = outputs(copy.deepcopy(net), views)
        seen.append(functional.normalize(z1.detach()))
        net.step(*views)
        torch.testing.assert_close(net.queue.rows, torch.cat(seen)[-size:])
    assert net.queue.rows.dtype == torch.float32


def test_a_step_does_not_find_itself(nnclr: Make, views: Views) -> None:
    """The batch enters the queue after its loss: the same batch again finds itself and has other neighbours."""
    net = nnclr(queue=12)
    (z1, _), _ = outputs(copy.deepcopy(net), views)
    assert not torch.allclose(net.queue.nearest(z1), functional.normalize(z1), atol=1e-2)
    expected = manual(copy.deepcopy(net), views, 0.2)
    torch.testing.assert_close(net.step(*views).terms.total, expected)
    assert torch.allclose(net.queue.nearest(z1), functional.normalize(z1), atol=1e-5)


def test_embedding_is_the_projectors_output(nnclr: Make, views: Views) -> None:
    net = nnclr().eval()
    with torch.no_grad():
        assert torch.equal(net.embed(views[0]), net.head(net.encoder(views[0])))
    assert net.predictor[0].out_features == 16


def test_a_queue_that_holds_no_batch_is_refused(nnclr: Make) -> None:
    with pytest.raises(UserError, match=r"^option queue is 11, but batch_size is 12; expected a queue that"):
        nnclr(queue=11)
