"""The encoders by name; the module that holds one is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import nn

from spectral_ssl.errors import UserError
from spectral_ssl.models.initialise import build
from spectral_ssl.models.table import ENCODERS, EncoderEntry, encoder_entry


def get_encoder(name: str, image_size: int, channels: int, *, generator: torch.Generator) -> nn.Module:
    """Builds an encoder for square images (N, channels, image_size, image_size); `.output_dim` is its width.

    - `conv_narrow`, `conv_small`: three convolutions (16-32-64, 32-64-128), for 8-pixel digits on a CPU;
    - `conv32`: four strided convolutions (16-32-64-128), for 32-pixel images on a CPU;
    - `mlp`: the pixels and two hidden layers of 256;
    - `resnet18_cifar`, `resnet50_cifar`: ResNets with a 3x3 stem of stride 1 and padding 1, no max-pool and no
      last layer, for images of 32 px or so; 512 and 2048;
    - `resnet18`, `resnet50`: torchvision's ResNets without their last layer, for 64 px (a last map of 2 x 2)
      to ImageNet's 224 (7 x 7); 512 and 2048.

    The convolutional ones average over the last map; all apply ReLU before that. Weights are drawn from
    `generator` (CPU); the global generator stays as it was.

    Raises UserError for an unknown name, for fewer than one channel, and for an image size outside the
    encoder's range.
    """
    entry = encoder_entry(name)
    _check(name, entry, image_size, channels)
    make: Callable[[int, int], nn.Module] = getattr(import_module(entry.module), entry.function)
    return build(lambda: make(image_size, channels), generator=generator, convolutions=entry.convolutions)


def _check(name: str, entry: EncoderEntry, image_size: int, channels: int) -> None:
    if channels < 1:
        raise UserError(f"encoder '{name}' needs images with 1 channel or more; found {channels}")
    if not entry.takes(image_size):
        sizes = f"{entry.smallest} px or more"
        if entry.largest is not None:
            sizes = f"{entry.smallest} to {entry.largest} px"
        fitting = ", ".join(other for other, at in ENCODERS.items() if at.takes(image_size))
        hint = f"use {fitting}" if fitting else "give images of at least 1 px"
        raise UserError(f"encoder '{name}' takes images of {sizes}; found {image_size} px; {hint}")
