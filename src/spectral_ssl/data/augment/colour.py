"""Colour jitter, greyscale and solarisation of images in [0, 1]; a single channel has no colour to change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from spectral_ssl.data.augment.stage import (
    Parameters,
    bernoulli,
    constant,
    on_selected,
    per_sample,
    uniform,
)

# ITU-R 601-2 luma, with torchvision's digits.
LUMA = (0.2989, 0.587, 0.114)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def luma(images: Tensor) -> Tensor:
    """Grey level of images (N, C, H, W): (N, 1, H, W). A single channel is its own grey level."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return red.mul(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def greyscale(images: Tensor) -> Tensor:
    """Replace every channel by the grey level."""
    return luma(images).expand_as(images)


def solarise(images: Tensor, threshold: float = 0.5) -> Tensor:
    """Invert the pixels at or above the threshold."""
    return torch.where(images >= threshold, 1 - images, images)


def blend_(images: Tensor, weights: Tensor) -> Tensor:
    """Replace x by clamp(a x + b luma(x) + c mean(luma(x))), in place; weights (N, 3): a, b, c."""
    own, grey, mean = weights.unbind(1)
    level = luma(images)
    shift = level.mean((1, 2, 3)) * mean
    # Two passes: an addcmul of two numbers a sample is not vectorised on a CPU.
    shift = torch.mul(level, per_sample(grey)).add_(per_sample(shift))
    return torch.addcmul(shift, images, per_sample(own), out=images).clamp_(0, 1)


