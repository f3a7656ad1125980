"""Separable linear maps of images: one matrix a sample along the rows and one along the columns.

Cropping with resizing, and blurring, are both of this kind, so two batched matrix products do either for a
whole batch in which every sample has its own box or its own width.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
# Lines so short that the weights of all boxes take no more than this are computed once and looked up: 8 MiB at 32 px.
TABLE_BYTES = 8 << 20


def separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Map images (N, C, H, W) by `rows` (N, P, H) and `columns` (N, Q, W) to (N, C, P, Q)."""
    n, channels, height, width = images.shape
    target = (rows.shape[1], columns.shape[1])
    # A sample's channels share one product with the columns. For the rows their matrix is repeated: moving the
    # channels between the images' other axes and back would touch more memory.
    lines = torch.bmm(images.reshape(n, channels * height, width), columns.transpose(1, 2))
    rows = rows.unsqueeze(1).expand(n, channels, target[0], height).reshape(n * channels, target[0], height)
    return torch.bmm(rows, lines.view(n * channels, height, target[1])).view(n, channels, *target)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution kernel at distance >= 0; zero beyond 2."""
    # The outer piece a (d - 1) (d - 2)^2 ends at 2; what the inner piece adds to it has the factor 1 - d.
    inner = (1 - distance).clamp_min_(0)
    outer = (2 - distance).clamp_min_(0)
    inner *= ((1 - 4 * a) - 2 * distance) * distance + (1 + 4 * a)
    return inner.addcmul_((distance - 1) * a, outer.square_())


def interpolation_matrix(
    start: Tensor,
    length: Tensor,
    source: int,
    target: int,
    *,
    interpolation: str,
    antialias: bool = True,
    mirror: Tensor | None = None,
) -> Tensor:
    """Weights that crop [start, start + length) out of a line of pixels and resize it.

    The weights are those of PyTorch's `interpolate(..., align_corners=False)` on the cropped line: pixels
    outside the box never contribute. With antialiasing the kernel widens when it shrinks the line, is cut
    at the box's ends and renormalised, and the cubic kernel has a = -0.5 (as in Pillow); without it the
    kernel keeps its width, the ends are repeated, and a = -0.75.

    Args:
        start: (N,) first pixel of each box, integral values.
        length: (N,) pixels in each box, integral values, at least 1.
        source: length of the whole line, in pixels.
        target: length of the result, in pixels.
        interpolation: "bilinear" or "bicubic".
        antialias: whether the kernel widens with the reduction.
        mirror: (N,) booleans: reverse the result.

    Returns:
        (N, target, source) float32; every row sums to 1.
    """
    if 8 * source**3 * target <= TABLE_BYTES:
        box = start * source + (length - 1)
        if mirror is not None:
            box = box + mirror * source**2
        return _table(source, target, interpolation, antialias, start.device).index_select(0, box.long())
    return _weights(start, length, source, target, interpolation, antialias, mirror)


@cache
def _table(source: int, target: int, interpolation: str, antialias: bool, device: torch.device) -> Tensor:
    """The matrices (2 source^2, target, source) of all boxes: mirrored or not, start by start, length by length.

    Boxes that leave the line are cut at its end.
    """
    numbers = torch.arange(2 * source**2, device=device)
    mirror, start, length = numbers >= source**2, numbers // source % source, numbers % source + 1
    length = torch.minimum(length, source - start)
    return _weights(start, length, source, target, interpolation, antialias, mirror)


def _weights(
    start: Tensor,
    length: Tensor,
    source: int,
    target: int,
    interpolation: str,
    antialias: bool,
    mirror: Tensor | None,
) -> Tensor:
    start, length = (value.to(torch.float32).view(-1, 1, 1) for value in (start, length))
    # No box is longer than the line, so the number of taps is known without looking at the boxes.
    widest = max(source / target, 1.0) if antialias else 1.0
    support = SUPPORT[interpolation]
    taps = math.ceil(2 * support * widest) + 1
    reduction = length / target
    stretch = reduction.clamp_min(1.0) if widest > 1 else 1.0
    outputs = torch.arange(target, device=start.device, dtype=torch.float32).view(1, -1, 1)
    if mirror is not None:
        outputs = torch.where(mirror.view(-1, 1, 1), target - 1 - outputs, outputs)
    centre = (outputs + 0.5) * reduction
    first = (centre - support * stretch + 0.5).floor_()
    tap = torch.arange(taps, device=start.device, dtype=torch.float32)
    pixel = first + tap
    distance = (first + 0.5 - centre) + tap
    distance = (distance.div_(stretch) if widest > 1 else distance).abs_()
    if interpolation == "bilinear":
        weight = (1 - distance).clamp_min_(0)
    else:
        weight = _cubic(distance, -0.5 if antialias else -0.75)
    position = torch.minimum(pixel.clamp_min(0), length - 1)
    if antialias:
        weight.mul_(pixel.eq_(position))  # 1 within the box, 0 outside
        weight.div_(weight.sum(2, keepdim=True))
    matrix = torch.zeros(len(start), target, source, device=start.device)
    return matrix.scatter_add_(2, position.add_(start).long(), weight)


def blur_matrix(sigma: Tensor, size: int, kernel: int) -> Tensor:
    """Weights of a Gaussian blur of a line of pixels, reflected at its ends without repeating the end pixel.

    Args:
        sigma: (N,) standard deviation of each sample's kernel, in pixels.
        size: length of the line, in pixels; more than kernel // 2.
        kernel: number of taps, odd.

    Returns:
        (N, size, size) float32; every row sums to 1.
    """
    offset = torch.arange(kernel, device=sigma.device) - kernel // 2
    # exp(-x^2 / (2 sigma^2)), normalised over the taps.
    weight = torch.softmax(-0.5 * (offset.to(sigma.dtype) / sigma.unsqueeze(1)).square(), dim=1)
    position = (torch.arange(size, device=sigma.device).unsqueeze(1) + offset).abs()
    position = size - 1 - (size - 1 - position).abs()
    shape = (len(sigma), size, kernel)
    matrix = torch.zeros(len(sigma), size, size, device=sigma.device)
    return matrix.scatter_add_(2, position.expand(shape), weight.unsqueeze(1).expand(shape))
