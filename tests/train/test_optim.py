"""The learning-rate schedule by its formula, the three optimisers, and which parameters they hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from spectral_ssl.methods import build_method
from spectral_ssl.methods.simsiam import SimSiam
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train.lars import LARS
from spectral_ssl.train.optim import build_optimiser, learning_rate, set_learning_rate

STEPS = 5  # an epoch
EPOCHS = 12


def settings(warmup: float, *, peak: float = 0.4, by_batch: bool = False) -> Optimiser:
    return Optimiser(
        name="sgd", learning_rate=peak, weight_decay=0.0, warmup_epochs=warmup, scale_by_batch=by_batch
    )


def rates(optimiser: Optimiser, epochs: int = EPOCHS, batch: int = 256) -> list[float]:
    return [learning_rate(optimiser, step, STEPS, epochs, batch) for step in range(epochs * STEPS)]


def test_warm_up_is_linear_from_zero() -> None:
    warm = rates(settings(2))[: 2 * STEPS]
    assert warm == pytest.approx([0.4 * k / 10 for k in range(1, 11)])


def test_cosine_falls_to_zero() -> None:
    optimiser = settings(2)
    after = rates(optimiser)[2 * STEPS :]
    expected = [0.2 * (1 + math.cos(math.pi * k / 50)) for k in range(50)]
    assert after == pytest.approx(expected)
    assert after[0] == pytest.approx(0.4)
    assert after[25] == pytest.approx(0.2)  # half-way
    assert learning_rate(optimiser, EPOCHS * STEPS, STEPS, EPOCHS, 256) == pytest.approx(0.0, abs=1e-16)


def test_no_warm_up_starts_at_the_peak_and_only_falls() -> None:
    falling = rates(settings(0))
    assert falling[0] == pytest.approx(0.4)
    assert all(later < earlier for earlier, later in pairwise(falling))


@pytest.mark.parametrize("batch", [64, 256, 1024])
def test_scale_by_batch(batch: int) -> None:
    scaled, plain = rates(settings(2, by_batch=True), batch=batch), rates(settings(2), batch=batch)
    assert scaled == pytest.approx([rate * batch / 256 for rate in plain])
    assert max(plain) == pytest.approx(0.4)


@pytest.mark.parametrize("warmup", [3, 4, 100])
def test_warm_up_longer_than_the_run_still_reaches_the_peak(warmup: float) -> None:
    short = rates(settings(warmup), epochs=3)
    assert short == pytest.approx([0.4 * k / 15 for k in range(1, 16)])


@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.3, 0.5, 1.25])
def test_a_warm_up_of_part_of_an_epoch_never_exceeds_the_peak(warmup: float) -> None:
    found = rates(settings(warmup))
    assert max(found) <= 0.4 * (1 + 1e-12)
    assert min(found) > 0.0
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_sgd_moves_by_momentum_and_decay() -> None:
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(1.0)
    optimiser = build_optimiser(
        layer, Optimiser(name="sgd", learning_rate=9.0, weight_decay=0.5, momentum=0.8, warmup_epochs=0)
    )
    for _ in range(2):
        set_learning_rate(optimiser, 0.1)
        optimiser.zero_grad()
        layer(torch.ones(1, 1)).sum().backward()  # gradient 1 for both parameters
        optimiser.step()
    # v1 = g + 0.5 w0; w1 = w0 - 0.1 v1; v2 = 0.8 v1 + g + 0.5 w1; w2 = w1 - 0.1 v2, for weight and bias alike.
    for parameter, start in ((layer.weight, 2.0), (layer.bias, 1.0)):
        v1 = 1 + 0.5 * start
        w1 = start - 0.1 * v1
        assert parameter.item() == pytest.approx(w1 - 0.1 * (0.8 * v1 + 1 + 0.5 * w1))


def test_adamw_is_decoupled() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    optimiser = build_optimiser(
        layer, Optimiser(name="adamw", learning_rate=9.0, weight_decay=0.5, warmup_epochs=0)
    )
    set_learning_rate(optimiser, 0.1)
    layer(torch.full((1, 1), 7.0)).sum().backward()
    optimiser.step()
    # Adam's first step has length lr whatever the gradient; the decay takes lr * 0.5 * w beside it.
    assert layer.weight.item() == pytest.approx(2.0 - 0.1 * 0.5 * 2.0 - 0.1)


def test_nothing_moves_before_a_rate_is_set() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    optimiser = build_optimiser(layer, settings(0))
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    assert torch.equal(layer.weight, before)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


def names(module: nn.Module, group: dict[str, Any]) -> list[str]:
    held = {id(parameter) for parameter in group["params"]}
    return [name for name, parameter in module.named_parameters() if id(parameter) in held]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_one_group_decays_everything_unless_told(name: str) -> None:
    module = net()
    moves = Optimiser(name=name, learning_rate=0.1, weight_decay=0.5, warmup_epochs=0)  # type: ignore[arg-type]
    (group,) = build_optimiser(module, moves).param_groups
    assert names(module, group) == [name for name, _ in module.named_parameters()]
    assert group["weight_decay"] == 0.5


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_biases_and_norms_are_a_group_without_decay(name: str) -> None:
    module = net()
    moves = Optimiser(
        name=name,  # type: ignore[arg-type]
        learning_rate=0.1,
        weight_decay=0.5,
        warmup_epochs=0,
        exclude_bias_and_norm=name != "lars",  # which leaves them out always
    )
    weights, excluded = build_optimiser(module, moves).param_groups
    assert names(module, weights) == ["0.weight", "3.weight"]
    assert names(module, excluded) == ["0.bias", "1.weight", "1.bias", "3.bias"]
    assert (weights["weight_decay"], excluded["weight_decay"]) == (0.5, 0.0)


def test_excluded_parameters_do_not_shrink() -> None:
    module = nn.Linear(1, 1)
    moves = Optimiser(
        name="sgd", learning_rate=0.1, weight_decay=0.5, warmup_epochs=0, exclude_bias_and_norm=True
    )
    optimiser = build_optimiser(module, moves)
    before = module.weight.item(), module.bias.item()
    set_learning_rate(optimiser, 0.1)
    (0 * module(torch.ones(1, 1))).sum().backward()
    optimiser.step()
    assert module.weight.item() == pytest.approx(before[0] * (1 - 0.1 * 0.5))
    assert module.bias.item() == before[1]


def test_lars_gets_its_settings() -> None:
    moves = Optimiser(
        name="lars",
        learning_rate=0.4,
        weight_decay=1e-4,
        momentum=0.8,
        trust_coefficient=0.02,
        clip=True,
        warmup_epochs=0,
    )
    optimiser = build_optimiser(net(), moves)
    assert isinstance(optimiser, LARS)
    weights, excluded = optimiser.param_groups
    expected = {"lr": 0.0, "momentum": 0.8, "trust_coefficient": 0.02, "clip": True}
    assert {key: weights[key] for key in expected} == expected
    assert (weights["weight_decay"], weights["scaled"], excluded["scaled"]) == (1e-4, True, False)


def test_frozen_parameters_are_in_no_group() -> None:
    module = net()
    module[3].requires_grad_(False)
    moves = Optimiser(name="lars", learning_rate=0.1, weight_decay=0.5, warmup_epochs=0)
    held = [key for group in build_optimiser(module, moves).param_groups for key in names(module, group)]
    assert held == ["0.weight", "0.bias", "1.weight", "1.bias"]


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_simsiams_predictor_keeps_its_peak(settings: Callable[..., RunSettings], constant: float) -> None:
    run = settings(
        method="simsiam",
        loss="negative_cosine",
        hyperparameters={},
        options={"constant_predictor_rate": constant},
        optimiser=Optimiser(name="sgd", learning_rate=0.4, weight_decay=0.0, warmup_epochs=2),
    )
    method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(0))
    assert isinstance(method, SimSiam)
    optimiser = build_optimiser(method, run.optimiser)
    predictor = [f"predictor.{name}" for name, _ in method.predictor.named_parameters()]
    held = [group for group in optimiser.param_groups if names(method, group) == predictor]
    assert len(held) == constant
    assert len(optimiser.param_groups) == 1 + constant
    schedule = rates(run.optimiser)
    for step, rate in enumerate(schedule):
        set_learning_rate(optimiser, rate)
        for group in optimiser.param_groups:
            expected = max(schedule[: step + 1]) if group in held else rate
            assert group["lr"] == expected
    if constant:
        assert held[0]["lr"] == pytest.approx(0.4)
        state = optimiser.state_dict()  # a run that is resumed keeps the peak
        resumed = build_optimiser(method, run.optimiser)
        resumed.load_state_dict(state)
        set_learning_rate(resumed, 0.001)
        assert sorted(group["lr"] for group in resumed.param_groups) == pytest.approx([0.001, 0.4])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("encoder", ["conv_narrow", "resnet18_cifar"])
def test_fused_moves_are_those_of_the_plain_rule_in_any_layout(
    settings: Callable[..., RunSettings], encoder: str, name: str
) -> None:
    """The fused kernels on a CPU read weight and gradient in memory's order: both must be laid out alike."""
    moves = Optimiser(name=name, learning_rate=0.1, weight_decay=0.1, warmup_epochs=0)  # type: ignore[arg-type]
    # No bias that the loss cannot feel, before a batch norm or in an embedding that is centred: its gradient is
    # rounding alone, which AdamW scales up.
    run = settings(encoder=encoder, optimiser=moves, projector="linear", loss="simclr", hyperparameters={})
    generator = torch.Generator().manual_seed(1)
    views = [torch.rand(8, 1, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2)]
    ends = []
    for fused in (True, False):
        method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(0))
        method.double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = build_optimiser(method, moves)
        assert all(group["fused"] for group in optimiser.param_groups)
        for group in optimiser.param_groups:
            group["fused"] = fused
        set_learning_rate(optimiser, 0.1)
        for _ in range(2):
            optimiser.zero_grad()
            method.step(*views).terms.total.backward()
            optimiser.step()
        ends.append(method.state_dict())
    for one, other in zip(*(end.values() for end in ends), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
