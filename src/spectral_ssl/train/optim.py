"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from spectral_ssl.config import Optimiser


def build_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """SGD with momentum or AdamW; weight decay on all parameters, as HaoChen et al.'s code has it."""
    if settings.name == "sgd":
        return torch.optim.SGD(
            module.parameters(), lr=0.0, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=settings.weight_decay)


def learning_rate(
    settings: Optimiser, step: int, steps_per_epoch: int, epochs: int, batch_size: int
) -> float:
    """The rate at a step (from 0): linear warm-up from 0, then half a cosine to 0.

    peak = learning_rate, times batch_size / 256 with `scale_by_batch`. A warm-up as long as the whole run or
    longer is cut to it, so that short runs still move.
    """
    peak = settings.learning_rate * (batch_size / 256 if settings.scale_by_batch else 1.0)
    total = epochs * steps_per_epoch
    warmup = min(settings.warmup_epochs * steps_per_epoch, total)
    if step < warmup:
        return peak * min((step + 1) / warmup, 1.0)  # a warm-up may end within a step
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
