"""Residual networks, from torchvision."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models import resnet50 as torchvision_resnet50


class ResNetEncoder(nn.Module):
    """A torchvision ResNet without its last layer: images (N, C, H, W) to representations (N, output_dim)."""

    def __init__(self, trunk: nn.Module, output_dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.output_dim = output_dim

    def forward(self, images: Tensor) -> Tensor:
        """Representations (N, output_dim) of images (N, C, H, W)."""
        representations: Tensor = self.trunk(images)
        return representations


def resnet18_cifar(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-18 for small images: stem 3x3, stride 1, padding 1, and no max-pool (HaoChen et al. 2021).

    With torchvision's stem and max-pool left in, a 32-pixel image shrinks to one pixel and CIFAR-10 sticks
    near 76 %. `image_size` changes nothing: the last map is averaged whatever its size.
    """
    trunk = resnet18(weights=None)
    trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    trunk.maxpool = nn.Identity()
    trunk.fc = nn.Identity()
    return ResNetEncoder(trunk, 512)


def resnet50(image_size: int, channels: int) -> ResNetEncoder:
    """ResNet-50 with torchvision's stem (7x7, stride 2, max-pool); `image_size` changes nothing."""
    trunk = torchvision_resnet50(weights=None)
    trunk.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    trunk.fc = nn.Identity()
    return ResNetEncoder(trunk, 2048)
