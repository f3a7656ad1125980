"""Affine maps, gain and noise: the augmentations of images without colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.data.augment.stage import Parameters, constant, per_sample, uniform


def inverse_affine_matrix(angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    """The map from output to input coordinates, in pixels from the image's centre: (N, 2, 3) float32.

    The forward map is x -> R(angle) K(shear) diag(scale) x + shift, with K(a, b) = [[1, -tan a], [-tan b, 1
    + tan a tan b]]. With equal scales this is torchvision's `affine`; unequal scales act first, along the
    image's own axes.

    Args:
        angle: (N,) radians, clockwise on the screen (y points down).
        scale: (N, 2) magnification along x and y.
        shear: (N, 2) shear angles along x and y, radians.
        shift: (N, 2) pixels along x and y.
    """
    tan_x, tan_y = shear.tan().unbind(1)
    ones = torch.ones_like(tan_x)
    cos, sin = angle.cos(), angle.sin()
    # R and K have determinant 1 and are inverted entry by entry.
    unshear = torch.stack((ones + tan_x * tan_y, tan_x, tan_y, ones), 1).view(-1, 2, 2)
    unrotate = torch.stack((cos, sin, -sin, cos), 1).view(-1, 2, 2)
    linear = (unshear.unsqueeze(3) * unrotate.unsqueeze(1)).sum(2) / scale.unsqueeze(2)
    return torch.cat((linear, -(linear * shift.unsqueeze(1)).sum(2, keepdim=True)), 2)


def affine(images: Tensor, angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    """Rotate, scale, shear and shift each image about its centre, bilinear, zero outside.

    Args:
        images: (N, C, H, W) float32.
        angle, scale, shear, shift: as in `inverse_affine_matrix`.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=images.device, dtype=torch.float32) - (height - 1) / 2
    matrix = inverse_affine_matrix(angle, scale, shear, shift)
    # In grid_sample's coordinates -1 and 1 are the outer edges. No matrix product: its TF32 form on a GPU
    # would move points by a hundredth of a pixel.
    matrix = matrix / constant((width / 2, height / 2), matrix.device).view(1, 2, 1)
    along_x, along_y, offset = matrix.view(-1, 1, 1, 2, 3).unbind(4)
    grid = x.view(1, 1, -1, 1) * along_x + (y.view(1, -1, 1, 1) * along_y + offset)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def gain_and_noise(images: Tensor, gain: Tensor, noise: Tensor) -> Tensor:
    """Scale each image by its `gain` (N,) and add `noise` (N, C, H, W); not clamped."""
    return torch.addcmul(noise, images, per_sample(gain))


@dataclass(frozen=True)
class RandomAffine:
    """A random affine map of every sample; each value uniform in plus or minus the given bound.

    Parameters: `angle` (n,) and `shear` (n, 2) in radians, `scale` (n, 2), and `shift` (n, 2) as a fraction
    of the side.
    """

    angle: float
    scale: float
    shear: float
    shift: float

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the maps; see `Stage`."""
        return {
            "angle": uniform(n, -self.angle, self.angle, generator),
            "scale": uniform(n, 1 - self.scale, 1 + self.scale, generator, 2),
            "shear": uniform(n, -self.shear, self.shear, generator, 2),
            "shift": uniform(n, -self.shift, self.shift, generator, 2),
        }

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Map every sample; see `Stage`."""
        shift = parameters["shift"] * constant((images.shape[3], images.shape[2]), images.device)
        return affine(images, parameters["angle"], parameters["scale"], parameters["shear"], shift)


@dataclass(frozen=True)
class GainAndNoise:
    """A random gain and white noise. Parameters: `gain` (n,) and `noise` (n, channels, size, size)."""

    gain: float
    noise: float
    channels: int
    size: int

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw gains and noise; see `Stage`."""
        shape = (n, self.channels, self.size, self.size)
        noise = torch.randn(shape, generator=generator, device=generator.device).mul_(self.noise)
        return {"gain": uniform(n, 1 - self.gain, 1 + self.gain, generator), "noise": noise}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Scale every sample and add its noise; see `Stage`."""
        return gain_and_noise(images, parameters["gain"], parameters["noise"])
