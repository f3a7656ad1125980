"""Members that train together: each is what it is alone, whatever happens to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from spectral_ssl.data.views import Augmentation
from spectral_ssl.engine import Engine
from spectral_ssl.errors import UserError
from spectral_ssl.methods import build_method
from spectral_ssl.methods.base import Method, Step
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import group, loop, stacked
from spectral_ssl.train.images import Images
from spectral_ssl.train.optim import build_optimiser
from spectral_ssl.train.stacked import Stack, stackable
from spectral_ssl.train.step import descend_together

Settings = Callable[..., RunSettings]
Views = list[tuple[Tensor, Tensor]]
ALL = 99
DEFAULT = -1
CLOCK = {"views_per_second", "utilisation", "seconds"}

# No linear layer of these has a bias that batch norm subtracts again; see `test_bias_before_batch_norm`.
METHODS: dict[str, dict[str, Any]] = {
    "vicreg": {"projector": "simsiam:16"},
    "byol": {
        "method": "byol",
        "loss": "negative_cosine",
        "projector": "simsiam:16",
        "options": {"predictor_width": 16},
    },
    "simsiam": {"method": "simsiam", "loss": "negative_cosine", "projector": "simsiam:16"},
    "moco": {"method": "moco_v2", "loss": "info_nce", "projector": "moco:16", "options": {"queue": 40}},
    "nnclr": {
        "method": "nnclr",
        "loss": "info_nce",
        "projector": "nnclr:16",
        "options": {"queue": 40, "predictor_width": 16},
    },
    "no head": {"loss": "simclr", "projector": "none", "embedding_dim": 64},
}


def members(settings: Settings, changes: dict[str, Any], *, count: int = 3) -> list[Method]:
    built = []
    for seed in range(count):
        run = settings(**{"hyperparameters": {}, **changes}, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        built.append(build_method(run, 8, 1, generator=generator).double().train())
    return built


def draw(generator: torch.Generator, count: int = 3, batch: int = 16) -> Views:
    """Views (B, 1, 8, 8) in float64; the last member sees what the first does."""
    pairs = torch.rand(count, 2, batch, 1, 8, 8, dtype=torch.float64, generator=generator)
    views = [(pair[0], pair[1]) for pair in pairs]
    return [*views[:-1], views[0]]


def alone(methods: Sequence[Method], views: Views) -> list[Step]:
    return [method.step(*pair) for method, pair in zip(methods, views, strict=True)]


def train(
    methods: Sequence[Method], at_once: int | None, optimiser: Optimiser, steps: int
) -> list[list[float]]:
    """Losses a step; without `at_once` every member goes through its own step, and DEFAULT leaves it to the device."""
    optimisers = [build_optimiser(method, optimiser) for method in methods]
    stack = Stack(methods, at_once=None if at_once == DEFAULT else at_once)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(steps):
        views = draw(generator, len(methods))
        results = stack.step(views) if at_once else alone(methods, views)
        moved = descend_together([(o, r.terms, 0.01) for o, r in zip(optimisers, results, strict=True)])
        assert not any(outcome.bad for outcome in moved)
        for method in methods:
            method.update((step + 1) / steps)
        losses.append([result.terms.total.item() for result in results])
    return losses


def largest_gap(ours: Sequence[Method], theirs: Sequence[Method]) -> float:
    gaps = [0.0]
    for one, other in zip(ours, theirs, strict=True):
        there = other.state_dict()
        gaps += [(value - there[name]).abs().max().item() for name, value in one.state_dict().items()]
    return max(gaps)


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_float64_steps_are_those_of_each_member_alone(settings: Settings, changes: dict[str, Any]) -> None:
    apart, together, in_pairs = (members(settings, changes) for _ in range(3))
    expected = train(apart, None, settings().optimiser, 8)
    found = train(together, ALL, settings().optimiser, 8)
    train(in_pairs, 2, settings().optimiser, 8)
    assert largest_gap(in_pairs, apart) < 1e-9
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-9, atol=1e-9)
    assert largest_gap(together, apart) < 1e-9  # running statistics and counts of batches among them
    assert largest_gap(apart, members(settings, changes)) > 1e-3  # they moved


@pytest.mark.parametrize("changes", [{"projector": "16-d"}, {"encoder": "mlp"}], ids=["chain", "mlp"])
def test_bias_before_batch_norm(settings: Settings, changes: dict[str, Any]) -> None:
    """Its gradient is zero but for rounding, which AdamW scales up; in training no output depends on it."""
    apart, together = members(settings, changes), members(settings, changes)
    expected = train(apart, None, settings().optimiser, 8)
    found = train(together, ALL, settings().optimiser, 8)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-9, atol=1e-9)
    assert largest_gap(together, apart) < 1e-7
    moves = settings().optimiser.model_copy(update={"name": "sgd"})
    apart, together = members(settings, changes), members(settings, changes)
    train(apart, None, moves, 8)
    train(together, ALL, moves, 8)
    assert largest_gap(together, apart) < 1e-9


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_float32_step_agrees(settings: Settings, changes: dict[str, Any]) -> None:
    views = [(one.float(), two.float()) for one, two in draw(torch.Generator().manual_seed(0), batch=32)]
    apart, together = members(settings, changes), members(settings, changes)
    for method in (*apart, *together):
        method.float()
    expected, found = alone(apart, views), Stack(together, at_once=ALL).step(views)
    for results in (expected, found):
        torch.autograd.backward([result.terms.total for result in results])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.terms.total, other.terms.total, rtol=1e-5, atol=0)
        for ours, theirs in zip(one.embeddings, other.embeddings, strict=True):
            assert ours.dtype == torch.float32
            assert torch.linalg.norm(ours - theirs) <= 1e-5 * torch.linalg.norm(theirs)
    for one, other in zip(together, apart, strict=True):
        theirs = dict(other.named_parameters())
        size = torch.stack([p.grad.norm() for p in theirs.values() if p.grad is not None]).norm()
        for name, parameter in one.named_parameters():
            there = theirs[name].grad
            assert (parameter.grad is None) == (there is None)
            if there is not None:
                assert torch.linalg.norm(parameter.grad - there) <= 1e-5 * size


def test_second_route_by_vmap(settings: Settings) -> None:
    methods = members(settings, {"projector": "linear"})
    for method in methods:
        method.eval()
    views = draw(torch.Generator().manual_seed(0))
    encoders = [method.encoder.layers for method in methods]
    state = stack_module_state(encoders)
    images = torch.stack([pair[0] for pair in views])
    expected = torch.vmap(lambda p, b, x: functional_call(encoders[0], (p, b), (x,)))(*state, images).mean(
        (3, 4)
    )
    found = [step.representations[0] for step in Stack(methods, at_once=ALL).step(views)]
    torch.testing.assert_close(torch.stack(found), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_what_is_not_finite_stays_with_its_member(settings: Settings, changes: dict[str, Any]) -> None:
    def gradients(spoilt: bool) -> tuple[list[Method], list[Step]]:
        methods = members(settings, changes)
        if spoilt:
            with torch.no_grad():
                next(methods[1].parameters()).fill_(torch.nan)
        views = draw(torch.Generator().manual_seed(0))
        steps = Stack(methods, at_once=ALL).step(views)
        torch.autograd.backward([step.terms.total for step in steps])
        return methods, steps

    (sound, expected), (around, found) = gradients(False), gradients(True)
    assert torch.isnan(found[1].terms.total)
    for member in (0, 2):
        assert torch.equal(found[member].terms.total, expected[member].terms.total)
        ours, theirs = around[member], sound[member]
        assert all(torch.equal(value, theirs.state_dict()[k]) for k, value in ours.state_dict().items())
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert one.grad is other.grad or torch.equal(one.grad, other.grad)


def test_on_a_cpu_every_member_has_the_bits_of_itself_alone(settings: Settings) -> None:
    apart, together = members(settings, {}), members(settings, {})
    moves = settings().optimiser
    assert train(together, DEFAULT, moves, 4) == train(apart, None, moves, 4)
    assert largest_gap(together, apart) == 0


def test_other_networks_are_applied_one_after_the_other(settings: Settings) -> None:
    changes = {"encoder": "resnet18_cifar"}
    apart, together = members(settings, changes, count=2), members(settings, changes, count=2)
    views = draw(torch.Generator().manual_seed(0), 2, batch=2)
    for one, other in zip(alone(apart, views), Stack(together, at_once=ALL).step(views), strict=True):
        assert torch.equal(one.representations[0], other.representations[0])
        torch.testing.assert_close(one.embeddings[0], other.embeddings[0], rtol=1e-9, atol=1e-9)


def test_mixed_precision_as_alone(settings: Settings) -> None:
    changes = {"precision": "bfloat16", "projector": "16-d"}
    apart, together = members(settings, changes), members(settings, changes)
    for method in (*apart, *together):
        method.float()
    views = [(one.float(), two.float()) for one, two in draw(torch.Generator().manual_seed(0), batch=64)]
    found = Stack(together, at_once=ALL).step(views)
    for one, other in zip(found, alone(apart, views), strict=True):
        for ours, theirs in zip(one.embeddings, other.embeddings, strict=True):
            assert ours.dtype == torch.float32
            assert torch.equal(ours, ours.bfloat16().float())  # eight bits came out of the head
            assert torch.linalg.norm(ours - theirs) < 0.03 * torch.linalg.norm(theirs)
    torch.autograd.backward([step.terms.total for step in found])
    assert all(p.grad.dtype == torch.float32 for method in together for p in method.parameters())


def test_a_cpu_takes_one_member_at_a_time() -> None:
    assert stacked._at_once(torch.device("cpu")) == 1
    assert stacked._at_once(torch.device("cuda")) >= ALL


def test_what_cannot_train_together(settings: Settings) -> None:
    one, two = members(settings, {}, count=2)
    (wider,) = members(settings, {"embedding_dim": 12}, count=1)
    with pytest.raises(UserError, match=r"found .*out_features=12.* in run 3, expected .*out_features=8"):
        Stack([one, two, wider])
    with pytest.raises(UserError, match=r"found precision torch.float32 in run 2, expected precision"):
        Stack([one, two.float()])
    with pytest.raises(UserError, match="found no runs to train together"):
        Stack([])
    with pytest.raises(UserError, match="found groups of 0 runs"):
        stackable([settings()], 0)


def test_groups_have_networks_and_data_in_common(settings: Settings) -> None:
    moves = settings().optimiser.model_copy(update={"name": "sgd"})
    a = [settings(seed=seed) for seed in range(3)]
    free = settings(hyperparameters={"invariance": 1.0}, optimiser=moves, probes=["lbfgs"])
    batch, wide = settings(batch_size=16), settings(embedding_dim=9)
    byol = [
        settings(method="byol", loss="negative_cosine", hyperparameters={}, options=options)
        for options in ({"momentum": 0.9}, {"momentum": 0.8}, {"predictor_width": 8})
    ]
    runs = [a[0], batch, a[1], *byol, a[2], wide, free]
    assert stackable(runs, 12) == [[*a, free], [batch], byol[:2], byol[2:], [wide]]
    assert stackable(runs[:3], 1) == [[a[0]], [a[1]], [batch]]
    assert stackable([*a, free], 3) == [a, [free]]


def sweep(settings: Settings, **changes: Any) -> list[RunSettings]:
    """Two seeds by two weights of the loss."""
    weights = ({"invariance": 25.0}, {"invariance": 10.0})
    return [settings(seed=seed, hyperparameters=w, **changes) for seed in range(2) for w in weights]


def test_full_run_in_float64_is_that_of_each_alone(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, start = Augmentation.apply, group.Member.start

    def doubled(*args: Any) -> group.Member:
        member = start(*args)
        member.method.double()
        member.probe.double()
        return member

    monkeypatch.setattr(Augmentation, "apply", lambda *args, **kinds: apply(*args, **kinds).double())
    monkeypatch.setattr(group.Member, "start", doubled)
    monkeypatch.setattr(stacked, "_at_once", lambda device: ALL)
    runs = sweep(settings, projector="simsiam:16", epochs=3)
    together = loop.train_together(runs, images, tmp_path / "all", engine=Engine(together=4))
    for run, found in zip(runs, together, strict=True):
        expected = loop.train(run, images, tmp_path / run.id, engine=Engine())
        assert largest_gap([found.method], [expected.method]) < 1e-9
        assert len(found.history) == len(expected.history) == 3
        for row, other in zip(found.history, expected.history, strict=True):
            for name in set(row) - CLOCK:
                assert row[name] == pytest.approx(
                    other[name], rel=1e-6
                )  # sums and shapes are kept in float32


def test_full_run_on_a_cpu_has_the_bits_of_each_alone(
    tmp_path: Path, settings: Settings, images: Images
) -> None:
    runs = sweep(settings)
    assert stackable(runs, 4) == [runs]
    together = loop.train_together(runs, images, tmp_path / "all", engine=Engine(together=4))
    for run, found in zip(runs, together, strict=True):
        expected = loop.train(run, images, tmp_path / run.id, engine=Engine())
        assert largest_gap([found.method], [expected.method]) == 0
        for row, other in zip(found.history, expected.history, strict=True):
            assert {k: v for k, v in row.items() if k not in CLOCK} == {
                k: v for k, v in other.items() if k not in CLOCK
            }
