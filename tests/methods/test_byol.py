"""BYOL: the online network predicts the target's embeddings; the target follows and learns nothing."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spectral_ssl.methods.base import Method
from spectral_ssl.methods.byol import BYOL

Make = Callable[..., BYOL]
Views = tuple[Tensor, Tensor]


@pytest.fixture
def byol(method: Callable[..., Method]) -> Make:
    def make(*, momentum: float = 0.9, **changes: Any) -> BYOL:
        options = {"predictor_width": 16, "momentum": momentum}
        net = method(method="byol", loss="negative_cosine", options=options, **changes)
        assert isinstance(net, BYOL)
        return net

    return make


class Negated(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return -z


def outputs(net: BYOL, views: Views) -> tuple[list[Tensor], list[Tensor]]:
    """Predictions and the target's embeddings, layer by layer."""
    predictions = [net.predictor(net.head(net.encoder(view))) for view in views]
    with torch.no_grad():
        return predictions, [net.target.head(net.target.encoder(view)) for view in views]


def distance(p: Tensor, t: Tensor) -> Tensor:
    """The mean squared distance of directions, which is 2 - 2 cos (Grill et al. 2020, equation 2)."""
    return (functional.normalize(p) - functional.normalize(t)).square().sum(dim=1).mean()


def test_loss_is_the_squared_distance_of_directions_and_lightlys(byol: Make, views: Views) -> None:
    net = byol()
    with torch.no_grad():
        for parameter in net.target.parameters():  # so that target and online network differ
            parameter.mul_(1.3).add_(0.01)
    (p1, p2), (t1, t2) = outputs(copy.deepcopy(net), views)
    total = net.step(*views).terms.total
    torch.testing.assert_close(total, distance(p1, t2) + distance(p2, t1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = pytest.importorskip("lightly.loss", exc_type=ImportError).NegativeCosineSimilarity()
    theirs = (loss(p1, t2) + loss(p2, t1)) / 2
    torch.testing.assert_close(total, 4 + 4 * theirs)


def test_gradient_reaches_the_online_network_and_not_the_target(
    byol: Make, views: Views, gradients: Callable[..., Any]
) -> None:
    net = byol()
    twin = copy.deepcopy(net)
    net.step(*views).terms.total.backward()
    (p1, p2), (t1, t2) = outputs(twin, views)
    (distance(p1, t2) + distance(p2, t1)).backward()
    expected = gradients(twin)
    for name, gradient in gradients(net).items():
        if name.startswith("target."):
            assert gradient is None
        else:
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)
    for name in ("encoder.layers.0.weight", "head.0.weight", "predictor.0.weight", "predictor.3.weight"):
        assert net.get_parameter(name).grad.norm() > 1e-4  # type: ignore[union-attr]


def test_swapping_the_views_changes_nothing(byol: Make, views: Views) -> None:
    net = byol()
    twin = copy.deepcopy(net)
    one, other = net.step(*views).terms.total, twin.step(*reversed(views)).terms.total
    torch.testing.assert_close(one, other)
    one.backward()
    other.backward()
    for part in (net.encoder, net.head, net.predictor):
        assert all(parameter.grad is not None for parameter in part.parameters())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, twin.get_parameter(name).grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("predictor", "expected"), [(nn.Identity(), 0.0), (Negated(), 8.0)])
def test_loss_reaches_its_bounds(byol: Make, views: Views, predictor: nn.Module, expected: float) -> None:
    net = byol()
    net.predictor = predictor  # type: ignore[assignment]
    terms = net.step(views[0], views[0]).terms  # before its first move the target is the online network
    assert list(terms) == ["invariance"]
    assert terms.total.item() == pytest.approx(expected, abs=1e-5)


def test_target_after_some_steps_by_hand(
    byol: Make, batches: list[Views], advance: Callable[..., Any]
) -> None:
    net = byol(momentum=0.9)
    expected = {name: value.clone() for name, value in net.target.named_parameters()}
    path = advance(net, torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.5), batches)
    for step, online in enumerate(path, start=1):
        tau = 1 - (1 - 0.9) * (math.cos(math.pi * step / 4) + 1) / 2
        expected = {name: tau * value + (1 - tau) * online[name] for name, value in expected.items()}
    for name, value in net.target.named_parameters():
        torch.testing.assert_close(value, expected[name])
    assert (net.target.head[0].weight - net.head[0].weight).norm() > 0.01  # it has not simply been copied


def test_each_network_counts_its_own_batches(byol: Make, views: Views) -> None:
    net = byol()
    net.step(*views)
    for part in (net, net.target):
        assert int(part.get_submodule("encoder.layers.1").num_batches_tracked) == 2  # type: ignore[arg-type]
    net.eval()
    assert not net.target.training


def test_embedding_is_the_online_projectors_output(byol: Make, views: Views) -> None:
    net = byol().eval()
    with torch.no_grad():
        for parameter in net.target.parameters():
            parameter.zero_()
        projected = net.head(net.encoder(views[0]))
        assert torch.equal(net.embed(views[0]), projected)
        assert not torch.allclose(projected, net.predictor(projected))
    result = net.train().step(*views)
    assert all(h.requires_grad for h in (*result.representations, *result.embeddings))


def test_the_predictors_width_is_an_option(byol: Make, method: Callable[..., Method]) -> None:
    assert byol().predictor[0].out_features == 16
    assert method(method="byol", loss="negative_cosine").predictor[0].out_features == 4096  # type: ignore[index,union-attr]
