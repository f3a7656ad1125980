"""Training: the same twice, the same after an interruption, untouched by its probe, honest when it diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_ssl.engine import Engine
from spectral_ssl.evaluate.network import embed, represent
from spectral_ssl.losses import get_loss, loss_names
from spectral_ssl.losses.terms import Terms
from spectral_ssl.methods import base
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import group
from spectral_ssl.train.feed import generator_for
from spectral_ssl.train.group import Row
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import Progress, Trained, train

Settings = Callable[..., RunSettings]
CLOCK = ("views_per_second", "utilisation", "seconds")
TERMS = ("invariance", "variance", "covariance")


def without_clock(history: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in history]


def assert_same(one: Trained, other: Trained) -> None:
    assert without_clock(one.history) == without_clock(other.history)
    ours, theirs = one.method.state_dict(), other.method.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


class Interruption(Exception):
    pass


def interrupt_after(epoch: int) -> Progress:
    def progress(run: RunSettings, done: int, row: Row) -> None:
        if done == epoch:
            raise Interruption

    return progress


def spoil(monkeypatch: pytest.MonkeyPatch, at: int, change: Callable[[Terms, Tensor], Terms]) -> list[int]:
    """Change the loss's terms at call `at` (from 1); the list grows by one a call."""
    calls: list[int] = []

    def get(name: str) -> Callable[..., Terms]:
        real = get_loss(name)

        def loss(z1: Tensor, z2: Tensor, **options: Any) -> Terms:
            calls.append(len(calls) + 1)
            terms = real(z1, z2, **options)
            return change(terms, z1) if len(calls) == at else terms

        return loss

    monkeypatch.setattr(base, "get_loss", get)
    return calls


@pytest.mark.parametrize(
    "changes", [{}, {"method": "simsiam", "loss": "negative_cosine", "hyperparameters": {}}]
)
def test_same_seed_twice_gives_the_same_bits(
    tmp_path: Path, settings: Settings, images: Images, changes: dict[str, Any]
) -> None:
    one, two = (train(settings(**changes), images, tmp_path / str(k)) for k in range(2))
    assert_same(one, two)
    other = train(settings(**changes, seed=1), images, tmp_path / "other")
    assert without_clock(other.history) != without_clock(one.history)


