"""What all methods keep: equal starts, float32 where it counts, resuming to the bit, evaluation without trace."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.methods.base import Method
from spectral_ssl.methods.table import METHODS
from spectral_ssl.sections import Optimiser
from spectral_ssl.train.optim import build_optimiser, set_learning_rate

Make = Callable[..., Method]
Views = tuple[Tensor, Tensor]
RUNS: dict[str, dict[str, Any]] = {
    "joint_embedding": {"loss": "vicreg"},
    "simsiam": {"loss": "negative_cosine"},
    "byol": {"loss": "negative_cosine", "options": {"predictor_width": 16, "momentum": 0.9}},
    "moco_v2": {"loss": "info_nce", "options": {"queue": 30, "momentum": 0.9}},
    "nnclr": {"loss": "info_nce", "options": {"predictor_width": 16, "queue": 30}},
}
FROZEN = ("target.",)
every_method = pytest.mark.parametrize("name", RUNS)


@pytest.fixture
def make(method: Make) -> Make:
    return lambda name, **changes: method(method=name, **(RUNS[name] | changes))


def optimiser_of(net: Method, **changes: Any) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {
        "name": "lars",
        "learning_rate": 1.0,
        "weight_decay": 1e-3,
        "warmup_epochs": 0,
    }
    optimiser = build_optimiser(net, Optimiser(**(settings | {"trust_coefficient": 0.1} | changes)))
    set_learning_rate(optimiser, 0.2)
    return optimiser


def test_every_method_is_tested() -> None:
    assert set(RUNS) == set(METHODS)


@every_method
def test_encoder_and_head_start_as_in_every_other_method(make: Make, name: str) -> None:
    state, plain = make(name).state_dict(), make("joint_embedding").state_dict()
    assert all(torch.equal(state[key], value) for key, value in plain.items())  # the rest is drawn after them


@every_method
def test_the_optimiser_holds_all_that_learns_and_nothing_else(make: Make, name: str, views: Views) -> None:
    net = make(name)
    net.step(*views).terms.total.backward()
    held = {id(p) for group in optimiser_of(net).param_groups for p in group["params"]}
    for key, parameter in net.named_parameters():
        frozen = key.startswith(FROZEN)
        assert (id(parameter) in held) is not frozen
        assert (parameter.grad is None) is frozen, key


@every_method
def test_resumed_training_is_the_same_to_the_bit(
    make: Make, name: str, batches: list[Views], advance: Callable[..., Any]
) -> None:
    net = make(name)
    optimiser = optimiser_of(net)
    advance(net, optimiser, batches[:2], total=4)
    buffer = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict()}, buffer)
    advance(net, optimiser, batches[2:], first=3, total=4)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other = make(name, start=11)
    other_optimiser = optimiser_of(other)
    other.load_state_dict(saved["net"])
    other_optimiser.load_state_dict(saved["optimiser"])
    advance(other, other_optimiser, batches[2:], first=3, total=4)
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in net.state_dict().items())
    assert any(not torch.equal(value, saved["net"][key]) for key, value in net.state_dict().items())


@every_method
def test_half_precision_is_the_trunks_alone(
    make: Make, name: str, batches: list[Views], advance: Callable[..., Any]
) -> None:
    net = make(name, precision="bfloat16")
    trunk: set[torch.dtype] = set()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, out: trunk.add(out.dtype))
    advance(net, optimiser_of(net), batches)
    result = net.step(*batches[0])
    assert trunk == {torch.bfloat16}
    outputs = (*result.representations, *result.embeddings, *result.terms.values())
    assert {out.dtype for out in outputs} == {torch.float32}
    held = [value.dtype for value in net.state_dict().values() if value.is_floating_point()]
    assert set(held) == {torch.float32}


@every_method
def test_evaluation_leaves_no_trace(make: Make, name: str, views: Views) -> None:
    net = make(name)
    net.step(*views)
    before = copy.deepcopy(net.eval().state_dict())
    with torch.no_grad():
        embedding = net.embed(views[0])
        assert torch.equal(embedding, net.head(net.represent(views[0])))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@every_method
def test_building_leaves_the_global_generator_alone(make: Make, name: str) -> None:
    before = torch.random.get_rng_state()
    make(name)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", [name for name in RUNS if name != "joint_embedding"])
def test_the_loss_that_defines_a_method_is_asked_for(make: Make, name: str) -> None:
    loss = RUNS[name]["loss"]
    with pytest.raises(UserError) as refused:
        make(name, loss="vicreg")
    assert str(refused.value) == f"method {name} is defined by the loss {loss}; found vicreg; set {loss}"
