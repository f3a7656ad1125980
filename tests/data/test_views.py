"""Presets, sampling and the contact sheet."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop as Reference

from spectral_ssl.data import views as module
from spectral_ssl.data.augment.colour import HUE, ColourJitter, Greyscale
from spectral_ssl.data.augment.crop import pixel_boxes, resized_crop, sample_boxes
from spectral_ssl.data.views import Augmentation, augmentation_names, contact_sheet, get_augmentation
from spectral_ssl.errors import UserError

# Those that draw images anew need factors: they have their own tests.
NAMES = [name for name in augmentation_names() if not name.startswith("factors")]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 12, channels: int = 3, size: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=seeded(5))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_every_preset(name: str, view: int, size: int, channels: int) -> None:
    augmentation = get_augmentation(name, size, channels, view=view)
    images = pictures(20, channels, size)
    before = images.clone()
    views = augmentation(images, generator=seeded())
    assert views.shape == (20, channels, size, size)
    assert views.dtype == torch.float32
    assert views.isfinite().all()
    assert torch.equal(images, before)
    assert torch.equal(views, augmentation(images, generator=seeded()))
    as_float = augmentation(images / 255, generator=seeded())
    assert (as_float - views).abs().max() < 1e-4
    assert (augmentation(images.double() / 255, generator=seeded()) - as_float).abs().max() < 1e-4
    random = name not in ("none", "centre_crop")
    assert torch.equal(views, augmentation(images, generator=seeded(1))) is not random
    pixels = augmentation.pixels(views)
    assert 0 <= pixels.min() <= pixels.max() <= 1
    assert pixels.std() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_view_depends_on_its_own_image_and_parameters_only(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    augmentation = get_augmentation(name, 32, 3)
    images = pictures(12)
    parameters = augmentation.sample(12, generator=seeded(2))
    together = augmentation.apply(images, parameters)
    alone = [
        augmentation.apply(images[i : i + 1], {key: value[i : i + 1] for key, value in parameters.items()})
        for i in range(12)
    ]
    assert (torch.cat(alone) - together).abs().max() < 1e-4
    monkeypatch.setattr(module, "CHUNK_BYTES", 5 * 3 * 32 * 32 * 4)
    assert (augmentation.apply(images, parameters) - together).abs().max() < 1e-4
    changed = images.clone()
    changed[3:] = 255 - changed[3:]
    assert (augmentation.apply(changed, parameters)[:3] - together[:3]).abs().max() < 1e-4
    assert not torch.equal(augmentation.apply(changed, parameters)[3:], together[3:])


def test_none_only_normalises() -> None:
    images = pictures()
    assert torch.equal(get_augmentation("none", 32, 3)(images, generator=seeded()), images / 255)
    augmentation = get_augmentation("none", 32, 3, normalisation="imagenet")
    views = augmentation(images, generator=seeded())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert (views - expected).abs().max() < 1e-5
    assert (augmentation.pixels(views) - images / 255).abs().max() < 1e-6


def test_presets_hold_the_printed_values() -> None:
    simclr, haochen = (get_augmentation(name, 32, 3) for name in ("simclr", "haochen"))
    assert ColourJitter(0.8, 0.8, 0.8, 0.2, probability=0.8) in simclr.stages
    assert ColourJitter(0.4, 0.4, 0.4, 0.1, probability=0.8) in haochen.stages
    assert Greyscale(0.2) in simclr.stages
    parameters = simclr.sample(20000, generator=seeded())
    crop, jitter = parameters["crop"], parameters["jitter_factors"]
    assert parameters["jitter"].float().mean() == pytest.approx(0.8, abs=0.015)
    assert parameters["greyscale"].float().mean() == pytest.approx(0.2, abs=0.015)
    assert parameters["flip"].float().mean() == pytest.approx(0.5, abs=0.015)
    assert (crop[:, 2] * crop[:, 3]).min() == pytest.approx(0.08, abs=0.02)
    low, high = jitter.min(0).values, jitter.max(0).values
    assert low.tolist() == pytest.approx([0.2, 0.2, 0.2, -0.2], abs=0.01)
    assert high.tolist() == pytest.approx([1.8, 1.8, 1.8, 0.2], abs=0.01)
    counts = torch.unique(parameters["jitter_order"], dim=0, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    byol = [get_augmentation("byol", 32, 3, view=view).sample(20000, generator=seeded()) for view in (0, 1)]
    assert [float(draw["blur"].float().mean()) for draw in byol] == pytest.approx([1.0, 0.1], abs=0.015)
    assert [float(draw["solarise"].float().mean()) for draw in byol] == pytest.approx([0.0, 0.2], abs=0.015)


def reference_boxes(
    n: int, source: tuple[int, int], scale: tuple[float, float], ratio: list[float]
) -> np.ndarray:
    image = torch.empty(1, *source)
    return np.array([Reference.get_params(image, scale, ratio) for _ in range(n)], dtype=float)


@pytest.mark.parametrize(
    ("source", "scale", "ratio"),
    [
        ((32, 32), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((32, 32), (0.2, 1.0), (3 / 4, 4 / 3)),
        ((8, 8), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((20, 48), (0.5, 1.0), (3 / 4, 4 / 3)),  # about half fall back to the central box
        ((48, 20), (0.9, 1.0), (3 / 4, 4 / 3)),  # all fall back
        ((32, 32), (1.0, 1.0), (1.1, 1.2)),  # all fall back, square image below the ratio's lower end
    ],
)
def test_crop_boxes_are_distributed_as_torchvision_s(
    source: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    n = 6000
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = reference_boxes(n, source, list(scale), list(ratio))
    found = sample_boxes(4 * n, source, scale=scale, ratio=ratio, generator=seeded()).double().numpy()
    assert (found == found.round()).all()
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] >= 1).all()
    assert (found[:, :2] + found[:, 2:] <= np.array(source)).all()
    for ours, theirs in zip(features(found), features(expected), strict=True):
        error = np.hypot(ours.std() / np.sqrt(len(ours)), theirs.std() / np.sqrt(len(theirs)))
        assert abs(ours.mean() - theirs.mean()) <= 4 * error + 1e-9
        # Two-sample Kolmogorov-Smirnov distance, conservative under ties: its 0.1 % point.
        distance = stats.ks_2samp(ours, theirs, method="asymp").statistic
        assert distance <= 1.95 * np.sqrt(1 / len(ours) + 1 / len(theirs))


def features(boxes: np.ndarray) -> list[np.ndarray]:
    """Sides, area and aspect, and products that show how corner and extent depend on each other."""
    top, left, height, width = boxes.T
    joint = [top * height, left * width, top * left]
    return [top, left, height, width, height * width, width / height, *joint]


def test_the_comparison_of_boxes_can_fail() -> None:
    options = {"ratio": (3 / 4, 4 / 3), "generator": seeded()}
    a, b = (sample_boxes(6000, (32, 32), scale=(low, 1.0), **options).numpy() for low in (0.08, 0.13))
    limit = 1.95 * np.sqrt(2 / 6000)
    pairs = zip(features(a), features(b), strict=True)
    distances = [stats.ks_2samp(x, y, method="asymp").statistic for x, y in pairs]
    assert max(distances) > limit


def test_boxes_survive_as_fractions_and_snap_to_other_sizes() -> None:
    boxes = sample_boxes(2000, (31, 47), scale=(0.01, 1.0), ratio=(0.5, 2.0), generator=seeded())
    fractions = boxes / torch.tensor([31.0, 47.0, 31.0, 47.0])
    assert torch.equal(pixel_boxes(fractions, (31, 47)), boxes)
    small = pixel_boxes(fractions, (8, 5))
    assert (small[:, :2] >= 0).all()
    assert (small[:, 2:] >= 1).all()
    assert (small[:, :2] + small[:, 2:] <= torch.tensor([8.0, 5.0])).all()


def test_crops_take_images_of_any_size() -> None:
    augmentation = get_augmentation("crop_flip", 32, 3, normalisation="none")
    images = torch.rand(6, 3, 8, 13, generator=seeded(3))
    views = augmentation(images, generator=seeded(4))
    parameters = augmentation.sample(6, generator=seeded(4), source=(8, 13))
    boxes = parameters["crop"] * torch.tensor([8.0, 13.0, 8.0, 13.0])
    assert (boxes - boxes.round()).abs().max() < 1e-5
    expected = resized_crop(images, boxes.round(), (32, 32), flip=parameters["flip"])
    assert (views - expected).abs().max() < 1e-6


def test_single_channel_jitter_is_brightness_and_contrast() -> None:
    images = pictures(16, 1)
    augmentation = get_augmentation("simclr", 32, 1, normalisation="none")
    parameters = augmentation.sample(16, generator=seeded())
    views = augmentation.apply(images, parameters)
    other = dict(parameters)
    other["jitter_factors"] = parameters["jitter_factors"].clone()
    other["jitter_factors"][:, 2:] = torch.tensor([0.3, 0.2])
    other["greyscale"] = ~parameters["greyscale"]
    assert (augmentation.apply(images, other) - views).abs().max() < 1e-6
    other["jitter_factors"][:, 1] += 0.3
    assert (augmentation.apply(images, other) - views).abs().max() > 0.05


def test_hue_comes_last_in_the_order_of_columns() -> None:
    """A jitter of the hue only keeps each pixel's largest and smallest channel."""
    images = torch.rand(8, 3, 6, 6, generator=seeded())
    stage = ColourJitter(0.0, 0.0, 0.0, 0.5, probability=1.0)
    parameters = stage.sample(8, (6, 6), seeded())
    assert parameters["jitter_factors"][:, HUE].abs().max() > 0.2
    views = stage.apply(images.clone(), parameters)
    assert (views.amax(1) - images.amax(1)).abs().max() < 1e-5
    assert (views.amin(1) - images.amin(1)).abs().max() < 1e-5
    assert (views - images).abs().max() > 0.3


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet(tmp_path: Path, channels: int) -> None:
    images = pictures(6, channels, 8)
    pair = [get_augmentation("byol", 8, channels, view=view) for view in (0, 1)]
    digests = []
    for name in ("a.png", "b.png"):
        path = contact_sheet(images, pair, rows=4, views=5, generator=seeded(), path=tmp_path / name)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    sheet = np.array(Image.open(tmp_path / "a.png"))
    assert sheet.shape[:2] == (4 * 68, 6 * 68)
    assert sheet.ndim == (2 if channels == 1 else 3)
    cell = sheet[2:66:8, 2:66:8].reshape(8, 8, channels)
    assert (cell == images[0].permute(1, 2, 0).numpy()).all()
    assert not (sheet[2:66, 70:134] == sheet[2:66, 138:202]).all()


