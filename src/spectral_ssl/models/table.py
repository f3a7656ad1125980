"""The encoders by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spectral_ssl.errors import unknown

Scheme = Literal["uniform", "fan_out"]
_PACKAGE = "spectral_ssl.models"


@dataclass(frozen=True)
class EncoderEntry:
    """Where an encoder is made, how wide its output is, for which image sizes, and how its convolutions start."""

    module: str
    function: str
    width: int
    smallest: int
    largest: int | None
    convolutions: Scheme = "uniform"

    def takes(self, image_size: int) -> bool:
        """Whether images of this size (px) are within the range."""
        return self.smallest <= image_size and (self.largest is None or image_size <= self.largest)


ENCODERS = {
    "conv_narrow": EncoderEntry(f"{_PACKAGE}.convolutional", "conv_narrow", 64, 4, None),
    "conv_small": EncoderEntry(f"{_PACKAGE}.convolutional", "conv_small", 128, 4, None),
    "conv32": EncoderEntry(f"{_PACKAGE}.convolutional", "conv32", 128, 16, None),
    "mlp": EncoderEntry(f"{_PACKAGE}.convolutional", "mlp", 256, 1, 64),
    "resnet18_cifar": EncoderEntry(f"{_PACKAGE}.resnet", "resnet18_cifar", 512, 8, None, "fan_out"),
    "resnet18_cifar_pad2": EncoderEntry(f"{_PACKAGE}.resnet", "resnet18_cifar_pad2", 512, 8, None, "fan_out"),
    "resnet50_cifar": EncoderEntry(f"{_PACKAGE}.resnet", "resnet50_cifar", 2048, 8, None, "fan_out"),
    "resnet18": EncoderEntry(f"{_PACKAGE}.resnet", "resnet18", 512, 64, None, "fan_out"),
    "resnet50": EncoderEntry(f"{_PACKAGE}.resnet", "resnet50", 2048, 64, None, "fan_out"),
}


def encoder_names() -> list[str]:
    """The names that `get_encoder` knows."""
    return sorted(ENCODERS)


def encoder_entry(name: str) -> EncoderEntry:
    """The entry of an encoder; UserError, naming the nearest, for an unknown name."""
    if name not in ENCODERS:
        raise unknown("encoder", name, ENCODERS)
    return ENCODERS[name]
