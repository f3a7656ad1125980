"""A tiny run and two batches of views that the tests of the methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spectral_ssl.methods import build_method
from spectral_ssl.methods.base import Method
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser

SIZE, CHANNELS, BATCH = 8, 1, 12


@pytest.fixture
def settings(tiny_run: Callable[..., RunSettings]) -> Callable[..., RunSettings]:
    """One epoch of plain SGD; keywords change settings."""
    optimiser = Optimiser(name="sgd", learning_rate=0.1, weight_decay=0.0, warmup_epochs=0)
    values: dict[str, Any] = {"batch_size": BATCH, "epochs": 1, "optimiser": optimiser}
    return lambda **changes: tiny_run(**(values | changes))


@pytest.fixture
def method(settings: Callable[..., RunSettings]) -> Callable[..., Method]:
    """The freshly initialised method of a run with these changes, in training mode."""

    def make(*, start: int = 3, **changes: Any) -> Method:
        generator = torch.Generator().manual_seed(start)
        return build_method(settings(**changes), SIZE, CHANNELS, generator=generator).train()

    return make


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    """Two batches of different brightness, so that their batch-norm statistics differ."""
    generator = torch.Generator().manual_seed(1)
    shape = (BATCH, CHANNELS, SIZE, SIZE)
    return torch.rand(shape, generator=generator), 0.5 + 2 * torch.rand(shape, generator=generator)


@pytest.fixture(scope="session")
def gradients() -> Callable[[nn.Module], dict[str, Tensor | None]]:
    """The gradients of a module's parameters by name."""
    return lambda module: {name: parameter.grad for name, parameter in module.named_parameters()}


@pytest.fixture(scope="session")
def advance() -> Callable[..., list[dict[str, Tensor]]]:
    """Trains a method for some of `total` steps and returns its parameters after each, before the target moves."""

    def run(
        net: Method,
        optimiser: torch.optim.Optimizer,
        batches: list[tuple[Tensor, Tensor]],
        *,
        first: int = 1,
        total: int | None = None,
    ) -> list[dict[str, Tensor]]:
        seen = []
        for step, views in enumerate(batches, start=first):
            optimiser.zero_grad()
            net.step(*views).terms.total.backward()
            optimiser.step()
            seen.append({name: value.detach().clone() for name, value in net.named_parameters()})
            net.update(step / (total or len(batches)))
        return seen

    return run


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    """Four steps' views, all different."""
    generator = torch.Generator().manual_seed(7)
    shape = (BATCH, CHANNELS, SIZE, SIZE)
    return [
        (torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)) for _ in range(4)
    ]
