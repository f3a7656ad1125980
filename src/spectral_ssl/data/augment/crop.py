"""Random resized crop and horizontal flip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from spectral_ssl.data.augment.separable import interpolation_matrix, separable
from spectral_ssl.data.augment.stage import Parameters, bernoulli, constant, uniform

TRIES = 10


def sample_boxes(
    n: int,
    source: tuple[int, int],
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Draw crop boxes with the distribution of torchvision's `RandomResizedCrop`.

    Ten times an area share uniform in `scale` and a log-uniform aspect ratio (width over height) in
    `ratio`; the first pair that fits in the image wins, at a uniform position. If none fits, the largest
    central box whose aspect is within `ratio`.

    Returns:
        (n, 4) float32, integral: top, left, height, width in pixels.
    """
    rows, columns = source
    area = uniform(n, *scale, generator, TRIES) * (rows * columns)
    aspect = uniform(n, math.log(ratio[0]), math.log(ratio[1]), generator, TRIES).exp_()
    place = uniform(n, 0.0, 1.0, generator, 2)
    width = (area * aspect).sqrt_().round_()
    height = (area / aspect).sqrt_().round_()
    fits = (width > 0) & (width <= columns) & (height > 0) & (height <= rows)
    chosen = fits.int().argmax(1, keepdim=True)
    found = fits.any(1)
    shape = columns / rows
    fallback_width = float(round(rows * ratio[1])) if shape > ratio[1] else float(columns)
    fallback_height = float(round(columns / ratio[0])) if shape < ratio[0] else float(rows)
    width = torch.where(found, width.gather(1, chosen).squeeze(1), fallback_width)
    height = torch.where(found, height.gather(1, chosen).squeeze(1), fallback_height)
    free = torch.stack((rows - height, columns - width), 1)
    # A float32 uniform times free + 1 can round up to free + 1.
    corner = torch.minimum((place * (free + 1)).floor_(), free)
    corner = torch.where(found.unsqueeze(1), corner, (free / 2).floor_())
    return torch.cat((corner, torch.stack((height, width), 1)), 1)


def resized_crop(
    images: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    *,
    interpolation: str = "bilinear",
    antialias: bool = True,
    flip: Tensor | None = None,
) -> Tensor:
    """Crop each image to its own box and resize it, optionally mirrored; equals torchvision's `resized_crop`.

    Bicubic results can leave [0, 1], as torchvision's do on float tensors.

    Args:
        images: (N, C, H, W) float32.
        boxes: (N, 4) integral: top, left, height, width in pixels, inside the image.
        size: height and width of the result.
        interpolation: "bilinear" or "bicubic".
        antialias: whether the kernel widens where the image shrinks.
        flip: (N,) booleans: mirror the result left to right.
    """
    height, width = images.shape[-2:]
    corner, extent = boxes.split(2, dim=1)
    flip = torch.zeros_like(corner[:, 0], dtype=torch.bool) if flip is None else flip
    mirror = torch.stack((torch.zeros_like(flip), flip), 1)
    matrix = partial(interpolation_matrix, interpolation=interpolation, antialias=antialias)
    if height == width and size[0] == size[1]:
        # Rows and columns in one call: their weights are so few that calls are what costs.
        both = matrix(corner.flatten(), extent.flatten(), height, size[0], mirror=mirror.flatten())
        return separable(images, *both.view(-1, 2, size[0], height).unbind(1))
    rows, columns = (
        matrix(corner[:, side], extent[:, side], source, size[side], mirror=mirror[:, side])
        for side, source in enumerate((height, width))
    )
    return separable(images, rows, columns)


def horizontal_flip(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) whose entry of `flip` (N,) is true, left to right."""
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(3), images)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Random resized crop to a square and random flip; bicubic results are clamped to [0, 1], as in Pillow.

    Parameters: `crop` (n, 4), top, left, height and width as fractions of the image's sides, and `flip`
    (n,) booleans. Fractions keep parameters valid for images of another size: boxes snap to whole pixels
    when they are applied.
    """

    size: int
    scale: tuple[float, float]
    interpolation: str
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw boxes and flips; see `Stage`."""
        boxes = sample_boxes(n, source, scale=self.scale, ratio=self.ratio, generator=generator)
        sides = constant(source * 2, boxes.device)
        return {"crop": boxes / sides, "flip": bernoulli(n, self.flip, generator)}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Crop, resize and flip; see `Stage`."""
        boxes = pixel_boxes(parameters["crop"], (images.shape[2], images.shape[3]))
        size = (self.size, self.size)
        views = resized_crop(images, boxes, size, interpolation=self.interpolation, flip=parameters["flip"])
        return views.clamp_(0, 1) if self.interpolation == "bicubic" else views


def pixel_boxes(fractions: Tensor, source: tuple[int, int]) -> Tensor:
    """Snap boxes (N, 4), fractions of the image's sides, to whole pixels inside an image of size `source`."""
    sides = constant(source, fractions.device)
    extent = (fractions[:, 2:] * sides).round_().clamp_min_(1)
    corner = torch.minimum((fractions[:, :2] * sides).round_(), sides - extent)
    return torch.cat((corner, extent), 1)


@dataclass(frozen=True)
class ResizedCentreCrop:
    """Resize the shorter side to `resize` pixels, keep the central square of `size`: for test images."""

    size: int
    resize: int
    interpolation: str

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw nothing; see `Stage`."""
        return {}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Resize and crop; see `Stage`."""
        shape = (images.shape[2], images.shape[3])
        rows, columns = (self._weights(side, min(shape), images.device) for side in shape)
        views = rows @ (images @ columns.T)
        return views.clamp_(0, 1) if self.interpolation == "bicubic" else views

    def _weights(self, side: int, shorter: int, device: torch.device) -> Tensor:
        resized = self.resize * side // shorter
        margin = round((resized - self.size) / 2)
        start = torch.zeros(1, device=device)
        weights = interpolation_matrix(start, start + side, side, resized, interpolation=self.interpolation)
        return weights[0, margin : margin + self.size]
