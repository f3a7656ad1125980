"""Residual networks, from torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision import models

from spectral_ssl.models.convolutional import channels_last


class ResNetEncoder(nn.Module):
    """A torchvision ResNet without its last layer: images (N, C, H, W) to representations (N, output_dim)."""

    def __init__(self, trunk: nn.Module, output_dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.output_dim = output_dim

    def forward(self, images: Tensor) -> Tensor:
        """Representations (N, output_dim) of images (N, C, H, W)."""
        representations: Tensor = self.trunk(channels_last(images))
        return representations


def resnet18(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-18 with torchvision's stem; `_imagenet` says what that does to small images."""
    return _imagenet(models.resnet18(weights=None), 512, channels)


def resnet50(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-50 with torchvision's stem; `_imagenet` says what that does to small images."""
    return _imagenet(models.resnet50(weights=None), 2048, channels)


def resnet18_cifar(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-18 with the stem for small images."""
    return _cifar(models.resnet18(weights=None), 512, channels)


def resnet18_cifar_pad2(image_size: int, channels: int) -> ResNetEncoder:
    """The same with the first layer padded by 2 pixels, as one library (solo-learn) has it."""
    return _cifar(models.resnet18(weights=None), 512, channels, padding=2)


def resnet50_cifar(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-50 with the stem for small images."""
    return _cifar(models.resnet50(weights=None), 2048, channels)


def _imagenet(trunk: models.ResNet, output_dim: int, channels: int) -> ResNetEncoder:
    """The stem of He et al. (2016): 7x7, stride 2, and max-pool.

    The last map is 1/32 of the image: 7 x 7 at 224 px, 3 x 3 at 96 and 2 x 2 at 64, the smallest size taken. It is
    averaged whatever its size.
    """
    trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    trunk.fc = nn.Identity()
    return ResNetEncoder(trunk, output_dim)


def _cifar(trunk: models.ResNet, output_dim: int, channels: int, padding: int = 1) -> ResNetEncoder:
    """The stem for small images: 3x3, stride 1, padding 1, and no max-pool (HaoChen et al. 2021).

    The last map is 1/8 of the image, 4 x 4 at 32 px. With torchvision's stem and max-pool left in, a 32-pixel image
    shrinks to one pixel and CIFAR-10 sticks near 76 %. The last map is averaged whatever its size.
    """
    trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=padding, bias=False)
    trunk.maxpool = nn.Identity()
    trunk.fc = nn.Identity()
    return ResNetEncoder(trunk, output_dim)
