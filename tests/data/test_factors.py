"""The procedural data set: balance, geometry, and that its factors can be read back from the pixels."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Polygon
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from spectral_ssl.data import factors as module
from spectral_ssl.data.render import FACTORS, OFFSET, PERIODS, RADIUS, nuisances, render
from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.errors import UserError

AREA = math.pi * RADIUS**2


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("data") / "factors"
    ingest("factors", out, image_size=16)
    return load(out)


def all_codes(count: int = 1) -> Tensor:
    return torch.tensor(list(itertools.product(range(4), repeat=4))).repeat(count, 1)


def still(n: int, size: int, **changed: float) -> dict[str, Tensor]:
    """Nuisances that change nothing, but for those given: a mid-grey ground, colours at full brightness."""
    values = {
        "shift": torch.zeros(n, 2),
        "scale": torch.ones(n),
        "angle": torch.zeros(n),
        "brightness": torch.ones(n),
        "background": torch.full((n,), 0.5),
        "phase": torch.zeros(n, 2),
        "noise": torch.zeros(n, 3, size, size),
    }
    return values | {name: torch.full_like(values[name], value) for name, value in changed.items()}


def test_every_combination_is_equally_frequent(whole: Dataset) -> None:
    for codes, labels, repeats in [
        (whole.train_factors, whole.train_labels, 16),
        (whole.test_factors, whole.test_labels, 4),
    ]:
        combinations, counts = np.unique(codes, axis=0, return_counts=True)
        np.testing.assert_array_equal(combinations, all_codes().numpy())
        assert (counts == repeats).all()
        np.testing.assert_array_equal(codes[:, 0], labels)
        assert (np.diff(labels) >= 0).all()
    assert whole.classes == ["disc", "square", "triangle", "cross"]
    assert whole.meta["factors"] == ["shape", "colour", "texture", "position"]


@pytest.mark.parametrize("limit", [16, 48, 64, 192, 256, 1024])
def test_limits_keep_factors_balanced_and_independent(whole: Dataset, tmp_path: Path, limit: int) -> None:
    ingest("factors", tmp_path / "few", image_size=16, train_limit=limit, test_limit=16)
    few = load(tmp_path / "few")
    codes = np.array(few.train_factors)
    together = 1 + (limit % 64 == 0) + 2 * (limit % 256 == 0)  # factors that are jointly uniform
    for size in range(1, together + 1):
        for columns in itertools.combinations(range(4), size):
            counts = np.unique(codes[:, columns], axis=0, return_counts=True)[1]
            assert (counts == limit / 4**size).all()
            assert len(counts) == 4**size
    for shape in range(4):
        first = np.flatnonzero(whole.train_labels == shape)[: limit // 4]
        ours = few.train_labels == shape
        np.testing.assert_array_equal(few.train_images[ours], whole.train_images[first])
        np.testing.assert_array_equal(codes[ours], whole.train_factors[first])


def test_any_limit_is_as_balanced_as_its_number_allows() -> None:
    codes = module.balanced_codes(1)[:64]
    for share, column in itertools.product(range(1, 65), (1, 2, 3)):
        counts = np.bincount(codes[:share, column], minlength=4)
        assert counts.max() - counts.min() <= 1


def test_no_two_images_are_equal(whole: Dataset) -> None:
    images = np.concatenate([whole.train_images, whole.test_images])
    assert images.shape == (5120, 16, 16, 3)
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(5120, -1), axis=0)) == 5120


def test_the_same_bytes_on_every_run(whole: Dataset, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(99)
        meta = ingest("factors", tmp_path / "again", image_size=16)
    assert meta == whole.meta
    read = {"path": None, "limits": {"train": 64, "test": 16}}
    small, default = (module.read(image_size=size, **read) for size in (8, None))
    assert default.shape == (32, 32, 3)
    assert len({small.sha256, default.sha256, meta["source_sha256"]}) == 3
    first = next(default.images)[2]
    # The geometry is the same at every size: averages over cells differ by noise and edges.
    cells = first.reshape(8, 4, 8, 4, 3).mean((1, 3))
    assert np.abs(cells - next(small.images)[2]).mean() < 8 < np.abs(cells - cells[::-1]).mean()


def coverage(shape: str, size: int, position: int = 0, **changed: float) -> np.ndarray:
    """How much a shape covers of each pixel, from the rendered image."""
    codes = torch.tensor([[FACTORS["shape"].index(shape), 0, 0, position]])
    image = render(codes, still(1, size, **changed), size)[0, 0].double().numpy()
    return (image - 0.5) / (0.95 - 0.5)  # the first colour's first channel


@pytest.mark.parametrize("shape", FACTORS["shape"])
@pytest.mark.parametrize("size", [16, 128])
def test_shapes_have_the_area_of_the_disc_and_lie_in_their_quadrant(shape: str, size: int) -> None:
    for position in range(4):
        covered = coverage(shape, size, position)
        assert covered.mean() == pytest.approx(AREA, rel=0.001 if size == 128 else 0.05)
        grid = (np.arange(size) + 0.5) / size
        x, y = (covered.sum(axis) @ grid / covered.sum() for axis in (0, 1))
        # Centred by its bounding box, a triangle of circumradius R has its centroid R / 4 below.
        low = math.sqrt(AREA * 4 / 3**1.5) / 4 if shape == "triangle" else 0.0
        right, down = position % 2, position // 2
        expected = [0.5 + OFFSET * (2 * right - 1), 0.5 + OFFSET * (2 * down - 1) + low]
        assert [x, y] == pytest.approx(expected, abs=0.01)
    assert coverage(shape, 128, scale=0.5).mean() == pytest.approx(AREA / 4, rel=0.005)


def outline(shape: str) -> np.ndarray:
    """Corners of a polygon of the disc's area, centred by its bounding box; y points down."""
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * math.sqrt(AREA) / 2
    if shape == "triangle":
        side = math.sqrt(4 * AREA / math.sqrt(3))
        return np.array([(0, -math.sqrt(3) / 4), (0.5, math.sqrt(3) / 4), (-0.5, math.sqrt(3) / 4)]) * side
    quarter = np.array([(-1, 3), (-1, 1), (-3, 1)])  # of a cross whose arms are 2 wide
    turns = [quarter @ np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate(turns) * math.sqrt(AREA / 20)


@pytest.mark.parametrize("shape", ["square", "triangle", "cross"])
def test_shapes_are_polygons_sampled_finely(shape: str) -> None:
    """A second route: each pixel's coverage is the share of 16 x 16 points inside the turned polygon."""
    size, fine, angle, scale, shift = 24, 16, 0.3, 1.2, 0.03
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = scale * outline(shape) @ turn + 0.5 - OFFSET + shift
    points = (np.arange(size * fine) + 0.5) / (size * fine)
    inside = Polygon(corners).contains_points(np.stack(np.meshgrid(points, points), 2).reshape(-1, 2))
    expected = inside.reshape(size, fine, size, fine).mean((1, 3))
    found = coverage(shape, size, angle=angle, scale=scale, shift=shift)
    assert np.abs(found - expected).max() < 0.3  # a ramp is not exact at corners
    assert np.abs(found - expected).mean() < 0.005
    mirrored = coverage(shape, size, angle=-angle, scale=scale, shift=shift)
    assert np.abs(mirrored - expected).mean() > 0.01


def test_colours_are_a_quarter_turn_apart_and_equal_in_mean() -> None:
    codes = torch.tensor([[0, colour, 0, 0] for colour in range(4)])
    pixel = render(codes, still(4, 64), 64)[:, :, 19, 19]  # the quadrant's centre
    assert pixel.mean(1).tolist() == pytest.approx([0.5] * 4, abs=1e-6)
    assert pixel[0].tolist() == pytest.approx([0.95, 0.275, 0.275], abs=1e-6)
    assert pixel[2].tolist() == pytest.approx([0.05, 0.725, 0.725], abs=1e-6)
    turned = hues(render(codes, still(4, 64), 64)) - torch.arange(4) * (math.pi / 2)
    assert torch.allclose(turned.cos(), torch.ones(4), atol=1e-5)


def test_textures_are_waves_of_three_periods() -> None:
    codes = torch.tensor([[0, 0, texture, 0] for texture in range(4)])
    shifted = still(4, 48, shift=3.0)  # the shape lies outside the image
    plain, stripes, checks, dots = render(codes, shifted, 48)[:, 0] - 0.5
    assert plain.abs().max() == 0
    assert torch.equal(stripes, stripes[:1].expand(48, 48))
    assert torch.equal(dots, dots.T)
    half = 48 // (2 * PERIODS)
    for axis in (0, 1):
        assert torch.allclose(checks.roll(half, axis), -checks, atol=1e-5)
        assert torch.allclose(dots.roll(2 * half, axis), dots, atol=1e-5)
    spectra = torch.fft.rfft2(torch.stack((stripes, checks, dots))).abs()[:, :24]
    spectra[:, 0, 0] = 0
    peaks = [divmod(int(spectrum.argmax()), 25) for spectrum in spectra]
    assert peaks[:2] == [(0, PERIODS), (PERIODS, PERIODS)]
    assert peaks[2] in [(0, PERIODS), (PERIODS, 0)]
    moved = render(codes, still(4, 48, shift=3.0, phase=math.pi), 48)[:, 0] - 0.5
    assert torch.allclose(moved[1], -stripes, atol=1e-5)


def chroma(images: Tensor) -> Tensor:
    """The plane of colours as complex numbers (N, H, W): zero for grey, the argument is the hue."""
    turns = torch.polar(torch.ones(3), torch.arange(3) * (2 * math.pi / 3))
    return torch.einsum("nchw,c->nhw", images.to(torch.complex64), turns)


def hues(images: Tensor) -> Tensor:
    return chroma(images).sum((1, 2)).angle()


def statistics(images: Tensor) -> dict[str, Tensor]:
    """For each factor numbers that it alone should move; for the shape, the pixels about its centre."""
    size = images.shape[-1]
    hue, weight = hues(images), (chroma(images).abs() - 0.1).clamp(0, 0.3)
    grid = torch.arange(size) + 0.5
    x, y = (weight.sum(axis) @ grid / weight.sum((1, 2)) for axis in (1, 2))
    near = torch.arange(size // 2) - size // 4
    rows, columns = ((place.long().view(-1, 1) + near).clamp(0, size - 1) for place in (y, x))
    sample = torch.arange(len(images)).view(-1, 1, 1)
    waves = torch.fft.rfft2(images.mean(1)).abs()[:, [0, PERIODS, PERIODS], [PERIODS, 0, PERIODS]]
    return {
        "shape": weight[sample, rows.unsqueeze(2), columns.unsqueeze(1)].flatten(1),
        "colour": torch.stack((hue.cos(), hue.sin()), 1),
        "texture": waves / size**2,
        "position": torch.stack((x, y), 1),
    }


@pytest.mark.parametrize("factor", FACTORS)
def test_each_factor_can_be_read_from_simple_statistics(whole: Dataset, factor: str) -> None:
    column = list(FACTORS).index(factor)
    train, test = (
        statistics(torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(255)))[factor].numpy()
        for images in (whole.train_images, whole.test_images)
    )
    scaler = StandardScaler().fit(train)
    probe = LogisticRegression(max_iter=1000)
    scores = [
        probe.fit(scaler.transform(train), whole.train_factors[:, target]).score(
            scaler.transform(test), whole.test_factors[:, target]
        )
        for target in range(4)
    ]
    assert scores.pop(column) > 0.98
    # The others cannot: chance is a quarter. Where a shape is cut by the border, a little of the position shows.
    assert max(scores) < 0.4


def test_nuisances_depend_on_the_generator_only() -> None:
    first, again, other = (nuisances(20, 8, seeded(seed)) for seed in (1, 1, 2))
    for name, value in first.items():
        assert len(value) == 20
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])
    codes = all_codes(4)
    images = render(codes, nuisances(len(codes), 16, seeded()), 16)
    assert images.shape == (1024, 3, 16, 16)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "somewhere"}, "takes no path, found somewhere: leave the path out"),
        ({"image_size": 7}, "factors at image_size 7; expected at least 8 pixels"),
        ({"train_limit": 30}, "train_limit is 30, not the same number for each of 4 classes: take 28"),
    ],
)
def test_the_reader_refuses(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ingest("factors", tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), r"factors of shape \(2, 3\), torch.int64; expected \(N, 4\)"),
        (torch.zeros(2, 4), r"factors of shape \(2, 4\), torch.float32; expected \(N, 4\) torch.int64"),
        (torch.tensor([[0, 0, 0, 4], [1, 1, 1, 1]]), "factors from 0 to 4; expected codes 0 to 3 of shape"),
        (torch.tensor([[0, -1, 0, 0], [1, 1, 1, 1]]), "factors from -1 to 1; expected codes 0 to 3"),
    ],
)
def test_the_renderer_refuses(codes: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        render(codes, still(2, 8), 8)