def test_contact_sheet_of_images_of_another_size(tmp_path: Path) -> None:
    augmentation = get_augmentation("crop_flip", 32, 3)
    path = contact_sheet(
        pictures(2, 3, 45), augmentation, rows=2, views=3, generator=seeded(), path=tmp_path / "a.png"
    )
    assert np.array(Image.open(path)).shape == (2 * 68, 4 * 68, 3)


def refuse(augmentation: Augmentation, images: Tensor) -> str:
    with pytest.raises(UserError) as caught:
        augmentation(images, generator=seeded())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_messages_about_names_and_sizes() -> None:
    with pytest.raises(UserError, match="unknown augmentation 'simclrr'; did you mean 'simclr'"):
        get_augmentation("simclrr", 32, 3)
    with pytest.raises(UserError, match="unknown normalisation 'cifar'; did you mean 'cifar10'"):
        get_augmentation("simclr", 32, 3, normalisation="cifar")
    with pytest.raises(UserError, match="4 channels; expected 1 or 3"):
        get_augmentation("simclr", 32, 4)
    with pytest.raises(UserError, match="image_size 0; expected at least 2"):
        get_augmentation("simclr", 0, 3)
    with pytest.raises(UserError, match="view 2; expected 0 or 1"):
        get_augmentation("byol", 32, 3, view=2)