def rotate_hue_(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue of images (N, 3, H, W) by `turns` (N,) in [-0.5, 0.5], in place.

    HSV's saturation and value are kept, and the place on the hexagon of hues is found without asking which
    channel is the largest: in sixths of a turn from red it is 1 + (g + b - r - min) / (max - min) where g >= b,
    and minus that elsewhere. From a place h in turns red is min + (max - min) clamp(6 |h - 1/2| - 1, 0, 1), green
    and blue min + (max - min) clamp(2 - 6 |h - c|, 0, 1) with c = 1/3 and 2/3.
    """
    red, green, blue = images.unbind(1)
    high = torch.maximum(red, green)
    low = torch.minimum(red, green)
    torch.maximum(high, blue, out=high)
    torch.minimum(low, blue, out=low)
    hue = (green + blue).sub_(red).sub_(low)
    chroma = high - low
    red_base, base = low.sub_(chroma), high.add_(chroma)
    chroma.mul_(6)
    # Grey pixels have no hue: any finite value will do.
    hue.mul_(chroma.clamp_min(1e-11).reciprocal_()).add_(1 / 6)
    # A turn more keeps the place positive, so that its fraction is within [0, 1).
    hue.copysign_(green - blue).add_((turns + 1).view(-1, 1, 1)).frac_()
    for channel, centre, start, sign in (
        (red, 1 / 2, red_base, 1),
        (green, 1 / 3, base, -1),
        (blue, 2 / 3, base, -1),
    ):
        distance = (hue - centre).abs_().clamp_(1 / 6, 1 / 3)
        torch.addcmul(start, chroma, distance, value=sign, out=channel)
    return images


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale images (N, C, H, W) by `factor` (N,), clamped to [0, 1]."""
    zero = torch.zeros_like(factor)
    return blend_(images.clone(), torch.stack((factor, zero, zero), 1))


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with its mean grey level: factor (N,) 0 is uniform grey, 1 the image."""
    return blend_(images.clone(), torch.stack((factor, torch.zeros_like(factor), 1 - factor), 1))


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with its greyscale version: factor (N,) 0 is greyscale, 1 the image."""
    return blend_(images.clone(), torch.stack((factor, 1 - factor, torch.zeros_like(factor)), 1))


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue by `turns` (N,) of the colour circle; a single channel stays as it is."""
    return images.clone() if images.shape[1] == 1 else rotate_hue_(images.clone(), turns)


def colour_jitter(images: Tensor, factors: Tensor, order: Tensor, selected: Tensor | None = None) -> Tensor:
    """Apply brightness, contrast, saturation and hue, each sample in its own order; may overwrite `images`.

    Brightness, contrast and saturation are one formula with different weights, so one pass over the batch
    does a different one for each sample. Only the hue stands apart: first come the passes that precede it,
    then the hue, then the others. A CPU sorts the samples by the hue's place, so that a pass touches those
    that need it; an accelerator, which would have to wait for their number, gives the others the weights of
    the identity.

    Args:
        images: (N, C, H, W) in [0, 1].
        factors: (N, 4) factors of brightness, contrast and saturation, and the hue's turns.
        order: (N, 4) permutations of those columns: order[i, k] is what sample i does k-th.
        selected: (N,) booleans: who is jittered; by default all.
    """
    if selected is None:
        selected = torch.ones(len(images), dtype=torch.bool, device=images.device)
    if images.shape[1] == 1:
        return on_selected(images, selected, _jitter_single_channel, factors, order)
    if images.device.type != "cpu":
        return on_selected(images, selected, _jitter, factors, order)
    place = order.argsort(1)[:, HUE].masked_fill(~selected, 4)
    index = place.argsort()
    upto = torch.bincount(place, minlength=5).cumsum(0).tolist()
    jittered = index[: upto[HUE]]
    images = images.index_select(0, index)
    _jitter(images[: upto[HUE]], factors[jittered], order[jittered], upto[:HUE])
    return images.index_select(0, index.argsort())  # half the time of index_copy_


def _blend_weights(factors: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, 3 passes, 3) of image, luma and mean luma; how many passes precede the hue (N,)."""
    place = order.argsort(1)
    operation = place[:, :HUE].argsort(1)
    factor = factors.gather(1, operation)
    rest = 1 - factor
    weights = torch.stack((factor, rest * (operation == SATURATION), rest * (operation == CONTRAST)), 2)
    return weights, place[:, HUE]


def _jitter(images: Tensor, factors: Tensor, order: Tensor, first: list[int] | None = None) -> Tensor:
    """Jitter colour images in place; if sorted by the hue's place, the first first[k] have it at most k."""
    weights, place = _blend_weights(factors, order)
    identity = constant((1.0, 0.0, 0.0), weights.device)
    for before in (True, False):
        for k in range(HUE):
            if first is None:
                mine = (place > k) if before else (place <= k)
                blend_(images, torch.where(mine.unsqueeze(1), weights[:, k], identity))
            else:
                part = slice(first[k], None) if before else slice(first[k])
                blend_(images[part], weights[part, k])
        if before:
            rotate_hue_(images, factors[:, HUE])
    return images


def _jitter_single_channel(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Jitter grey images in place: they are their luma, so saturation's weights add up to the identity."""
    weights, _ = _blend_weights(factors, order)
    for k in range(HUE):
        own, grey, mean = weights[:, k].unbind(1)
        blend_(images, torch.stack((own + grey, torch.zeros_like(grey), mean), 1))
    return images


@dataclass(frozen=True)
class ColourJitter:
    """Colour jitter with probability `probability`, in a random order for each sample.

    Parameters: `jitter` (n,) booleans, `jitter_factors` (n, 4): brightness, contrast and saturation factors
    and the hue's turns, and `jitter_order` (n, 4) permutations.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float = 0.8

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw who is jittered, by how much and in which order; see `Stage`."""
        strengths = (self.brightness, self.contrast, self.saturation)
        columns = [uniform(n, max(0.0, 1 - strength), 1 + strength, generator) for strength in strengths]
        columns.append(uniform(n, -self.hue, self.hue, generator))
        return {
            "jitter": bernoulli(n, self.probability, generator),
            "jitter_factors": torch.stack(columns, 1),
            "jitter_order": uniform(n, 0.0, 1.0, generator, 4).argsort(1),
        }

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Jitter the selected samples; see `Stage`."""
        factors, order = parameters["jitter_factors"], parameters["jitter_order"]
        return colour_jitter(images, factors, order, parameters["jitter"])


@dataclass(frozen=True)
class Greyscale:
    """Greyscale with a probability. Parameters: `greyscale` (n,) booleans."""

    probability: float = 0.2

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw who turns grey; see `Stage`."""
        return {"greyscale": bernoulli(n, self.probability, generator)}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Turn the selected samples grey; see `Stage`."""
        return on_selected(images, parameters["greyscale"], greyscale) if images.shape[1] > 1 else images


@dataclass(frozen=True)
class Solarise:
    """Solarisation with a probability. Parameters: `solarise` (n,) booleans."""

    probability: float
    threshold: float = 0.5

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw who is solarised; see `Stage`."""
        return {"solarise": bernoulli(n, self.probability, generator)}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Solarise the selected samples; see `Stage`."""
        return on_selected(images, parameters["solarise"], partial(solarise, threshold=self.threshold))
