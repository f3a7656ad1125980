"""The training loop: epochs of steps on the device, a row of history an epoch, checkpoints, resume."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spectral_ssl.engine import Engine
from spectral_ssl.errors import Interrupted
from spectral_ssl.evaluate.network import represent
from spectral_ssl.train.checkpoint import Checkpoints
from spectral_ssl.train.diagnostics import Running, look
from spectral_ssl.train.distributed import World
from spectral_ssl.train.flops import utilisation
from spectral_ssl.train.group import Group, Member, Row
from spectral_ssl.train.signals import Stop

if TYPE_CHECKING:
    from spectral_ssl.data.views import Augmentation
    from spectral_ssl.methods.base import Method
    from spectral_ssl.papers.manifest import RunSettings
    from spectral_ssl.train.images import Images

log = logging.getLogger(__name__)

# Test images whose embeddings' shape a row of history tells: at 2048 the ranks of wide embeddings would take a tenth of
# an epoch's time on a GPU.
LOOKED_AT = 1024

# Seconds of training that are not risked once more while a run is evaluated, which on a GPU takes a minute.
AT_END = 20.0

Progress = Callable[["RunSettings", int, Row], None]


@dataclass
class Trained:
    """What training leaves: the networks, a row of history an epoch, and where it diverged, if it did."""

    method: Method
    history: list[Row]
    plain: Augmentation
    diverged: dict[str, Any] | None = None


def train(
    run: RunSettings,
    images: Images,
    scratch: Path,
    *,
    engine: Engine | None = None,
    world: World | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train one run; see `train_together`."""
    return train_together([run], images, scratch, engine=engine, world=world, progress=progress)[0]


def train_together(
    runs: Sequence[RunSettings],
    images: Images,
    scratch: Path,
    *,
    engine: Engine | None = None,
    world: World | None = None,
    progress: Progress | None = None,
) -> list[Trained]:
    """Train runs to their last epoch, each or to where its loss stops being finite.

    Several runs must be `stacked.stackable`. Checkpoints lie under `scratch`, one every `engine.checkpoint_seconds` and
    one at SIGTERM or SIGUSR1; training goes on from the newest whole one, at the step where it was saved.

    A diverged run ends at that step on a CPU, at the end of that epoch on other devices, which are not waited for
    inside an epoch. `progress` is called with each new row of history.

    Raises Interrupted after one of these signals, and UserError for a checkpoint of other settings.
    """
    engine, world = engine or Engine(), world or World()
    group = Group(runs, images, engine, world)
    store = Checkpoints(scratch, group.settings())
    if saved := store.load(images.device):
        group.restore(*saved)
        if world.first:
            names = ", ".join(run.id for run in runs)
            log.warning(
                "%s: going on from a checkpoint, epoch %d, step %d", names, group.epoch + 1, group.step
            )
    with Stop() as stop:
        keeper = _Keeper(group, store, engine.checkpoint_seconds, stop)
        while group.epoch < group.run.epochs and group.alive:
            _epoch(group, keeper, progress)
        keeper.at_end()
    plain = group.feed.augmentations[0].plain()
    methods = [m.method if world.size == 1 else m.standing_alone(images) for m in group.members]
    return [
        Trained(method, m.history, plain, m.diverged)
        for method, m in zip(methods, group.members, strict=True)
    ]


class _Keeper:
    """Saves the group when it is time, and when a signal asks for it."""

    def __init__(self, group: Group, store: Checkpoints, seconds: float, stop: Stop) -> None:
        self.group, self.store, self.seconds, self.stop = group, store, seconds, stop
        self.saved = time.monotonic()
        self.written = True

    def after_step(self) -> None:
        group = self.group
        stopping = group.world.agree(self.stop.signal is not None)
        if stopping or self._due():
            self._save()
        if stopping:
            group.world.barrier()  # torchrun would end the writer as soon as another process has ended
            step = group.epoch * group.feed.steps + group.step
            epoch = min(group.epoch + 1, group.run.epochs)
            number = self.stop.signal or signal.SIGTERM
            raise Interrupted(number, step, epoch, self.store.folder, written=self.written)

    def at_end(self) -> None:
        """What took long to train is kept while it is evaluated; a signal since the last step still counts."""
        self.seconds = min(self.seconds, AT_END)
        self.after_step()

    def _due(self) -> bool:
        return time.monotonic() - self.saved > self.seconds

    def _save(self) -> None:
        group = self.group
        if group.world.first:
            step = group.epoch * group.feed.steps + group.step
            self.written = self.store.save(group.weights(), group.state(), step)
        self.saved = time.monotonic()


def _epoch(group: Group, keeper: _Keeper, progress: Progress | None) -> None:
    spent, begun = group.seconds, time.perf_counter()
    for _ in group.steps():
        group.seconds = spent + time.perf_counter() - begun
        keeper.after_step()
    means = [_means(member, group) for member in group.members]  # waits for the device: the steps are done
    training = spent + time.perf_counter() - begun
    seen = [_look(member, group) if member in group.alive else None for member in group.members]
    whole = spent + time.perf_counter() - begun
    group.epoch, group.step, group.seconds = group.epoch + 1, 0, 0.0
    ended = len(group.alive)
    for member, mean, look_ in zip(group.members, means, seen, strict=True):
        if look_ is not None:
            row = {"epoch": group.epoch, **mean, "lr": member.rate, **look_, **_speed(group, training, ended)}
            member.history.append(row | {"seconds": whole / ended})
            if progress and group.world.first:
                progress(member.run, group.epoch, member.history[-1])


def _means(member: Member, group: Group) -> Row:
    """The epoch's means of a member's terms; `diverged` is set where one of them was not finite."""
    if member.diverged is None and (bad := member.running.first_bad()) is not None:
        member.diverged = _place(group, *bad)
    means = member.running.means(group.feed.steps)
    member.running = Running()
    return means


def _place(group: Group, step: int, term: str) -> dict[str, Any]:
    """Where a run diverged: its term, and the epoch and step, from 1."""
    return {"term": term, "epoch": group.epoch + 1, "step": group.epoch * group.feed.steps + step + 1}


def _speed(group: Group, seconds: float, members: int) -> Row:
    """Views a second and the share of the device's arithmetic, of all members that ended the epoch together."""
    steps = group.feed.steps * members
    device, precision = group.images.device, group.run.precision
    return {
        "views_per_second": 2 * steps * group.run.batch_size / seconds,
        "utilisation": utilisation(group.flops * steps, seconds, device, precision) / group.world.size,
    }


@torch.no_grad()
def _look(member: Member, group: Group) -> Row | None:
    """Online test accuracy, and the shape of the embeddings of some test images.

    None, and `diverged` set, if these are not finite: an epoch's last step can ruin the weights, and no loss is there
    to show it.
    """
    images, method = group.images, member.method
    features = represent(method, images, "test", group.feed.augmentations[0].plain())
    scores = member.probe(features.to(member.probe.weight.dtype))
    accuracy = (scores.argmax(1) == images.test_labels).float().mean()
    shown = features[images.spread(LOOKED_AT)]
    embeddings = method.project(shown)
    if not bool(torch.isfinite(features).all() & torch.isfinite(embeddings).all()):
        member.diverged = _place(group, group.feed.steps - 1, "embeddings")
        return None
    return {"online_accuracy": float(accuracy), **look(embeddings, shown)}