def test_messages_about_images() -> None:
    colour, digits = get_augmentation("simclr", 32, 3), get_augmentation("digits_affine", 8, 1)
    assert "(32, 32, 3); expected (N, 3, H, W)" in refuse(colour, torch.zeros(32, 32, 3))
    assert "permute(0, 3, 1, 2)" in refuse(colour, torch.zeros(5, 32, 32, 3))
    assert "(5, 1, 32, 32); expected (N, 3, H, W)" in refuse(colour, torch.zeros(5, 1, 32, 32))
    assert "torch.int64; expected torch.uint8" in refuse(colour, torch.zeros(5, 3, 32, 32, dtype=torch.long))
    assert "32 x 32 pixels; 'digits_affine' does not resize" in refuse(digits, torch.zeros(5, 1, 32, 32))
    with pytest.raises(UserError, match="parameters of 4 views for 5 images"):
        colour.apply(torch.zeros(5, 3, 32, 32), colour.sample(4, generator=seeded()))


def test_an_empty_batch_gives_no_views() -> None:
    for name in NAMES:
        views = get_augmentation(name, 8, 3)(torch.zeros(0, 3, 8, 8), generator=seeded())
        assert views.shape == (0, 3, 8, 8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_an_accelerator_is_never_waited_for(name: str, channels: int) -> None:
    """Tensors without data refuse every operation whose host part depends on values."""
    augmentation = get_augmentation(name, 16, channels, view=1)
    images = torch.empty(9, channels, 16, 16, dtype=torch.uint8, device="meta")
    with pytest.raises((NotImplementedError, RuntimeError)):
        images.nonzero().tolist()
    parameters = augmentation.sample(9, generator=seeded())
    views = augmentation._apply_parts(images, {name: value.to("meta") for name, value in parameters.items()})
    assert views.device.type == "meta"
    assert views.shape == images.shape


def test_the_hot_path_needs_no_torchvision() -> None:
    code = "import sys, spectral_ssl.data.views; assert not {'torchvision', 'PIL'} & set(sys.modules)"
    environment = {"PYTHONPATH": str(Path(module.__file__).parents[2]), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
