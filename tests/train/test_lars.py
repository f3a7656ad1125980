"""LARS: by hand, by lightly's, and where norms are 0."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectral_ssl.train.lars import LARS


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def step(optimiser: torch.optim.Optimizer, weight: nn.Parameter, *gradient: float) -> list[float]:
    weight.grad = torch.tensor(gradient, dtype=weight.dtype)
    optimiser.step()
    return weight.tolist()


def test_two_steps_by_hand() -> None:
    weight = parameter(3.0, 4.0)  # norm 5
    optimiser = LARS([weight], lr=2.0, momentum=0.9, weight_decay=0.1, trust_coefficient=0.01)
    # Gradient (0, 2), norm 2: scale 0.01 * 5 / (2 + 0.5) = 0.02; direction 0.02 * (0.3, 2.4).
    assert step(optimiser, weight, 0.0, 2.0) == pytest.approx([3 - 2 * 0.006, 4 - 2 * 0.048], rel=1e-8)
    norm = math.hypot(2.988, 3.904)
    scale = 0.01 * norm / (1 + 0.1 * norm)
    velocity = [0.9 * 0.006 + scale * (1 + 0.2988), 0.9 * 0.048 + scale * 0.3904]
    optimiser.param_groups[0]["lr"] = 0.5
    expected = [2.988 - 0.5 * velocity[0], 3.904 - 0.5 * velocity[1]]
    assert step(optimiser, weight, 1.0, 0.0) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("lr", "moved"), [(0.001, 0.001), (0.025, 0.025), (0.5, 0.025)])
def test_clipping_keeps_a_layer_below_the_schedule(lr: float, moved: float) -> None:
    weight = parameter(3.0, 4.0)
    optimiser = LARS([weight], lr=lr, momentum=0.0, trust_coefficient=0.01, clip=True)
    # Without decay the scale is 0.01 * 5 / 2 = 0.025, and the layer moves by min(0.025, lr) times its gradient.
    assert step(optimiser, weight, 0.0, 2.0) == pytest.approx([3.0, 4.0 - moved * 2], rel=1e-7)


def test_the_step_is_a_share_of_the_norm_whatever_the_gradients_size() -> None:
    for size in (1e-3, 1.0, 1e3):
        weight = parameter(3.0, 4.0)
        optimiser = LARS([weight], lr=1.0, trust_coefficient=0.01)
        assert step(optimiser, weight, size, 0.0) == pytest.approx([3.0 - 0.01 * 5, 4.0], rel=1e-6)


def test_unscaled_groups_are_sgd() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    lars = LARS([{"params": [ours], "scaled": False}], lr=0.1, momentum=0.8, weight_decay=0.3, clip=True)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.8, weight_decay=0.3)
    for _ in range(5):
        gradient = torch.randn(5, generator=generator)
        for weight, optimiser in ((ours, lars), (theirs, sgd)):
            weight.grad = gradient.clone()
            optimiser.step()
        torch.testing.assert_close(ours, theirs)


@pytest.fixture
def lightly() -> Callable[..., torch.optim.Optimizer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = pytest.importorskip("lightly.utils.lars", exc_type=ImportError).LARS
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_is_lightlys(lightly: Callable[..., Any], momentum: float) -> None:
    """Weights decayed and scaled, the rest neither; rates that change from step to step."""
    generator = torch.Generator().manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).double()
    twin = copy.deepcopy(net)

    def groups(module: nn.Module, **own: Any) -> list[dict[str, Any]]:
        parameters = list(module.parameters())
        plain = {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0, **own}
        return [{"params": [p for p in parameters if p.ndim > 1]}, plain]

    values = {"lr": 0.1, "momentum": momentum, "weight_decay": 0.05, "trust_coefficient": 0.02}
    pairs = ((net, LARS(groups(net, scaled=False), **values)), (twin, lightly(groups(twin), **values)))  # type: ignore[arg-type]
    start = copy.deepcopy(net.state_dict())
    for number in range(8):
        x, y = (torch.randn(16, width, generator=generator, dtype=torch.float64) for width in (6, 3))
        for module, optimiser in pairs:
            for group in optimiser.param_groups:
                group["lr"] = 2.0 / (number + 1)
            optimiser.zero_grad()
            nn.functional.mse_loss(module(x), y).backward()
            optimiser.step()
        for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert all((value - start[name]).abs().max() > 1e-3 for name, value in net.named_parameters())


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("lr", [0.0, 0.5])
@pytest.mark.parametrize(
    ("weight", "gradient", "moved"),
    [((0.0, 0.0), (1.0, -2.0), 1.0), ((3.0, 4.0), (0.0, 0.0), 0.0), ((0.0, 0.0), (0.0, 0.0), 0.0)],
    ids=["no weight", "no gradient", "neither"],
)
def test_norms_of_zero(
    lightly: Callable[..., Any],
    weight: tuple[float, float],
    gradient: tuple[float, float],
    moved: float,
    lr: float,
    clip: bool,
) -> None:
    """Zeros move by the plain gradient, as they must to start at all; without gradient nothing decays."""
    ours, theirs = parameter(*weight), parameter(*weight)
    values = {"lr": lr, "momentum": 0.9, "weight_decay": 0.1}
    found = step(LARS([ours], clip=clip, **values), ours, *gradient)  # type: ignore[arg-type]
    assert found == [w - lr * moved * g for w, g in zip(weight, gradient, strict=True)]
    assert found == step(lightly([theirs], **values), theirs, *gradient)


def test_no_gradient_no_movement() -> None:
    still, moving = parameter(1.0, 2.0), parameter(1.0, 2.0)
    optimiser = LARS([still, moving], lr=1.0, weight_decay=0.1)
    step(optimiser, moving, 1.0, 1.0)
    assert still.tolist() == [1.0, 2.0]
    assert moving.tolist() != [1.0, 2.0]


def test_rate_zero_leaves_weights_and_gathers_velocity() -> None:
    weight = parameter(3.0, 4.0)
    optimiser = LARS([weight], lr=0.0, clip=True)
    assert step(optimiser, weight, 0.0, 2.0) == [3.0, 4.0]
    assert optimiser.state[weight]["velocity"].tolist() == [0.0, 2.0]  # a scale of at most 1, and not NaN


def test_gradients_are_left_as_they_were() -> None:
    weight, gradient = parameter(3.0, 4.0), torch.tensor([0.5, 2.0], dtype=torch.float64)
    bias = parameter(1.0)
    optimiser = LARS([{"params": [weight]}, {"params": [bias], "scaled": False}], lr=1.0, weight_decay=0.1)
    weight.grad, bias.grad = gradient.clone(), gradient[:1].clone()
    for _ in range(3):
        optimiser.step()
    assert torch.equal(weight.grad, gradient)
    assert torch.equal(bias.grad, gradient[:1])


def test_state_goes_through_a_checkpoint() -> None:
    def trained(steps: list[Tensor], weight: nn.Parameter, optimiser: LARS) -> None:
        for gradient in steps:
            weight.grad = gradient.clone()
            optimiser.step()

    generator = torch.Generator().manual_seed(2)
    gradients = [torch.randn(7, generator=generator) for _ in range(6)]
    weight = nn.Parameter(torch.ones(7))
    optimiser = LARS([weight], lr=0.3, weight_decay=0.01, trust_coefficient=0.1)
    trained(gradients[:3], weight, optimiser)
    saved, value = copy.deepcopy(optimiser.state_dict()), weight.detach().clone()
    trained(gradients[3:], weight, optimiser)
    again = nn.Parameter(value)
    resumed = LARS([again], lr=9.0)
    resumed.load_state_dict(saved)
    trained(gradients[3:], again, resumed)
    assert torch.equal(again, weight)
