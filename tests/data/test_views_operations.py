"""Each operation, given its parameters, against torchvision on one float image at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from spectral_ssl.data.augment.affine import affine, gain_and_noise
from spectral_ssl.data.augment.blur import gaussian_blur, tenth_of
from spectral_ssl.data.augment.colour import (
    _jitter,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    colour_jitter,
    greyscale,
    solarise,
)
from spectral_ssl.data.augment.crop import ResizedCentreCrop, horizontal_flip, resized_crop, sample_boxes
from spectral_ssl.data.augment.separable import interpolation_matrix
from spectral_ssl.data.augment.stage import on_selected

# What is promised; the tests ask for the closer agreement that float operations reach.
TOLERANCE = 1 / 255
N = 48
SHAPES = [(1, 8, 8), (3, 8, 8), (1, 32, 32), (3, 32, 32), (3, 17, 17), (3, 11, 26), (1, 26, 11)]
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def images(request: pytest.FixtureRequest) -> Tensor:
    """Noise, half of it quantised so that channels tie, with black, white, grey and primary patches."""
    generator = torch.Generator().manual_seed(sum(request.param))
    pixels = torch.rand(N, *request.param, generator=generator)
    pixels[::2] = (pixels[::2] * 3).round() / 3
    pixels[0], pixels[1], pixels[2] = 0.0, 1.0, 0.5
    pixels[3, 0] = 1.0
    return pixels


def draw(low: float, high: float, columns: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = (N,) if columns is None else (N, columns)
    return low + (high - low) * torch.rand(shape, generator=generator)


def close(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() <= tolerance


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("size", [(32, 32), (8, 8), (5, 13)])
def test_resized_crop(images: Tensor, interpolation: str, antialias: bool, size: tuple[int, int]) -> None:
    source = (images.shape[2], images.shape[3])
    generator = torch.Generator().manual_seed(3)
    boxes = sample_boxes(N, source, scale=(0.02, 1.0), ratio=(0.5, 2.0), generator=generator)
    boxes[0] = torch.tensor([0.0, 0.0, *source])
    boxes[1] = torch.tensor([source[0] - 1.0, source[1] - 1.0, 1.0, 1.0])
    found = resized_crop(images, boxes, size, interpolation=interpolation, antialias=antialias)
    expected = [
        reference.resized_crop(
            image, *map(int, box), size=list(size), interpolation=MODES[interpolation], antialias=antialias
        )
        for image, box in zip(images, boxes, strict=True)
    ]
    close(found, torch.stack(expected), 1e-5)


def test_resized_crop_sees_nothing_outside_the_box() -> None:
    inside = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    outside = inside.clone()
    outside[..., :3, :] = 7.0
    outside[..., :, 8:] = -7.0
    box = torch.tensor([[3.0, 2.0, 6.0, 6.0]])
    crops = [resized_crop(x, box, (8, 8), interpolation="bicubic") for x in (inside, outside)]
    assert torch.equal(*crops)
    moved = resized_crop(outside, box - torch.tensor([1.0, 0.0, 0.0, 0.0]), (8, 8), interpolation="bicubic")
    assert (moved - crops[0]).abs().max() > 1


def test_antialiasing_kernel_differs_from_the_other() -> None:
    start, length = torch.zeros(1), torch.full((1,), 8.0)
    pair = [
        interpolation_matrix(start, length, 8, 16, interpolation="bicubic", antialias=antialias)
        for antialias in (True, False)
    ]
    # a = -0.5 against a = -0.75 at a quarter of a pixel from the nearest sample.
    assert pair[0][0, 8, 4] == pytest.approx(0.8671875)
    assert pair[1][0, 8, 4] == pytest.approx(0.87890625)


def test_flip_in_the_crop_is_the_flip_of_the_crop(images: Tensor) -> None:
    flip = draw(0, 1) < 0.5
    expected = [
        reference.horizontal_flip(image) if chosen else image
        for image, chosen in zip(images, flip, strict=True)
    ]
    close(horizontal_flip(images, flip), torch.stack(expected), 0)
    height, width = images.shape[2:]
    boxes = torch.tensor([[1.0, 2.0, height - 3.0, width - 2.0]]).expand(N, 4)
    crop = resized_crop(images, boxes, (9, 10))
    close(resized_crop(images, boxes, (9, 10), flip=flip), horizontal_flip(crop, flip), 1e-6)


@pytest.mark.parametrize("side", [(32, 32), (24, 40), (8, 8)])
def test_resized_centre_crop(side: tuple[int, int]) -> None:
    pixels = torch.rand(4, 3, *side, generator=torch.Generator().manual_seed(1))
    found = ResizedCentreCrop(32, resize=40, interpolation="bilinear").apply(pixels, {})
    expected = reference.center_crop(reference.resize(pixels, [40], antialias=True), [32, 32])
    close(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (adjust_brightness, reference.adjust_brightness, 0.0, 2.5),
        (adjust_contrast, reference.adjust_contrast, 0.0, 2.5),
        (adjust_saturation, reference.adjust_saturation, 0.0, 2.5),
        (adjust_hue, reference.adjust_hue, -0.5, 0.5),
    ],
)
def test_colour(images: Tensor, ours, theirs, low: float, high: float) -> None:  # type: ignore[no-untyped-def]
    factor = draw(low, high)
    factor[:3] = torch.tensor([low, high, 0.0])
    before = images.clone()
    expected = torch.stack([theirs(image, float(value)) for image, value in zip(images, factor, strict=True)])
    close(ours(images, factor), expected, 2e-5)
    assert torch.equal(images, before)
    if images.shape[1] == 1 and ours in (adjust_saturation, adjust_hue):
        close(expected, images, 1e-6)


def reference_jitter(image: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    steps = (
        reference.adjust_brightness,
        reference.adjust_contrast,
        reference.adjust_saturation,
        reference.adjust_hue,
    )
    for step in order.tolist():
        image = steps[step](image, float(factors[step]))
    return image


def all_orders() -> Tensor:
    """The 24 permutations of 4, twice, shuffled: N = 48."""
    orders = torch.cartesian_prod(*[torch.arange(4)] * 4)
    orders = orders[orders.sort(1).values.eq(torch.arange(4)).all(1)]
    return torch.cat((orders, orders))[torch.randperm(N, generator=torch.Generator().manual_seed(2))]


def test_colour_jitter_in_every_order(images: Tensor) -> None:
    factors = torch.cat((draw(0.2, 1.8, 3), draw(-0.2, 0.2, 1)), 1)
    order = all_orders()
    expected = torch.stack([reference_jitter(*sample) for sample in zip(images, factors, order, strict=True)])
    # The hue of nearly grey pixels amplifies rounding, but not their colour.
    close(colour_jitter(images.clone(), factors, order), expected, 1e-4)
    if images.shape[1] == 3:
        # The accelerators' route: every pass on every sample.
        close(_jitter(images.clone(), factors, order), expected, 1e-4)
        wrong = colour_jitter(images.clone(), factors, order.flip(1))
        assert (wrong - expected).abs().max() > 10 * TOLERANCE


def test_greyscale_and_solarise(images: Tensor) -> None:
    channels = images.shape[1]
    expected = torch.stack([reference.rgb_to_grayscale(image, channels) for image in images])
    close(greyscale(images), expected, 1e-6)
    expected = torch.stack([reference.solarize(image, 0.5) for image in images])
    close(solarise(images), expected, 0)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_gaussian_blur(images: Tensor, kernel: int) -> None:
    sigma = draw(0.1, 2.0)
    expected = [
        reference.gaussian_blur(image, [kernel, kernel], [float(value)] * 2)
        for image, value in zip(images, sigma, strict=True)
    ]
    close(gaussian_blur(images, sigma, kernel=kernel), torch.stack(expected), 1e-5)


def test_blur_taps() -> None:
    assert [tenth_of(size) for size in (8, 32, 64, 96, 224)] == [3, 3, 7, 9, 23]


@pytest.mark.parametrize("sheared", [True, False])
def test_affine_with_equal_scales(images: Tensor, sheared: bool) -> None:
    angle, scale = draw(-1.0, 1.0), draw(0.6, 1.5)
    shear = draw(-0.5, 0.5, 2) * sheared
    shift = draw(-4, 4, 2).round()
    expected = [
        reference.affine(
            images[i],
            angle=math.degrees(angle[i]),
            translate=shift[i].tolist(),
            scale=float(scale[i]),
            shear=[math.degrees(value) for value in shear[i].tolist()],
            interpolation=InterpolationMode.BILINEAR,
        )
        for i in range(N)
    ]
    close(affine(images, angle, scale.unsqueeze(1).expand(N, 2), shear, shift), torch.stack(expected), 1e-4)


def test_affine_with_unequal_scales(images: Tensor) -> None:
    """An affine map is a perspective that moves three corners; the points are mapped forwards, in float64."""
    angle, scale, shear, shift = draw(-1, 1), draw(0.6, 1.5, 2), draw(-0.5, 0.5, 2), draw(-4, 4, 2)
    height, width = images.shape[2:]
    corners = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    expected = []
    for i in range(N):
        a, (sx, sy), (tx, ty) = float(angle[i]), scale[i].tolist(), shear[i].tan().tolist()
        rotate = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], dtype=torch.float64)
        shear_x = torch.tensor([[1, -tx], [0, 1]], dtype=torch.float64)
        shear_y = torch.tensor([[1, 0], [-ty, 1]], dtype=torch.float64)
        forward = rotate @ shear_y @ shear_x @ torch.diag(torch.tensor([sx, sy], dtype=torch.float64))
        moved = (corners - centre) @ forward.T + centre + shift[i].double()
        expected.append(
            reference.perspective(
                images[i], corners.tolist(), moved.tolist(), interpolation=InterpolationMode.BILINEAR
            )
        )
    found = affine(images, angle, scale, shear, shift)
    # torchvision's perspective solves for its coefficients in float32.
    close(found, torch.stack(expected), 1e-3)
    assert (affine(images, angle, scale.flip(1), shear, shift) - found).abs().max() > 10 * TOLERANCE


def test_gain_and_noise(images: Tensor) -> None:
    gain, noise = draw(0.5, 1.5), torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    expected = [reference.to_dtype(x) * float(g) + e for x, g, e in zip(images, gain, noise, strict=True)]
    close(gain_and_noise(images, gain, noise), torch.stack(expected), 1e-6)


def test_only_the_selected_change(images: Tensor) -> None:
    selected = draw(0, 1) < 0.3
    found = on_selected(images.clone(), selected, solarise)
    expected = torch.where(selected.view(-1, 1, 1, 1), solarise(images), images)
    close(found, expected, 0)
    factors = torch.cat((draw(0.2, 1.8, 3), draw(-0.2, 0.2, 1)), 1)
    order = all_orders()
    expected = torch.where(selected.view(-1, 1, 1, 1), colour_jitter(images.clone(), factors, order), images)
    close(colour_jitter(images.clone(), factors, order, selected), expected, 1e-5)
    nobody = torch.zeros(N, dtype=torch.bool)
    close(on_selected(images.clone(), nobody, solarise), images, 0)
    close(colour_jitter(images.clone(), factors, order, nobody), images, 0)
