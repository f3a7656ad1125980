"""Small encoders that train in seconds on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MLP_WIDTH = 256


class ConvolutionalEncoder(nn.Module):
    """3x3 convolutions, each with batch norm and ReLU, then the mean over the last map.

    Takes images (N, C, H, W) and returns representations (N, widths[-1]).
    """

    def __init__(self, channels: int, widths: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.output_dim = widths[-1]
        layers: list[nn.Module] = []
        for wide, narrow, stride in zip((channels, *widths), widths, strides, strict=False):
            # The bias is left out: batch norm subtracts it again.
            layers.append(nn.Conv2d(wide, narrow, 3, stride=stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Representations (N, output_dim) of images (N, C, H, W)."""
        maps: Tensor = self.layers(channels_last(images))
        return spatial_mean(maps)


class PerceptronEncoder(nn.Module):
    """The flattened pixels through two hidden layers, each with batch norm and ReLU."""

    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        self.output_dim = width
        self.layers = nn.Sequential(
            *(nn.Flatten(), nn.Linear(pixels, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)),
            *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Representations (N, output_dim) of images (N, C, H, W)."""
        representations: Tensor = self.layers(images)
        return representations


def channels_last(images: Tensor) -> Tensor:
    """The same images (N, C, H, W) laid out channels last, which a CPU convolves 1.4 times as fast.

    With one channel both layouts are the same memory; torch then keeps the strides it finds, which its
    convolutions read as the slower layout. So the strides are written out.
    """
    _, channels, height, width = images.shape
    images = images.contiguous(memory_format=torch.channels_last)
    if channels > 1:
        return images
    return images.as_strided(images.shape, (height * width, 1, width, 1), images.storage_offset())


def spatial_mean(maps: Tensor) -> Tensor:
    """The mean (N, C) over maps (N, C, H, W).

    The same bits as `maps.mean`, whose gradient is laid out so that the ReLU before it takes ten times as long on a
    CPU with maps that are channels last.
    """
    return maps.sum(dim=(2, 3)) / (maps.shape[2] * maps.shape[3])


def conv_narrow(image_size: int, channels: int) -> ConvolutionalEncoder:
    """16-32-64 channels."""
    return ConvolutionalEncoder(channels, (16, 32, 64), _strides(image_size))


def conv_small(image_size: int, channels: int) -> ConvolutionalEncoder:
    """32-64-128 channels: four times the arithmetic of `conv_narrow`."""
    return ConvolutionalEncoder(channels, (32, 64, 128), _strides(image_size))


def conv32(image_size: int, channels: int) -> ConvolutionalEncoder:
    """16-32-64-128 channels, each layer halving the map: 16, 8, 4 and 2 pixels wide at 32 px."""
    return ConvolutionalEncoder(channels, (16, 32, 64, 128), (2, 2, 2, 2))


def mlp(image_size: int, channels: int) -> PerceptronEncoder:
    """Two hidden layers of 256."""
    return PerceptronEncoder(image_size * image_size * channels, _MLP_WIDTH)


def _strides(image_size: int) -> tuple[int, int, int]:
    """Below 16 px the first layer keeps the resolution; the last map is 2 x 2 at 8 px, 4 x 4 at 32."""
    return (1, 2, 2) if image_size < 16 else (2, 2, 2)
