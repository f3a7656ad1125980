"""One step of optimisation: what it moves, what it refuses, and that the training loop takes the same one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses.terms import Terms
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import group, loop
from spectral_ssl.train.images import Images
from spectral_ssl.train.optim import set_learning_rate
from spectral_ssl.train.step import Moved, descend, descend_together, not_finite


def weights(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_a_step_of_gradient_descent_is_worked_out_by_hand() -> None:
    w = weights(1.0, 3.0)
    optimiser = torch.optim.SGD([{"params": [w], "fixed": False}], lr=0.0)
    assert descend(optimiser, Terms({"square": w.square().sum(), "linear": 2 * w.sum()}), 0.1) is None
    torch.testing.assert_close(w.detach(), torch.tensor([0.6, 2.2], dtype=torch.float64))
    assert (
        w.grad is None
    )  # nothing is left for the next step to add to, nor in memory while it passes forward
    assert descend(optimiser, Terms({"linear": w.sum()}), 0.2) is None
    torch.testing.assert_close(w.detach(), torch.tensor([0.4, 2.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ({"invariance": 1.0, "variance": float("nan"), "covariance": float("inf")}, "variance"),
        ({"invariance": float("-inf"), "variance": 0.0}, "invariance"),
        ({"one": 1.7e308, "other": 1.7e308}, "loss"),
    ],
)
def test_a_loss_that_is_not_finite_is_named_and_moves_nothing(terms: dict[str, float], named: str) -> None:
    w = weights(2.0)
    optimiser = torch.optim.SGD([{"params": [w], "fixed": False}], lr=0.5)
    broken = Terms({name: w.sum() * 0 + value for name, value in terms.items()})
    assert not_finite(broken) == named
    assert descend(optimiser, broken, 0.1) == named
    assert w.item() == 2.0
    assert w.grad is None
    assert optimiser.param_groups[0]["lr"] == 0.5


def test_several_optimisers_move_as_each_does_alone() -> None:
    starts, rates = (2.0, -3.0, 5.0), (0.1, 0.2, 0.3)

    def member(start: float, rate: float) -> tuple[Tensor, tuple[torch.optim.Optimizer, Terms, float]]:
        w = weights(start)
        terms = Terms({"square": w.square().sum(), "log": (w + 4).log().sum()})
        return w, (torch.optim.SGD([{"params": [w], "fixed": False}], lr=0.0), terms, rate)

    alone = [member(start, rate) for start, rate in zip(starts, rates, strict=True)]
    norms = [descend_together([one])[0].gradient_norm for _, one in alone]
    together = [member(start, rate) for start, rate in zip((2.0, -9.0, 5.0), rates, strict=True)]
    moved = descend_together([one for _, one in together])
    assert [outcome.bad for outcome in moved] == [None, "log", None]  # log(-5)
    assert together[1][0].item() == -9.0
    for k in (0, 2):
        assert torch.equal(together[k][0], alone[k][0])
        assert torch.equal(moved[k].gradient_norm, norms[k])
        assert norms[k].item() == pytest.approx(2 * starts[k] + 1 / (starts[k] + 4))
    assert moved[1].gradient_norm.isnan()


def test_the_training_loop_is_what_it_was_with_the_step_written_out(
    tmp_path: Path, settings: Callable[..., RunSettings], images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = loop.train(settings(), images, tmp_path / "shared")
    calls = []

    def written_out(members: list[tuple[torch.optim.Optimizer, Terms, float]]) -> list[Moved]:
        ((optimiser, terms, rate),) = members
        calls.append(rate)
        set_learning_rate(optimiser, rate)
        total: Any = sum(list(terms.values())[1:], next(iter(terms.values())))
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        return [Moved(None, torch.zeros(()))]

    monkeypatch.setattr(group, "descend_together", written_out)
    own = loop.train(settings(), images, tmp_path / "own")
    assert len(calls) == 6  # three steps an epoch
    assert [row["loss"] for row in own.history] == [row["loss"] for row in shared.history]
    ours, theirs = own.method.state_dict(), shared.method.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
