import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from spectral_ssl.data import families
from spectral_ssl.data.augmentation_graph import augmentation_graph, label_error, spectrum
from spectral_ssl.data.graph import connected_components
from spectral_ssl.errors import UserError


def random_images(n=4, side=3, levels=3, seed=0):
    drawn = np.random.default_rng(seed).integers(levels, size=(n, side, side))
    return (drawn * (255 // (levels - 1))).astype(np.uint8)


def digits_like(n=40):
    """Real 8x8 digits and their classes."""
    bunch = load_digits()
    return np.rint(bunch.images[:n] * (255 / 16)).astype(np.uint8), bunch.target[:n]


def only(family, image):
    """What the family's one stage makes of one image: name to result."""
    return {member.name: member.apply(image[None])[0] for member in family.stages[0]}


def test_lightning_and_cloud_come_out_exactly():
    lightning, cloud = np.array([[[0, 9], [0, 0]], [[7, 7], [0, 0]]], dtype=np.uint8)
    kernel, points = families.family_kernel([lightning, cloud], families.rotations90([2 / 3, 1 / 3, 0, 0]))
    order = [
        next(i for i, point in enumerate(points) if (point == shown).all())
        for shown in (lightning, np.rot90(lightning), cloud, np.rot90(cloud))
    ]
    w, kept = augmentation_graph(kernel)
    np.testing.assert_array_equal(kept, np.arange(4))
    block = np.array([[2 / 9, 1 / 9], [1 / 9, 1 / 18]])
    np.testing.assert_allclose(
        w.toarray()[np.ix_(order, order)], np.kron(np.eye(2), block), rtol=0, atol=1e-16
    )


def test_symmetric_images_have_fewer_points():
    ring, bar = np.array([[[1, 1], [1, 1]], [[1, 0], [1, 0]]], dtype=np.uint8)
    kernel, points = families.family_kernel([ring, bar, ring], families.rotations90())
    assert [len(np.unique(row.indices)) for row in (kernel[[0]], kernel[[1]], kernel[[2]])] == [1, 4, 1]
    assert points.shape == (5, 2, 2)
    mirrored = families.family_kernel([ring, bar], families.flips(0.25))[0]
    np.testing.assert_allclose(np.sort(mirrored.toarray()), [[0, 0, 1], [0, 0.25, 0.75]])


def test_shifts_bring_in_black():
    image = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
    shown = only(families.shifts(1), image)
    assert len(shown) == 9
    np.testing.assert_array_equal(shown["shift +0 +0"], image)
    np.testing.assert_array_equal(shown["shift +1 +0"], [[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(shown["shift -1 +1"], [[0, 4, 5], [0, 7, 8], [0, 0, 0]])
    far = only(families.shifts(3), image)
    np.testing.assert_array_equal(far["shift +3 +0"], np.zeros((3, 3)))
    np.testing.assert_array_equal(far["shift +0 -2"], [[3, 0, 0], [6, 0, 0], [9, 0, 0]])


def test_grey_levels_are_rounded_and_cut_off():
    shown = only(families.grey_levels([0.5, 1, 2]), np.array([[0, 3, 5, 127, 128, 255]], dtype=np.uint8))
    np.testing.assert_array_equal(shown["gain 0.5"], [[0, 2, 2, 64, 64, 128]])  # halves to even
    np.testing.assert_array_equal(shown["gain 1"], [[0, 3, 5, 127, 128, 255]])
    np.testing.assert_array_equal(shown["gain 2"], [[0, 6, 10, 254, 255, 255]])


def test_coarsening_pools_and_bins_without_rounding():
    image = np.array([[127, 128], [128, 129], [0, 255], [255, 0]], dtype=np.uint8)
    (threshold,) = only(families.coarsen(2), image).values()
    np.testing.assert_array_equal(threshold, image >= 128)
    (pooled,) = only(families.coarsen(2, pooling=2), image).values()
    np.testing.assert_array_equal(pooled, [[1], [0]])  # means 128 and 127.5
    (four,) = only(families.coarsen(4), image).values()
    np.testing.assert_array_equal(four, image // 64)
    coloured = np.stack([image, image[::-1]], axis=2)
    (both,) = only(families.coarsen(2, pooling=2), coloured).values()
    np.testing.assert_array_equal(both, [[[1, 0]], [[0, 1]]])


MANY = families.compose(
    families.shifts(1, np.arange(1, 10) / 45),
    families.rotations90([0.4, 0.3, 0.2, 0.1]),
    families.flips(0.3),
    families.grey_levels([0.5, 1.0]),
    families.coarsen(3),
)


@pytest.mark.parametrize("channels", [(), (2,)])
def test_kernel_is_the_enumeration_of_all_transforms(channels):
    rng = np.random.default_rng(1)
    images = rng.integers(256, size=(3, 3, 3, *channels), dtype=np.uint8)
    expected = [{} for _ in images]
    for chosen in itertools.product(*MANY.stages):
        chance, shown = np.prod([member.probability for member in chosen]), images
        for member in chosen:
            shown = member.apply(shown)
        for found, image in zip(expected, shown, strict=True):
            found[image.tobytes()] = found.get(image.tobytes(), 0) + chance
    kernel, points = families.family_kernel(images, MANY)
    assert MANY.size == 9 * 4 * 2 * 2
    assert isinstance(kernel, sparse.csr_array)
    names = [point.tobytes() for point in points]
    assert names == sorted(set().union(*expected))
    for row, found in zip(kernel.toarray(), expected, strict=True):
        np.testing.assert_allclose(row, [found.get(name, 0) for name in names], rtol=1e-12)
    augmentation_graph(kernel)  # a distribution


def test_stages_act_in_the_order_written():
    image = np.array([[[1, 0], [0, 0]]], dtype=np.uint8)
    right = families.shifts(1, [0, 0, 0, 0, 0, 1, 0, 0, 0])  # always one pixel to the right
    turn = families.rotations90([0, 1, 0, 0])
    first = families.family_kernel(image, families.compose(right, turn)).points
    second = families.family_kernel(image, families.compose(turn, right)).points
    np.testing.assert_array_equal(first, [[[1, 0], [0, 0]]])
    np.testing.assert_array_equal(second, [[[0, 0], [0, 1]]])


def estimate_of_w(images, draws, generator, exact, points, unbiased=True):
    """The estimate on the exact graph's points; biased: frequencies put in the place of p."""
    kernel, seen = families.sampled_kernel(images, MANY, draws, generator=generator)
    w, kept = augmentation_graph(kernel, draws=draws if unbiased else None)
    place = {point.tobytes(): index for index, point in enumerate(points)}
    where = [place[seen[index].tobytes()] for index in kept]
    full = np.zeros_like(exact)
    full[np.ix_(where, where)] = w.toarray()
    return full


def test_sampled_kernel_converges_to_w_at_the_monte_carlo_rate():
    images, generator = random_images(2), np.random.default_rng(2)
    kernel, points = families.family_kernel(images, MANY)
    exact = augmentation_graph(kernel).w.toarray()
    sizes, errors = [50, 200, 800, 3200], []
    for draws in sizes:
        found = np.array([estimate_of_w(images, draws, generator, exact, points) for _ in range(12)])
        errors.append(np.sqrt(((found - exact) ** 2).mean()))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)


def test_frequencies_in_the_place_of_p_are_biased_and_distinct_draws_are_not():
    images, generator = random_images(2), np.random.default_rng(5)
    kernel, points = families.family_kernel(images, MANY)
    exact = augmentation_graph(kernel).w.toarray()
    for unbiased, mean in ((True, exact.trace()), (False, 0.98 * exact.trace() + 0.02)):
        traces = np.array(
            [np.trace(estimate_of_w(images, 50, generator, exact, points, unbiased)) for _ in range(200)]
        )
        error = traces.std(ddof=1) / np.sqrt(200)
        assert abs(traces.mean() - mean) < 4 * error
        assert (abs(traces.mean() - exact.trace()) > 8 * error) == (not unbiased)


def test_sampling_is_repeatable_and_never_lists_the_family():
    family = families.compose(*[families.shifts(1)] * 12, families.coarsen(2))
    assert family.size == 9**12
    images = random_images(3, side=4)
    first, again, other = (
        families.sampled_kernel(images, family, 20, generator=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.kernel.toarray(), again.kernel.toarray())
    np.testing.assert_array_equal(first.points, again.points)
    assert first.points.shape != other.points.shape or (first.points != other.points).any()
    np.testing.assert_allclose(first.kernel.sum(axis=1), 1, rtol=1e-14)


def test_coarsening_joins_the_images_that_augmentation_alone_leaves_apart():
    images, classes = digits_like()
    apart = families.family_kernel(images, families.shifts(1)).kernel
    count = connected_components(augmentation_graph(apart).w)[0]
    assert count == len(images)
    coarse = families.compose(families.shifts(1), families.coarsen(2, pooling=2))
    kernel, points = families.family_kernel(images, coarse)
    assert points.shape[1:] == (4, 4)
    w, _ = augmentation_graph(kernel)
    joined = connected_components(w)[0]
    assert joined < count / 2
    assert (spectrum(w, joined + 1).gamma > 1 - 1e-9).sum() == joined
    assert label_error(apart, None, classes).alpha == 0
    assert 0 < label_error(kernel, None, classes).alpha < 0.3  # the price of meeting


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: families.one_of([]), "an empty family"),
        (lambda: families.compose(), "an empty family"),
        (lambda: families.grey_levels([]), "an empty family"),
        (lambda: families.rotations90([0.5, 0.2, 0.2, 0.2]), "rotate 0, ... sum to 1.1 or are negative"),
        (lambda: families.flips(1.5), "sum to 1 or are negative"),
        (lambda: families.rotations90([0.5, 0.5]), "2 probabilities for 4 transforms"),
        (lambda: families.shifts(-1), "a shift radius of -1"),
        (lambda: families.grey_levels([1, -1]), "expected finite factors"),
        (lambda: families.coarsen(1), "coarsen to 1 levels, pooling 1: expected 2 to 256"),
    ],
)
def test_families_refuse(build, message):
    with pytest.raises(UserError, match=message):
        build()


IDENTITY = families.shifts(0)


@pytest.mark.parametrize(
    ("images", "family", "message"),
    [
        (np.zeros((2, 3, 3)), IDENTITY, "type float64: expected uint8"),
        (np.zeros((3, 3), np.uint8), IDENTITY, r"images of shape \(3, 3\)"),
        (np.zeros((0, 3, 3), np.uint8), IDENTITY, r"images of shape \(0, 3, 3\)"),
        (
            np.zeros((1, 2, 3), np.uint8),
            families.rotations90(),
            r"'rotate 90' gives images of shape \(\d+, 3, 2\)",
        ),
        (np.zeros((1, 3, 3), np.uint8), families.coarsen(pooling=2), "3x3 pixels in blocks of 2: choose"),
        (
            np.zeros((1, 3, 3), np.uint8),
            families.one_of([families.Member("halve", 1, lambda x: x / 2)]),
            "float64",
        ),
    ],
)
def test_kernels_refuse(images, family, message):
    with pytest.raises(UserError, match=message):
        families.family_kernel(images, family)
    with pytest.raises(UserError, match=message):
        families.sampled_kernel(images, family, 2000, generator=np.random.default_rng(0))


def test_kernels_refuse_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(families, "LARGEST", 100)
    with pytest.raises(UserError, match="324 bytes of images, more than 100: sample the family"):
        families.family_kernel(random_images(4), families.compose(families.shifts(1)))
    with pytest.raises(UserError, match="more than 100: take fewer draws or images"):
        families.sampled_kernel(random_images(4), IDENTITY, 10, generator=np.random.default_rng(0))
    with pytest.raises(UserError, match="0 draws an image: expected at least 1"):
        families.sampled_kernel(random_images(4), IDENTITY, 0, generator=np.random.default_rng(0))
