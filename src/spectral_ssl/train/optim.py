"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from spectral_ssl.methods.base import Method
from spectral_ssl.train.lars import LARS

if TYPE_CHECKING:
    from spectral_ssl.sections import Optimiser


# Devices with fused optimisers in every version of torch that the project takes.
FUSED = ("cpu", "cuda", "mps")


def build_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """SGD with momentum, AdamW or LARS, at rate 0 until `set_learning_rate`.

    Weight decay is on all parameters, as HaoChen et al.'s code has it, unless `exclude_bias_and_norm`; LARS
    neither decays nor scales biases and normalisation parameters. Parameters that require no gradient, such as a
    momentum target's, are left out. One fused call moves all parameters of a group: a third of the time of torch's
    default on a CPU, and one launch on a GPU.
    """
    groups = _groups(module, settings)
    fused = all(parameter.device.type in FUSED for group in groups for parameter in group["params"])
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=0.0, momentum=settings.momentum, weight_decay=settings.weight_decay, fused=fused
        )
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, weight_decay=settings.weight_decay, fused=fused)
    return LARS(
        groups,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        trust_coefficient=settings.trust_coefficient,
        clip=settings.clip,
    )


def _groups(module: nn.Module, settings: Optimiser) -> list[dict[str, Any]]:
    """The trainable parameters by how they move: excluded or not, at a held rate or not; in order of first use.

    Every parameter of one dimension here is a bias, or the scale or shift of a normalisation.
    """
    excluding = settings.name == "lars" or settings.exclude_bias_and_norm
    part = module.constant_rate() if isinstance(module, Method) else None
    held = set(map(id, part.parameters())) if part is not None else set()
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            excluded, fixed = excluding and parameter.ndim <= 1, id(parameter) in held
            own = {"weight_decay": 0.0, "scaled": False} if excluded else {}
            group = groups.setdefault((excluded, fixed), {"params": [], "fixed": fixed, **own})
            group["params"].append(parameter)
    return list(groups.values())


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
    """Set every group's rate; one that is `fixed` follows the warm-up and stays at the peak."""
    for group in optimiser.param_groups:
        group["lr"] = max(group["lr"], rate) if group["fixed"] else rate