def test_training_leaves_the_global_generator_alone(
    tmp_path: Path, settings: Settings, images: Images
) -> None:
    before = torch.random.get_rng_state()
    train(settings(epochs=1), images, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("interrupted_in", [2, 3])
def test_interrupted_and_resumed_is_as_undisturbed(
    tmp_path: Path, settings: Settings, images: Images, interrupted_in: int, optimiser: str
) -> None:
    moves = settings().optimiser.model_copy(update={"name": optimiser})
    run = settings(epochs=4, optimiser=moves)
    undisturbed = train(run, images, tmp_path / "undisturbed", engine=Engine(checkpoint_seconds=1e9))
    scratch = tmp_path / "scratch"
    with pytest.raises(Interruption):
        train(
            run,
            images,
            scratch,
            progress=interrupt_after(interrupted_in),
            engine=Engine(checkpoint_seconds=0),
        )
    saved = sorted(path.name for path in (scratch / "checkpoints").iterdir())
    assert [int(name) for name in saved] == [3 * interrupted_in - 1, 3 * interrupted_in]
    epochs: list[int] = []
    resumed = train(run, images, scratch, progress=lambda _, epoch, __: epochs.append(epoch))
    assert epochs == list(range(interrupted_in, 5))  # earlier epochs are not trained again, and steps neither
    assert_same(resumed, undisturbed)
    assert not (tmp_path / "undisturbed" / "checkpoints").exists()


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path: Path, settings: Settings, images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    run = settings(epochs=3)
    with pytest.raises(Interruption):
        train(run, images, tmp_path, progress=interrupt_after(2), engine=Engine(checkpoint_seconds=0))
    trained: list[int] = []
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    for folder, epochs in ((newest, [2, 3]), (older, [1, 2, 3])):
        file = folder / "weights.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
        again = train(run, images, tmp_path, progress=lambda _, epoch, __: trained.append(epoch))
        assert trained == epochs
        trained.clear()
        assert str(folder) in caplog.text
    assert_same(again, train(run, images, tmp_path / "fresh"))


def test_online_probe_never_moves_the_encoder(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(epochs=4)
    watched = train(run, images, tmp_path)
    monkeypatch.setattr(group, "ONLINE_RATE", 0.0)
    blind = train(run, images, tmp_path)
    theirs = blind.method.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in watched.method.state_dict().items())
    accuracy = watched.history[-1]["online_accuracy"], blind.history[-1]["online_accuracy"]
    assert accuracy[1] == pytest.approx(0.1)  # a probe of zeros says class 0
    assert accuracy[0] > 0.3


def test_history_has_a_row_an_epoch(tmp_path: Path, settings: Settings, images: Images) -> None:
    seen: list[tuple[int, Row]] = []
    run = settings(epochs=3)
    trained = train(run, images, tmp_path, progress=lambda _, epoch, row: seen.append((epoch, row)))
    assert trained.diverged is None
    assert [list(row) for row in trained.history] == [list(trained.history[0])] * 3
    assert list(trained.history[0])[:5] == ["epoch", "loss", *TERMS]
    columns = {
        "gradient_norm",
        "lr",
        "online_accuracy",
        "rank",
        "rank_representation",
        "embedding_norm",
        *CLOCK,
    }
    assert columns <= set(trained.history[0])
    assert seen == [(k + 1, row) for k, row in enumerate(trained.history)]
    for epoch, row in enumerate(trained.history, start=1):
        assert row["epoch"] == epoch
        assert row["loss"] == pytest.approx(sum(row[name] for name in TERMS), rel=1e-5)
        assert 0 <= row["online_accuracy"] <= 1
        assert 1 <= row["rank"] <= 8.001
        assert row["seconds"] > 0
        assert (
            row["views_per_second"] > 2 * 3 * 32 / row["seconds"]
        )  # the look at the test images is left out
    # Three steps an epoch, one epoch of warm-up: the rates at steps 2, 5 and 8 of 9.
    assert [row["lr"] for row in trained.history] == pytest.approx([0.01, 0.0075, 0.0006698730], rel=1e-6)


def test_history_holds_the_means_over_the_steps(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[float] = []

    def note(terms: Terms, z: Tensor) -> Terms:
        values.append(terms["invariance"].item())
        return terms

    for step in (1, 2, 3):
        spoil(monkeypatch, step, note)
        row = train(settings(epochs=1), images, tmp_path).history[0]
    assert row["invariance"] == pytest.approx(sum(values) / 3)
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("at", "epoch", "kept"),
    [(1, 1, 0), (3, 1, 0), (4, 2, 1), (5, 2, 1)],
    ids=["first", "last", "next", "later"],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_names_term_epoch_and_step(
    tmp_path: Path,
    settings: Settings,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    epoch: int,
    kept: int,
    value: float,
) -> None:
    undisturbed = train(settings(epochs=3), images, tmp_path)
    calls = spoil(
        monkeypatch, at, lambda terms, _: Terms({**terms, "covariance": terms["covariance"] * value})
    )
    trained = train(settings(epochs=3), images, tmp_path)
    assert trained.diverged == {"term": "covariance", "epoch": epoch, "step": at}
    assert len(calls) == at  # nothing trains on
    assert without_clock(trained.history) == without_clock(undisturbed.history[:kept])
    weights = trained.method.state_dict().values()
    assert all(torch.isfinite(weight).all() for weight in weights)  # the step was not taken


def test_overflow_of_the_sum_alone_is_named_loss(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = torch.tensor(3e38)
    spoil(monkeypatch, 2, lambda terms, _: Terms({"invariance": huge, "variance": huge}))
    diverged = train(settings(), images, tmp_path).diverged
    assert diverged == {"term": "loss", "epoch": 1, "step": 2}


@pytest.mark.parametrize(
    ("at", "epoch"), [(2, 1), (3, 1), (6, 2)], ids=["within", "end of epoch", "end of run"]
)
def test_a_gradient_that_is_not_finite_is_a_divergence(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch, at: int, epoch: int
) -> None:
    def broken(terms: Terms, z: Tensor) -> Terms:
        return Terms({**terms, "invariance": terms["invariance"] + (0 * z.sum()).sqrt()})  # 0, gradient NaN

    spoil(monkeypatch, at, broken)
    trained = train(settings(), images, tmp_path)
    assert trained.diverged is not None
    assert trained.diverged["epoch"] == epoch
    assert trained.diverged["step"] in (at, at + 1)
    assert len(trained.history) == epoch - 1


@pytest.mark.parametrize("loss", loss_names())
def test_every_loss_of_ruined_weights_is_a_divergence(
    tmp_path: Path, settings: Settings, images: Images, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(group, "learning_rate", lambda *_: math.nan)
    diverged = train(settings(loss=loss, hyperparameters={}), images, tmp_path).diverged
    assert diverged is not None
    assert (diverged["epoch"], diverged["step"]) == (1, 2)


def test_streams_of_a_seed_are_independent_and_fixed() -> None:
    def draw(seed: int, purpose: str) -> list[float]:
        return torch.rand(3, generator=generator_for(seed, purpose)).tolist()

    assert draw(0, "weights") == draw(0, "weights")
    found = {tuple(draw(seed, purpose)) for seed in range(3) for purpose in ("weights", "order", "views")}
    assert len(found) == 9


def test_evaluation_in_blocks_is_evaluation_at_once(
    tmp_path: Path, settings: Settings, images: Images
) -> None:
    trained = train(settings(epochs=1), images, tmp_path)
    trained.method.train()  # evaluation must not depend on what came before
    for function, width in ((represent, 64), (embed, 8)):
        whole = function(trained.method, images, "test", trained.plain)
        parts = function(trained.method, images, "test", trained.plain, block=7)
        assert whole.shape == (50, width)
        assert not whole.requires_grad
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
