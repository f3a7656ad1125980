"""The momentum target by its closed form, its schedule by the paper's formula, its batch norm by its own batches."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.methods.momentum import MomentumTarget


def networks(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    generator = torch.Generator().manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    head = nn.Linear(4, 2)
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *head.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return encoder, head


def flat(*modules: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for module in modules for p in module.parameters()])


@pytest.fixture
def online() -> tuple[nn.Module, nn.Module]:
    return networks()


def test_it_starts_as_an_equal_copy(online: tuple[nn.Module, nn.Module]) -> None:
    target = MomentumTarget(*online, momentum=0.5, final_momentum=0.5)
    assert torch.equal(flat(target), flat(*online))
    before = flat(target)
    with torch.no_grad():
        online[1].weight.add_(1.0)  # type: ignore[operator]
    assert torch.equal(flat(target), before)


def test_constant_momentum_in_closed_form(online: tuple[nn.Module, nn.Module]) -> None:
    target = MomentumTarget(*online, momentum=0.9, final_momentum=0.9)
    start, goal = flat(*online), networks(1)
    for step in range(1, 8):
        target.move(*goal, step / 7)
        torch.testing.assert_close(flat(target), flat(*goal) + 0.9**step * (start - flat(*goal)))


def test_a_moving_network_is_averaged_as_the_sum_says(online: tuple[nn.Module, nn.Module]) -> None:
    target = MomentumTarget(*online, momentum=0.8, final_momentum=0.8)
    start, path = flat(*online), [networks(seed) for seed in range(1, 6)]
    for step, networks_now in enumerate(path, start=1):
        target.move(*networks_now, step / 5)
    weighted = [0.2 * 0.8 ** (5 - k) * flat(*now) for k, now in enumerate(path, start=1)]
    torch.testing.assert_close(flat(target), 0.8**5 * start + torch.stack(weighted).sum(dim=0))


def test_one_move_is_lightlys(online: tuple[nn.Module, nn.Module]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("lightly.models.utils", exc_type=ImportError)
    goal = networks(1)
    ours = MomentumTarget(*online, momentum=0.99, final_momentum=0.99)
    ours.move(*goal, 0.3)
    theirs = networks()
    for average, now in zip(theirs, goal, strict=True):
        average.requires_grad_(False)
        utils.update_momentum(now.requires_grad_(False), average, m=0.99)
    torch.testing.assert_close(flat(ours), flat(*theirs))


def test_the_schedule_is_the_papers(online: tuple[nn.Module, nn.Module]) -> None:
    target = MomentumTarget(*online, momentum=0.99, final_momentum=1.0)
    for progress in (0.0, 0.1, 0.5, 0.77, 1.0):
        paper = 1 - (1 - 0.99) * (math.cos(math.pi * progress) + 1) / 2
        assert target.momentum(progress) == pytest.approx(paper, abs=1e-15)
    assert [target.momentum(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.99, 0.995, 1.0], abs=1e-15)
    between = MomentumTarget(*online, momentum=0.9, final_momentum=0.98)
    assert [between.momentum(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.94, 0.98], abs=1e-15)


@pytest.mark.parametrize(("momentum", "stays"), [(1.0, True), (0.0, False)])
def test_the_ends_are_exact(online: tuple[nn.Module, nn.Module], momentum: float, stays: bool) -> None:
    target, goal = MomentumTarget(*online, momentum=momentum, final_momentum=momentum), networks(1)
    target.move(*goal, 0.5)
    assert torch.equal(flat(target), flat(*online) if stays else flat(*goal))


def test_float32_moves_where_bfloat16_stands(online: tuple[nn.Module, nn.Module]) -> None:
    """A share of 0.004 of a distance below the value is less than the last of bfloat16's eight bits."""
    target, goal = MomentumTarget(*online, momentum=0.996, final_momentum=0.996), networks()
    with torch.no_grad():
        for module in goal:
            for parameter in module.parameters():
                parameter.mul_(1.1)
    half = flat(target).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(100):
            target.move(*goal, 0.5)
            half = half.lerp(flat(*goal).bfloat16(), 0.004)
    assert flat(target).dtype == torch.float32
    share = (flat(target) - flat(*online)) / (flat(*goal) - flat(*online))
    torch.testing.assert_close(share, torch.full_like(share, 1 - 0.996**100), rtol=1e-3, atol=0)
    assert torch.equal(half, flat(*online).bfloat16())


def test_statistics_are_the_targets_own(online: tuple[nn.Module, nn.Module]) -> None:
    generator = torch.Generator().manual_seed(3)
    bright, dark = 5 + torch.randn(16, 3, generator=generator), torch.randn(16, 3, generator=generator)
    encoder, head = online
    target = MomentumTarget(encoder, head, momentum=0.5, final_momentum=0.5).train()
    twin = MomentumTarget(encoder, head, momentum=0.5, final_momentum=0.5).train()
    encoder.train()(bright)
    representations = target.encoder(dark)
    torch.testing.assert_close(  # normalised by its batch, not by running averages
        representations.var(dim=0, correction=0), target.encoder[1].weight.square(), rtol=1e-3, atol=1e-3
    )
    target.move(encoder, head, 1.0)
    twin.head(twin.encoder(dark))
    assert set(buffers := dict(target.named_buffers())) == {
        f"encoder.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    for name, buffer in twin.named_buffers():
        assert torch.equal(buffers[name], buffer)
    assert not torch.allclose(target.encoder[1].running_mean, encoder[1].running_mean, atol=0.1)  # type: ignore[index]


def test_no_gradient_passes(online: tuple[nn.Module, nn.Module]) -> None:
    target = MomentumTarget(*online, momentum=0.5, final_momentum=0.5)
    assert not target.head(target.encoder(torch.randn(8, 3))).requires_grad
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for module in online for parameter in module.parameters())


def test_a_falling_momentum_is_refused(online: tuple[nn.Module, nn.Module]) -> None:
    with pytest.raises(UserError) as refused:
        MomentumTarget(*online, momentum=0.9995, final_momentum=0.999)
    assert str(refused.value) == (
        "momentum is 0.9995 and final_momentum 0.999; expected a momentum that does not fall; "
        "set final_momentum to at least 0.9995"
    )
