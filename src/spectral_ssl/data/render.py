"""Images drawn from four factors, each of four levels, and continuous nuisances: a batch at once, on any device.

A coloured shape lies in one quadrant of a textured grey ground. The shapes have equal areas and the colours
equal means over the channels, so that an image's mean brightness tells neither.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spectral_ssl.data.augment.stage import Parameters, per_sample, uniform
from spectral_ssl.errors import UserError

LEVELS = 4
# Codes 0..3 of each factor, in the order of the columns.
FACTORS: dict[str, tuple[str, str, str, str]] = {
    "shape": ("disc", "square", "triangle", "cross"),
    "colour": ("red", "green", "cyan", "violet"),
    "texture": ("plain", "stripes", "checks", "dots"),
    "position": ("top left", "top right", "bottom left", "bottom right"),
}
# Lengths are fractions of the image's side.
RADIUS = 0.18  # of the disc, whose area every shape has
OFFSET = 0.2  # from the image's centre to a quadrant's, along each axis
PERIODS = 3  # of the texture along each side: 2.7 pixels each in the smallest image, of 8
CONTRAST = 0.14  # the texture's amplitude
CHROMA = 0.45  # amplitude over the channels; their mean is 1/2


def nuisances(n: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw what varies between images of the same factors, on the generator's device.

    Returns:
        `shift` (n, 2) along x and y, fractions of the side; `scale` (n,); `angle` (n,) radians, clockwise;
        `brightness` (n,), a factor of the colour; `background` (n,) grey level; `phase` (n, 2) of the texture
        along x and y, radians; `noise` (n, 3, size, size), added to the pixels.
    """
    return {
        "shift": uniform(n, -0.04, 0.04, generator, 2),
        "scale": uniform(n, 0.85, 1.1, generator),
        "angle": uniform(n, -0.2, 0.2, generator),
        "brightness": uniform(n, 0.7, 1.0, generator),
        "background": uniform(n, 0.6, 0.85, generator),
        "phase": uniform(n, -math.pi / 2, math.pi / 2, generator, 2),
        "noise": torch.randn(n, 3, size, size, generator=generator, device=generator.device).mul_(0.03),
    }


def render(factors: Tensor, parameters: Parameters, size: int) -> Tensor:
    """Draw images of the given factors and nuisances.

    Args:
        factors: (N, 4) int64 codes, columns and levels as in `FACTORS`.
        parameters: from `nuisances`, N rows each, on the device of the factors; other names are ignored.
        size: side of the images, in pixels.

    Returns:
        (N, 3, size, size) float32 in [0, 1].

    Raises:
        UserError: factors of another shape or type, or, on a CPU, codes outside 0..3.
    """
    _check(factors)
    shape, colour, texture, position = factors.unbind(1)
    across = (torch.arange(size, device=factors.device, dtype=torch.float32) + 0.5) / size
    covered = _shape(shape, _centre(position) + parameters["shift"], across, parameters)
    ground = _texture(texture, across, parameters["phase"]).mul_(CONTRAST)
    ground += parameters["background"].view(-1, 1, 1)
    ink = per_sample(parameters["brightness"]) * _ink(colour)
    images = torch.lerp(ground.unsqueeze(1), ink, covered.unsqueeze(1))
    return images.add_(parameters["noise"]).clamp_(0, 1)


def _centre(position: Tensor) -> Tensor:
    """The quadrants' centres (N, 2), x to the right and y down, in [0, 1]."""
    right_down = torch.stack((position % 2, position // 2), 1)
    return 0.5 + OFFSET * (2 * right_down - 1)


def _ink(colour: Tensor) -> Tensor:
    """Colours (N, 3, 1, 1), hues a quarter turn apart, with mean 1/2 over the channels."""
    channel = torch.arange(3, device=colour.device) * (2 * math.pi / 3)
    hue = colour.unsqueeze(1) * (math.pi / 2)
    return (0.5 + CHROMA * torch.cos(hue - channel)).view(-1, 3, 1, 1)


def _shape(shape: Tensor, centre: Tensor, across: Tensor, parameters: Parameters) -> Tensor:
    """How much of each pixel the shape covers: (N, size, size) in [0, 1]."""
    x = (across - centre[:, :1]).unsqueeze(1)
    y = (across - centre[:, 1:]).unsqueeze(2)
    angle, scale = (parameters[name].view(-1, 1, 1) for name in ("angle", "scale"))
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # The shape's own coordinates, in which it is upright and of the size that the constants give.
    u, v = x * cos + y * sin, y * cos - x * sin
    # The edge is a ramp of one pixel about the zero of the distance, measured in pixels.
    return (0.5 - _distance(shape, u, v) * (scale * len(across))).clamp_(0, 1)


def _distance(shape: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Signed distances (N, size, size) to the shapes' edges, negative inside; u to the right and v down.

    Outside a corner they are too small, being a maximum over edges; near an edge and inside they are exact.
    """
    area = math.pi * RADIUS**2
    side = math.sqrt(area) / 2
    tip = (
        math.sqrt(area / 3**1.5 * 4) / 4
    )  # a quarter of the circumradius, the triangle's half-height being 3
    arm = math.sqrt(area / 20)  # half the width of the cross's arms; they are three times as long as wide
    beside, below = u.abs(), v.abs()
    longer, shorter = torch.maximum(beside, below), torch.minimum(beside, below)
    return _chosen(
        shape,
        torch.hypot(u, v) - RADIUS,
        longer - side,
        torch.maximum(v - 3 * tip, math.sqrt(0.75) * beside - (0.5 * v + 1.5 * tip)),
        torch.maximum(longer - 3 * arm, shorter - arm),
    )


def _texture(texture: Tensor, across: Tensor, phase: Tensor) -> Tensor:
    """The ground's variation (N, size, size) in [-1, 1]."""
    waves = torch.cos(2 * math.pi * PERIODS * across + phase.unsqueeze(2))
    along_x, along_y = waves[:, :1], waves[:, 1:].transpose(1, 2)
    stripes, checks = along_x.expand(-1, len(across), -1), along_x * along_y
    dots = along_x + along_y - 1
    return _chosen(texture, torch.zeros_like(checks), 2 * stripes, 2 * checks, 2 * dots).clamp_(-1, 1)


def _chosen(code: Tensor, *levels: Tensor) -> Tensor:
    """Of each sample the level that its code (N,) names; all levels (N, size, size)."""
    rows = torch.arange(len(code), device=code.device)
    return torch.stack(levels)[code, rows]


def _check(factors: Tensor) -> None:
    names = ", ".join(FACTORS)
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.dtype != torch.int64:
        raise UserError(
            f"factors of shape {tuple(factors.shape)}, {factors.dtype}; expected (N, {len(FACTORS)}) "
            f"torch.int64, columns {names}: take those of the data set 'factors'"
        )
    # An accelerator would have to be waited for; there the indexing itself fails.
    if factors.device.type == "cpu" and len(factors) and not 0 <= factors.min() <= factors.max() < LEVELS:
        raise UserError(
            f"factors from {int(factors.min())} to {int(factors.max())}; expected codes 0 to {LEVELS - 1} of "
            f"{names}: take those of the data set 'factors'"
        )
