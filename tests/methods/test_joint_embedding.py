"""One network, two views, each on its own; the loss in full precision."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods import build_method
from spectral_ssl.methods.base import Method
from spectral_ssl.methods.joint_embedding import JointEmbedding
from spectral_ssl.papers.manifest import RunSettings

Make = Callable[..., Method]
Views = tuple[Tensor, Tensor]


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(parameters[name]) if value is None else value
        for name, value in zip(parameters, found, strict=True)
    }


def test_gradient_is_the_sum_of_both_views_shares(method: Make, views: Views) -> None:
    net = method()
    twin = copy.deepcopy(net)
    whole = gradients(net, net.step(*views).terms.total)
    z1, z2 = (twin.head(twin.encoder(view)) for view in views)  # type: ignore[operator]
    loss = get_loss("vicreg")
    share1 = gradients(twin, loss(z1, z2.detach()).total)
    share2 = gradients(twin, loss(z1.detach(), z2).total)
    for name in ("encoder.layers.0.weight", "head.0.weight", "head.3.weight"):
        torch.testing.assert_close(whole[name], share1[name] + share2[name])
        for share in (share1, share2):  # a view cut off from the gradient would leave the other's share
            assert share[name].norm() > 1e-2 * whole[name].norm()


def test_views_pass_separately_through_batch_norm(method: Make, views: Views) -> None:
    net, apart, merged = method(), method(), method()
    net.step(*views)
    for view in views:
        apart.encoder(view)
    merged.encoder(torch.cat(views))
    name = "layers.1"
    ours, separate, together = (
        model.encoder.get_submodule(name).state_dict() for model in (net, apart, merged)
    )
    assert int(ours["num_batches_tracked"]) == 2
    assert int(net.get_submodule("head.1").num_batches_tracked) == 2  # type: ignore[arg-type]
    for statistic in ("running_mean", "running_var"):
        assert torch.equal(ours[statistic], separate[statistic])
        assert not torch.allclose(ours[statistic], together[statistic], rtol=1e-2)


def test_step_returns_what_the_networks_put_out(method: Make, views: Views) -> None:
    net = method()
    twin = copy.deepcopy(net)
    result = net.step(*views)
    for view, representation, embedding in zip(views, result.representations, result.embeddings, strict=True):
        expected = twin.encoder(view)
        assert torch.equal(representation, expected)
        assert torch.equal(embedding, twin.head(expected))  # type: ignore[operator]
    assert result.representations[0].shape == (12, net.representation_dim) == (12, 64)
    assert result.embeddings[0].shape == (12, 8)


def test_bfloat16_trunk_and_float32_loss(method: Make, views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    net = method(precision="bfloat16")
    assert isinstance(net, JointEmbedding)
    trunk: set[torch.dtype] = set()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, out: trunk.add(out.dtype))
    seen: list[torch.dtype] = []
    loss = net.loss

    def record(z1: Tensor, z2: Tensor, **options: Any) -> Terms:
        seen.extend((z1.dtype, z2.dtype))
        return loss(z1, z2, **options)

    monkeypatch.setattr(net, "loss", record)
    result = net.step(*views)
    assert trunk == {torch.bfloat16}
    assert seen == [torch.float32, torch.float32]
    assert {value.dtype for value in result.terms.values()} == {torch.float32}
    assert {h.dtype for h in result.representations} == {torch.float32}
    result.terms.total.backward()
    assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {torch.float32}
    assert net.represent(views[0]).dtype == net.embed(views[0]).dtype == torch.float32


def test_precision_decides_the_trunk(method: Make, views: Views) -> None:
    full, half = (method(precision=precision) for precision in ("float32", "bfloat16"))
    exact, rounded = (net.step(*views).embeddings[0] for net in (full, half))
    assert exact.dtype == torch.float32
    error = (exact - rounded.float()).norm() / exact.norm()
    assert 1e-4 < error < 0.1  # eight bits, not twenty-four and not none


def test_losses_of_one_network_start_equal(method: Make) -> None:
    vicreg, simclr = method(loss="vicreg").state_dict(), method(loss="simclr").state_dict()
    assert vicreg.keys() == simclr.keys()
    for name, value in vicreg.items():
        assert torch.equal(value, simclr[name])
    other = method(loss="vicreg", start=4).state_dict()
    assert not torch.equal(other["encoder.layers.0.weight"], vicreg["encoder.layers.0.weight"])
    assert not torch.equal(other["head.0.weight"], vicreg["head.0.weight"])


def test_hyperparameters_reach_the_loss(method: Make, views: Views) -> None:
    one = method(hyperparameters={"invariance": 1.0, "variance": 2.0}).step(*views).terms
    five = method(hyperparameters={"invariance": 5.0, "variance": 2.0}).step(*views).terms
    torch.testing.assert_close(five["invariance"], 5 * one["invariance"])
    torch.testing.assert_close(five["variance"], one["variance"])


def test_total_is_the_sum_of_the_terms(method: Make, views: Views) -> None:
    terms = method().step(*views).terms
    assert list(terms) == ["invariance", "variance", "covariance"]
    torch.testing.assert_close(terms.total, torch.stack(list(terms.values())).sum())


def test_evaluation_embeds_the_representation_and_changes_nothing(method: Make, views: Views) -> None:
    net = method()
    net.step(*views)
    net.eval()
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        embedding = net.embed(views[0])
        assert torch.equal(embedding, net.head(net.represent(views[0])))  # type: ignore[operator]
        torch.testing.assert_close(embedding[:3], net.embed(views[0][:3]))  # alone or in a batch
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_unknown_method(settings: Callable[..., RunSettings]) -> None:
    run = settings().model_copy(update={"method": "simsiem"})
    with pytest.raises(UserError) as caught:
        build_method(run, 8, 1, generator=torch.Generator())
    expected = "unknown method 'simsiem'; did you mean 'simsiam'? known: byol, joint_embedding, moco_v2, nnclr, simsiam"
    assert str(caught.value) == expected
