"""SimSiam: a predictor on one branch, no gradient through the other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.methods.base import Method
from spectral_ssl.methods.simsiam import SimSiam

Make = Callable[..., Method]
Views = tuple[Tensor, Tensor]


@pytest.fixture
def simsiam(method: Make) -> Callable[..., SimSiam]:
    def make(**changes: Any) -> SimSiam:
        net = method(method="simsiam", loss="negative_cosine", projector="simsiam", **changes)
        assert isinstance(net, SimSiam)
        return net

    return make


class Answer(nn.Module):
    """A predictor whose output does not depend on its input."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, z: Tensor) -> Tensor:
        return self.table.expand_as(z)


class Negated(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return -z


def manual(net: SimSiam, views: Views, *, stop: bool) -> Tensor:
    """Chen & He's equations 2 to 4 by torch's own cosine, with and without the stop-gradient."""
    z1, z2 = (net.head(net.encoder(view)) for view in views)
    p1, p2 = net.predictor(z1), net.predictor(z2)
    targets = (z2.detach(), z1.detach()) if stop else (z2, z1)
    pairs = zip((p1, p2), targets, strict=True)
    return -sum(0.5 * functional.cosine_similarity(p, z).mean() for p, z in pairs)  # type: ignore[return-value]


def test_gradient_stops_at_the_targets(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam()
    stopped, through = copy.deepcopy(net), copy.deepcopy(net)
    total = net.step(*views).terms.total
    expected = manual(stopped, views, stop=True)
    torch.testing.assert_close(total, expected)
    total.backward()
    expected.backward()
    manual(through, views, stop=False).backward()
    for name in ("encoder.layers.0.weight", "head.0.weight", "head.6.weight"):
        ours = net.get_parameter(name).grad
        assert ours is not None
        torch.testing.assert_close(ours, stopped.get_parameter(name).grad, rtol=1e-4, atol=1e-7)
        other = through.get_parameter(name).grad
        assert other is not None
        assert (ours - other).norm() > 0.1 * ours.norm()


def test_target_branch_alone_moves_nothing(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam()
    answers = torch.randn(12, 8, generator=torch.Generator().manual_seed(5))
    net.predictor = Answer(answers)  # type: ignore[assignment]
    result = net.step(*views)
    result.terms.total.backward()
    assert all(p.grad is None for part in (net.encoder, net.head) for p in part.parameters())
    # d(-cos(p, z))/dp = (cos(p, z) p/|p| - z/|z|) / |p|, averaged over the rows and halved for the two pairs.
    expected = torch.zeros_like(answers)
    p = functional.normalize(answers)
    for target in result.embeddings:
        z = functional.normalize(target.detach())
        cosine = (p * z).sum(dim=1, keepdim=True)
        expected += (cosine * p - z) / answers.norm(dim=1, keepdim=True) / len(answers) / 2
    torch.testing.assert_close(net.predictor.table.grad, expected, rtol=1e-4, atol=1e-7)  # type: ignore[union-attr]


def test_swapping_the_views_changes_nothing(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam()
    twin = copy.deepcopy(net)
    one, other = net.step(*views).terms.total, twin.step(*reversed(views)).terms.total
    torch.testing.assert_close(one, other)
    one.backward()
    other.backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, twin.get_parameter(name).grad, rtol=1e-3, atol=1e-6)


def test_predictor_learns(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam()
    net.step(*views).terms.total.backward()
    for name in ("predictor.0.weight", "predictor.3.weight", "predictor.3.bias"):
        gradient = net.get_parameter(name).grad
        assert gradient is not None
        assert gradient.norm() > 1e-4


@pytest.mark.parametrize(("predictor", "expected"), [(nn.Identity(), -1.0), (Negated(), 1.0)])
def test_loss_reaches_its_bounds(
    simsiam: Callable[..., SimSiam], views: Views, predictor: nn.Module, expected: float
) -> None:
    net = simsiam()
    net.predictor = predictor  # type: ignore[assignment]
    total = net.step(views[0], views[0]).terms.total
    assert total.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("start", range(5))
def test_loss_is_a_named_term_within_bounds(
    simsiam: Callable[..., SimSiam], views: Views, start: int
) -> None:
    terms = simsiam(start=start).step(*views).terms
    assert list(terms) == ["invariance"]
    assert -1.0 < terms["invariance"].item() < 1.0
    assert terms.total.item() == terms["invariance"].item()


def test_embedding_is_the_projectors_output(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam().eval()
    with torch.no_grad():
        projected = net.head(net.encoder(views[0]))
        assert torch.equal(net.embed(views[0]), projected)
        assert not torch.allclose(projected, net.predictor(projected))


def test_bfloat16_trunk_and_float32_loss(simsiam: Callable[..., SimSiam], views: Views) -> None:
    net = simsiam(precision="bfloat16")
    trunk: set[torch.dtype] = set()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, out: trunk.add(out.dtype))
    result = net.step(*views)
    assert trunk == {torch.bfloat16}
    assert result.terms["invariance"].dtype == torch.float32
    assert {h.dtype for h in result.representations} == {torch.float32}


def test_predictor_needs_a_quarter_of_the_dimension(simsiam: Callable[..., SimSiam]) -> None:
    with pytest.raises(UserError, match=r"narrows to a quarter .* expected 4 or more, found 3"):
        simsiam(embedding_dim=3)
