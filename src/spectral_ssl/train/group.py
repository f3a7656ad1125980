"""Runs that train together: their networks, optimisers and probes, what feeds them, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spectral_ssl.methods import build_method
from spectral_ssl.train.diagnostics import Running
from spectral_ssl.train.feed import Batch, Feed, generator_for
from spectral_ssl.train.flops import step_flops
from spectral_ssl.train.optim import FUSED, build_optimiser, learning_rate
from spectral_ssl.train.stacked import Stack
from spectral_ssl.train.step import descend_together

if TYPE_CHECKING:
    from spectral_ssl.engine import Engine
    from spectral_ssl.methods.base import Method, Step
    from spectral_ssl.papers.manifest import RunSettings
    from spectral_ssl.train.distributed import World
    from spectral_ssl.train.images import Images

ONLINE_RATE = 1e-2  # Adam, ours: the probe only has to follow the encoder, not to win

Row = dict[str, float]
Forward = Callable[[Sequence[tuple[Tensor, Tensor]]], "list[Step]"]


@dataclass
class Member:
    """One run of a group. `diverged` says where its loss stopped being finite; it moves no more from there on."""

    run: RunSettings
    method: Method
    probe: nn.Linear
    optimiser: torch.optim.Optimizer
    probe_optimiser: torch.optim.Optimizer
    running: Running = field(default_factory=Running)
    history: list[Row] = field(default_factory=list)
    diverged: dict[str, Any] | None = None
    rate: float = 0.0

    @classmethod
    def start(cls, run: RunSettings, images: Images) -> Member:
        """The networks as the seed draws them, and a probe of zeros."""
        _, channels, size, _ = images.shape
        method = build_method(run, size, channels, generator=generator_for(run.seed, "weights"))
        method.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Not nn.Linear's own start, which would draw from the global generator.
        probe = nn.utils.skip_init(nn.Linear, method.representation_dim, images.classes)
        nn.init.zeros_(probe.weight)
        nn.init.zeros_(probe.bias)
        probe = probe.to(images.device)
        fused = images.device.type in FUSED
        probe_optimiser = torch.optim.Adam(probe.parameters(), lr=ONLINE_RATE, fused=fused)
        return cls(run, method, probe, build_optimiser(method, run.optimiser), probe_optimiser)

    def weights(self) -> dict[str, Tensor]:
        """Every tensor of the networks and the probe, by name."""
        parts = {"method": self.method, "probe": self.probe}
        return {f"{part}.{name}": value for part in parts for name, value in parts[part].state_dict().items()}

    def state(self) -> dict[str, Any]:
        """What else a member goes on from."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "probe_optimiser": self.probe_optimiser.state_dict(),
            "running": self.running.state(),
            "history": self.history,
            "diverged": self.diverged,
            "rate": self.rate,
        }

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from `weights` and `state`."""
        for part in ("method", "probe"):
            own = {k.removeprefix(f"{part}."): v for k, v in weights.items() if k.startswith(f"{part}.")}
            getattr(self, part).load_state_dict(own)
        self.optimiser.load_state_dict(state["optimiser"])
        self.probe_optimiser.load_state_dict(state["probe_optimiser"])
        self.running.restore(state["running"])
        self.history, self.diverged, self.rate = (state[name] for name in ("history", "diverged", "rate"))

    def learn_labels(self, representations: Sequence[Tensor], labels: Tensor) -> None:
        """One step of the online linear classifier on detached representations: the encoder never feels it.

        representations: one or two views', each (B, D); labels: (B,), -1 for none. The sum over labelled images is
        divided by their number, at least 1, so that a batch without any has no gradient.
        """
        logits = self.probe(torch.cat(list(representations)).to(self.probe.weight.dtype))
        targets = labels.repeat(len(representations))
        total = nn.functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
        loss = total / (targets >= 0).sum().clamp_min(1)
        self.probe_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.probe_optimiser.step()

    def standing_alone(self, images: Images) -> Method:
        """The method as one process has it: batch norm of several waits for the others."""
        own = Member.start(self.run, images).method
        own.load_state_dict(self.method.state_dict())
        return own


class Group:
    """Members with equal networks and schedules, a feed for each of their seeds, and the position in training."""

    def __init__(self, runs: Sequence[RunSettings], images: Images, engine: Engine, world: World) -> None:
        self.images = images
        self.world = world
        self.run = runs[0]
        self.members = [Member.start(run, images) for run in runs]
        self.feeds = {run.seed: Feed(run, images, world) for run in runs}
        self.feed = self.feeds[self.run.seed]
        # Of one member's step.
        self.flops = step_flops(self.members[0].method, self.run.batch_size, images.shape[1:])
        self.forward = _forward([member.method for member in self.members], engine, world)
        self.moving = len(self.members)  # members that `forward` is of
        self.epoch = 0  # epochs done
        self.step = 0  # steps done in the epoch after these
        self.seconds = 0.0  # spent on these steps

    @property
    def alive(self) -> list[Member]:
        """Members whose loss is still a number."""
        return [member for member in self.members if member.diverged is None]

    def settings(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        return {
            "device": self.images.device.type,
            "runs": {run.id: run.model_dump(mode="json") for run in (m.run for m in self.members)},
        }

    def weights(self) -> dict[str, Tensor]:
        """Every member's weights, under its run's id."""
        return {f"{m.run.id}/{name}": value for m in self.members for name, value in m.weights().items()}

    def state(self) -> dict[str, Any]:
        """What else a group goes on from."""
        return {
            "members": [member.state() for member in self.members],
            "feeds": {str(seed): feed.state() for seed, feed in self.feeds.items()},
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from `weights` and `state`."""
        for member, saved in zip(self.members, state["members"], strict=True):
            own = f"{member.run.id}/"
            member.restore({k.removeprefix(own): v for k, v in weights.items() if k.startswith(own)}, saved)
        for seed, feed in self.feeds.items():
            feed.restore(state["feeds"][str(seed)])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]

    def steps(self) -> Iterator[int]:
        """Make the rest of the epoch's steps, and say after each how many are done."""
        for member in self.members:
            member.method.train()
        with ExitStack() as stack:
            feeds = {
                seed: stack.enter_context(closing(feed.epoch(self.step))) for seed, feed in self.feeds.items()
            }
            while self.step < self.feed.steps and self.alive:
                self._step({seed: next(feed) for seed, feed in feeds.items()})
                self.step += 1
                yield self.step

    def _step(self, batches: dict[int, Batch]) -> None:
        run, steps = self.run, self.feed.steps
        done = self.epoch * steps + self.step
        alive = self.alive
        if len(alive) < self.moving:  # a diverged member's batch norm would go on collecting statistics
            self.moving, self.forward = len(alive), Stack([member.method for member in alive]).step
        for member in alive:
            member.rate = learning_rate(member.run.optimiser, done, steps, run.schedule, run.batch_size)
        fed = [batches[member.run.seed] for member in alive]
        results = self.forward([(batch.view1, batch.view2) for batch in fed])
        moving = list(zip(alive, results, fed, strict=True))
        moved = descend_together([(m.optimiser, result.terms, m.rate) for m, result, _ in moving])
        for (member, result, batch), outcome in zip(moving, moved, strict=True):
            if outcome.bad:
                member.diverged = {"term": outcome.bad, "epoch": self.epoch + 1, "step": done + 1}
                continue
            member.method.update((done + 1) / (run.schedule * steps))
            # The second view of a related image may be of another class: only first views are learnt from then.
            views = result.representations[: 2 if self.feed.partners is None else 1]
            *gathered, labels = self.world.gather(*(view.detach() for view in views), batch.labels)
            member.learn_labels(gathered, labels)
            terms = {name: value.detach() for name, value in result.terms.items()}
            total = result.terms.total.detach()
            member.running.add({"loss": total, **terms, "gradient_norm": outcome.gradient_norm})


def _forward(methods: Sequence[Method], engine: Engine, world: World) -> Forward:
    """How the members' networks are applied to their views."""
    if engine.compile:
        for method in methods:
            for part in (method.encoder, method.head):
                part.compile(mode=engine.compile)
    if len(methods) > 1:
        return Stack(methods).step
    step = world.prepare(methods[0])
    return lambda views: [step(*views[0])]
