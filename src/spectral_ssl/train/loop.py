"""The training loop: data set on the device, augmentation in batches, an online probe, history, resume."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spectral_ssl.data.views import Augmentation, get_augmentation
from spectral_ssl.evaluate.network import represent
from spectral_ssl.evaluate.rank import effective_rank, singular_values
from spectral_ssl.methods import build_method
from spectral_ssl.train import checkpoint
from spectral_ssl.train.images import Images
from spectral_ssl.train.optim import build_optimiser, learning_rate
from spectral_ssl.train.partners import Partners, partners
from spectral_ssl.train.step import descend

if TYPE_CHECKING:
    from spectral_ssl.methods.base import Method
    from spectral_ssl.papers.manifest import RunSettings

CHECKPOINT_SECONDS = 60.0
ONLINE_RATE = 1e-2  # Adam, ours: the probe only has to follow the encoder, not to win
RANK_IMAGES = 2048

Row = dict[str, float]


@dataclass
class Trained:
    """What training leaves: the networks, a row of history an epoch, and where it diverged, if it did."""

    method: Method
    history: list[Row]
    plain: Augmentation
    diverged: dict[str, Any] | None = None


@dataclass
class _State:
    run: RunSettings
    images: Images
    method: Method
    probe: nn.Linear
    optimiser: torch.optim.Optimizer
    probe_optimiser: torch.optim.Optimizer
    generator: torch.Generator
    views: tuple[Augmentation, Augmentation]
    plain: Augmentation
    partners: Partners | None
    epoch: int = 0
    history: list[Row] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        checkpoint.save(
            folder,
            {
                "method": self.method.state_dict(),
                "probe": self.probe.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "probe_optimiser": self.probe_optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "epoch": self.epoch,
                "history": self.history,
            },
        )

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("method", "probe", "optimiser", "probe_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())
        self.epoch, self.history = state["epoch"], state["history"]


def generator_for(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """An independent random stream for a purpose ("weights", "training") of a run's seed.

    The stream of weights does not depend on the loss: runs of one network and seed start equal.
    """
    word = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7]
    return torch.Generator(device=device).manual_seed(int.from_bytes(word, "big"))


def train(
    run: RunSettings,
    images: Images,
    scratch: Path,
    *,
    progress: Callable[[int, Row], None] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Trained:
    """Train a run to its last epoch, or to the step where its loss stops being finite.

    Resumes from `scratch` if a checkpoint lies there and saves one there every `checkpoint_seconds` (at epoch
    ends).
    """
    state = _start(run, images)
    if saved := checkpoint.load(scratch, images.train.device):
        state.restore(saved)
    last_saved = time.monotonic()
    while state.epoch < run.epochs:
        row, diverged = _epoch(state)
        if diverged:
            return Trained(state.method, state.history, state.plain, diverged)
        state.history.append(row)
        state.epoch += 1
        if progress:
            progress(state.epoch, row)
        if time.monotonic() - last_saved > checkpoint_seconds and state.epoch < run.epochs:
            state.save(scratch)
            last_saved = time.monotonic()
    return Trained(state.method, state.history, state.plain)


def _start(run: RunSettings, images: Images) -> _State:
    _, channels, size, _ = images.train.shape
    device = images.train.device
    weights = generator_for(run.seed, "weights")
    method = build_method(run, size, channels, generator=weights).to(device)
    # Not nn.Linear's own start, which would draw from the global generator.
    probe = nn.utils.skip_init(nn.Linear, method.representation_dim, images.classes)
    with torch.no_grad():
        probe.weight.zero_()
        probe.bias.zero_()
    probe = probe.to(device)
    view1, view2 = (get_augmentation(run.augmentation, size, channels, view=view) for view in (0, 1))
    return _State(
        run,
        images,
        method,
        probe,
        build_optimiser(method, run.optimiser),
        torch.optim.Adam(probe.parameters(), lr=ONLINE_RATE),
        generator_for(run.seed, "training", device),
        (view1, view2),
        view1.plain(),
        partners(run.relation, images),
    )


def _epoch(state: _State) -> tuple[Row, dict[str, Any] | None]:
    run, images, method = state.run, state.images, state.method
    started = time.perf_counter()
    n = len(images.train)
    steps = n // run.batch_size
    order = torch.randperm(n, generator=state.generator, device=images.train.device)
    method.train()
    sums: dict[str, Tensor] = {}
    rate = 0.0
    for step in range(steps):
        index = order[step * run.batch_size : (step + 1) * run.batch_size]
        view1, view2 = _pair(state, index)
        rate = learning_rate(run.optimiser, state.epoch * steps + step, steps, run.epochs, run.batch_size)
        result = method.step(view1, view2)
        if bad := descend(state.optimiser, result.terms, rate):
            return {}, {"term": bad, "epoch": state.epoch + 1, "step": state.epoch * steps + step + 1}
        method.update((state.epoch * steps + step + 1) / (run.epochs * steps))
        _probe_step(state, result.representations, images.train_labels[index])
        for name, value in {"loss": result.terms.total, **result.terms}.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach().float()
    seconds = time.perf_counter() - started
    means = {name: float(value) / steps for name, value in sums.items()}
    look = _look(state)
    if look is None:
        return {}, {"term": "embeddings", "epoch": state.epoch + 1, "step": (state.epoch + 1) * steps}
    return {
        "epoch": state.epoch + 1,
        **means,
        "lr": rate,
        "views_per_second": 2 * steps * run.batch_size / seconds,
        **look,
        "seconds": time.perf_counter() - started,
    }, None


def _pair(state: _State, index: Tensor) -> tuple[Tensor, Tensor]:
    """Both views of a batch: of the same images, or of related ones where the run's relation says so."""
    images, generator = state.images, state.generator
    related = index if state.partners is None else state.partners.sample(index, generator=generator)
    first, second = (
        view(images.train[of], generator=generator, factors=images.factors("train", of))
        for view, of in zip(state.views, (index, related), strict=True)
    )
    return first, second


def _probe_step(state: _State, representations: tuple[Tensor, Tensor], labels: Tensor) -> None:
    """One step of the online linear classifier on detached representations: the encoder never feels it.

    The second view of a related image may be of another class: only first views are learnt from then. The sum over
    labelled images is divided by their number, at least 1, so that a batch without any has no gradient.
    """
    views = representations if state.partners is None else representations[:1]
    logits = state.probe(torch.cat(views).detach())
    targets = labels.repeat(len(views))
    total = nn.functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
    loss = total / (targets >= 0).sum().clamp_min(1)
    state.probe_optimiser.zero_grad(set_to_none=True)
    loss.backward()
    state.probe_optimiser.step()


@torch.no_grad()
def _look(state: _State) -> Row | None:
    """Online test accuracy, and the effective rank of the embeddings of some test images.

    None if these are not finite: an epoch's last step can ruin the weights, and no loss is there to show it.
    """
    state.method.eval()
    features = represent(state.method, state.images.test, state.plain)
    accuracy = (state.probe(features).argmax(1) == state.images.test_labels).float().mean()
    shown = state.images.test[state.images.spread(RANK_IMAGES)]
    embeddings = state.method.embed(state.plain(shown, generator=state.generator))
    if not (torch.isfinite(features).all() and torch.isfinite(embeddings).all()):
        return None
    return {
        "online_accuracy": float(accuracy),
        "rank": effective_rank(singular_values(embeddings, centred=True)),
    }
