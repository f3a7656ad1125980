"""Whole augmentations against a chain of torchvision's operations on one image at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from spectral_ssl.data.augment.blur import tenth_of
from spectral_ssl.data.views import get_augmentation

N = 40
MODES = {
    "simclr": InterpolationMode.BICUBIC,
    "byol": InterpolationMode.BICUBIC,
    "byol_cifar": InterpolationMode.BICUBIC,
    "haochen": InterpolationMode.BILINEAR,
    "haochen_bicubic": InterpolationMode.BICUBIC,
    "crop_flip": InterpolationMode.BILINEAR,
}
STEPS = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
    reference.adjust_hue,
)


def chain(image: Tensor, parameters: dict[str, Tensor], size: int, mode: InterpolationMode) -> Tensor:
    """One float image through torchvision, with one row of the parameters."""
    channels, height, width = image.shape
    box = (parameters["crop"] * torch.tensor([height, width, height, width])).round().int().tolist()
    image = reference.resized_crop(image, *box, size=[size, size], interpolation=mode, antialias=True)
    image = image.clamp(0, 1)
    if parameters["flip"]:
        image = reference.horizontal_flip(image)
    if parameters.get("jitter", False):
        for step in parameters["jitter_order"].tolist():
            image = STEPS[step](image, float(parameters["jitter_factors"][step]))
    if parameters.get("greyscale", False):
        image = reference.rgb_to_grayscale(image, channels)
    if parameters.get("blur", False):
        image = reference.gaussian_blur(image, [tenth_of(size)] * 2, [float(parameters["blur_sigma"])] * 2)
    if parameters.get("solarise", False):
        image = reference.solarize(image, 0.5)
    return image


@pytest.mark.parametrize(("source", "size"), [((32, 32), 32), ((8, 8), 32), ((50, 37), 24)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("name", MODES)
def test_chain(name: str, view: int, channels: int, source: tuple[int, int], size: int) -> None:
    generator = torch.Generator().manual_seed(11)
    images = torch.randint(0, 256, (N, channels, *source), dtype=torch.uint8, generator=generator)
    augmentation = get_augmentation(name, size, channels, view=view, normalisation="none")
    parameters = augmentation.sample(N, generator=generator, source=source)
    views = augmentation.apply(images, parameters)
    expected = torch.stack(
        [
            chain(images[i] / 255, {key: value[i] for key, value in parameters.items()}, size, MODES[name])
            for i in range(N)
        ]
    )
    assert (views - expected).abs().max() < 2e-4
    shifted = augmentation.apply(images.roll(1, 0), parameters)
    assert (shifted - expected).abs().max() > 0.2


def test_rows_of_channels_last_arrays_give_the_same_views() -> None:
    """Arrays on disk are (N, H, W, C): permuted, they need no copy."""
    generator = torch.Generator().manual_seed(2)
    arrays = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8, generator=generator)
    permuted = arrays.permute(0, 3, 1, 2)
    assert not permuted.is_contiguous()
    for name in ("none", "byol", "digits_affine"):
        augmentation = get_augmentation(name, 32, 3)
        parameters = augmentation.sample(6, generator=generator)
        views = augmentation.apply(permuted, parameters)
        assert torch.equal(views, augmentation.apply(permuted.contiguous(), parameters))
        assert views.is_contiguous()


@pytest.mark.parametrize("name", ["simclr", "digits_affine"])
def test_autocast_does_not_touch_the_views(name: str) -> None:
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    augmentation = get_augmentation(name, 32, 3)
    parameters = augmentation.sample(6, generator=torch.Generator().manual_seed(1))
    views = augmentation.apply(images, parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augmentation.apply(images, parameters), views)
