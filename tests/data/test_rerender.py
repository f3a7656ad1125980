"""Augmentations that draw images anew from their factors: what they keep, what they destroy."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from spectral_ssl.data import views as module
from spectral_ssl.data.augment.presets import NORMALISATIONS
from spectral_ssl.data.augment.rerender import Rerender
from spectral_ssl.data.render import FACTORS, nuisances, render
from spectral_ssl.data.views import augmentation_names, contact_sheet, get_augmentation
from spectral_ssl.errors import UserError

NAMES = [name for name in augmentation_names() if name.startswith("factors")]
SIZE = 16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 16, 16) uint8 and their codes."""
    codes = torch.randint(4, (n, 4), generator=seeded(1))
    images = render(codes, nuisances(n, SIZE, seeded(2)), SIZE)
    return images.mul_(255).round_().to(torch.uint8), codes


def destroyed(name: str) -> set[str]:
    """What a preset's name says that it destroys."""
    _, _, factor = name.rpartition("_")
    if name.startswith("factors_keep_"):
        return set(FACTORS) - {factor}
    return {factor} if name.startswith("factors_destroy_") else set()


def test_the_presets_names() -> None:
    assert [
        "factors",
        *(f"factors_{how}_{f}" for how in ("destroy", "keep") for f in sorted(FACTORS)),
    ] == NAMES
    assert all(re.fullmatch("[a-z0-9][a-z0-9_-]*", name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_kept_factors_stay_and_destroyed_ones_are_drawn(name: str) -> None:
    images, codes = pictures(64)
    augmentation = get_augmentation(name, SIZE, 3)
    parameters = augmentation.sample(64, generator=seeded())
    expected = codes.clone()
    for column, factor in enumerate(FACTORS):
        if factor in destroyed(name):
            expected[:, column] = parameters["drawn"][:, column]
    before, own = images.clone(), codes.clone()
    views = augmentation.apply(images, parameters, factors=codes)
    assert (augmentation.pixels(views) - render(expected, parameters, SIZE)).abs().max() < 1e-6
    assert torch.equal(images, before)
    assert torch.equal(codes, own)
    assert torch.equal(augmentation(images, generator=seeded(), factors=codes), views)
    assert torch.equal(augmentation(images / 255, generator=seeded(), factors=codes), views)
    assert torch.equal(augmentation.apply(255 - images, parameters, factors=codes), views)
    assert not torch.equal(augmentation(images, generator=seeded(1), factors=codes), views)


def dependence(one: Tensor, two: Tensor) -> float:
    """The p-value of the chi-square test of independence of two codes."""
    table = np.zeros((4, 4))
    np.add.at(table, (one.numpy(), two.numpy()), 1)
    return float(stats.chi2_contingency(table).pvalue)


def measured(images: Tensor) -> dict[str, Tensor]:
    """Colour and position, read from pixels in [0, 1]: the nearest hue, and the quadrant of the coloured ones."""
    turns = torch.polar(torch.ones(3), torch.arange(3) * (2 * math.pi / 3))
    chroma = torch.einsum("nchw,c->nhw", images.to(torch.complex64), turns)
    colour = (chroma.sum((1, 2)).angle() / (math.pi / 2)).round().long() % 4
    weight = (chroma.abs() - 0.1).clamp(0, 0.3)
    half = weight.shape[1] // 2
    right = weight[:, :, half:].sum((1, 2)) > weight[:, :, :half].sum((1, 2))
    down = weight[:, half:].sum((1, 2)) > weight[:, :half].sum((1, 2))
    return {"colour": colour, "position": right.long() + 2 * down.long()}


@pytest.mark.parametrize("name", NAMES)
def test_the_pixels_tell_what_was_kept_and_nothing_else(name: str) -> None:
    images, codes = pictures(2000)
    augmentation = get_augmentation(name, SIZE, 3)
    views = augmentation.pixels(augmentation(images, generator=seeded(), factors=codes))
    for factor, found in measured(views).items():
        own = codes[:, list(FACTORS).index(factor)]
        if factor in destroyed(name):
            assert dependence(own, found) > 1e-3
            assert stats.chisquare(np.bincount(found.numpy(), minlength=4)).pvalue > 1e-3
        else:
            assert (own == found).float().mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_drawn_levels_are_uniform_and_independent(name: str) -> None:
    _, codes = pictures(4000)
    drawn = get_augmentation(name, SIZE, 3).sample(4000, generator=seeded(3))["drawn"]
    for column in range(4):
        assert stats.chisquare(np.bincount(drawn[:, column].numpy(), minlength=4)).pvalue > 1e-3
        for other in range(4):
            assert dependence(codes[:, other], drawn[:, column]) > 1e-3
            assert (dependence(drawn[:, other], drawn[:, column]) > 1e-3) is (other != column)


def test_a_cpu_works_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images, codes = pictures(12)
    augmentation = get_augmentation("factors_destroy_texture", SIZE, 3)
    parameters = augmentation.sample(12, generator=seeded())
    together = augmentation.apply(images, parameters, factors=codes)
    monkeypatch.setattr(module, "CHUNK_BYTES", 5 * 3 * SIZE * SIZE * 4)
    assert torch.equal(augmentation.apply(images, parameters, factors=codes), together)
    assert torch.equal(augmentation.apply(images, {**parameters, "factors": codes}), together)
    empty = augmentation(images[:0], generator=seeded(), factors=codes[:0])
    assert empty.shape == (0, 3, SIZE, SIZE)


@pytest.mark.parametrize("name", NAMES)
def test_an_accelerator_is_never_waited_for(name: str) -> None:
    """Tensors without data refuse every operation whose host part depends on values."""
    augmentation = get_augmentation(name, SIZE, 3)
    parameters = {
        **augmentation.sample(9, generator=seeded()),
        "factors": torch.zeros(9, 4, dtype=torch.int64),
    }
    on_meta = {key: value.to("meta") for key, value in parameters.items()}
    images = torch.empty(9, 3, SIZE, SIZE, dtype=torch.uint8, device="meta")
    views = augmentation._apply_parts(images, on_meta)
    assert views.device.type == "meta"
    assert views.shape == images.shape


def test_plain_only_normalises_and_the_normalisation_fits() -> None:
    images, codes = pictures(2000)
    plain = get_augmentation("factors", SIZE, 3).plain()
    views = plain(images, generator=seeded())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in NORMALISATIONS["factors"])
    assert (views - (images / 255 - mean) / std).abs().max() < 1e-5
    assert torch.equal(plain(images, generator=seeded(), factors=codes), views)
    assert views.mean((0, 2, 3)).abs().max() < 0.05
    assert (views.std((0, 2, 3)) - 1).abs().max() < 0.05


def test_augmentations_of_pixels_look_at_no_factors() -> None:
    images, codes = pictures(20)
    augmentation = get_augmentation("simclr", SIZE, 3)
    views = augmentation(images, generator=seeded())
    for factors in (codes, codes[:, :0], None):
        assert torch.equal(augmentation(images, generator=seeded(), factors=factors), views)


def test_contact_sheet(tmp_path: Path) -> None:
    images, codes = pictures(6)
    augmentation = get_augmentation("factors_keep_colour", SIZE, 3)
    options = {"rows": 4, "views": 5, "factors": codes}
    digests = set()
    for name in ("a.png", "b.png"):
        path = contact_sheet(images, augmentation, generator=seeded(), path=tmp_path / name, **options)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    sheet = np.array(Image.open(tmp_path / "a.png"))
    assert sheet.shape == (4 * 68, 6 * 68, 3)
    for row, column in np.ndindex(4, 6):
        cell = sheet[68 * row + 2 : 68 * row + 66 : 4, 68 * column + 2 : 68 * column + 66 : 4] / np.float32(
            255
        )
        found = measured(torch.from_numpy(cell).permute(2, 0, 1).unsqueeze(0))
        assert int(found["colour"]) == codes[row, 1]


def refuse(name: str, images: Tensor, factors: Tensor | None) -> str:
    with pytest.raises(UserError) as caught:
        get_augmentation(name, SIZE, 3)(images, generator=seeded(), factors=factors)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_messages(tmp_path: Path) -> None:
    images, codes = pictures(5)
    for none in (None, codes[:, :0]):
        message = refuse("factors_destroy_colour", images, none)
        assert (
            "'factors_destroy_colour' draws images anew from their factors, and this data set has none"
            in message
        )
        assert "use the data set 'factors', or an augmentation of pixels such as 'simclr'" in message
    for name in ("factors", "simclr"):
        assert "factors of 4 images for 5 images" in refuse(name, images, codes[:4])
    assert "factors of shape (5, 3), torch.int64; expected (N, 4)" in refuse("factors", images, codes[:, :3])
    assert "expected codes 0 to 3 of shape, colour" in refuse("factors", images, codes + 1)
    assert "does not resize and expected 16 x 16" in refuse("factors", torch.zeros(5, 3, 32, 32), codes)
    with pytest.raises(
        UserError, match="images with 1 channel; augmentations that draw anew from factors give 3"
    ):
        get_augmentation("factors", SIZE, 1)
    with pytest.raises(UserError, match="unknown factor 'color'; did you mean 'colour'"):
        Rerender(("color",), SIZE)
    with pytest.raises(
        UserError, match="unknown augmentation 'factors_destroy_color'; did you mean 'factors_d"
    ):
        get_augmentation("factors_destroy_color", SIZE, 3)
    with pytest.raises(UserError, match="this data set has none"):
        contact_sheet(
            images,
            get_augmentation("factors", SIZE, 3),
            rows=2,
            views=2,
            generator=seeded(),
            path=tmp_path / "a.png",
        )
