"""Partners of a positive pair: from the right group, uniformly, never oneself unless alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from spectral_ssl.data.relations import neighbours_graph
from spectral_ssl.errors import UserError
from spectral_ssl.train import partners as module
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.partners import Partners, partners

LABELS = [2, 0, 1, 0, 2, 2, 0, 1, 2, 0, 2, -1, 3, -1]  # five of class 2, one of class 3, two unlabelled
FACTORS = [[value % 2, value % 3] for value in range(len(LABELS))]


def images_of(
    labels: Sequence[int] = LABELS,
    factors: Sequence[Sequence[int]] | None = None,
    pixels: Tensor | None = None,
) -> Images:
    n = len(labels)
    train = torch.zeros(n, 1, 2, 2, dtype=torch.uint8) if pixels is None else pixels
    known = torch.tensor(factors) if factors is not None else torch.zeros(n, 0, dtype=torch.long)
    empty = torch.zeros(0, dtype=torch.long)
    names = ["parity", "third"] if factors is not None else []
    return Resident(
        train=train,
        train_labels=torch.tensor(labels),
        train_factors=known,
        test=train[:0],
        test_labels=empty,
        test_factors=known[:0],
        classes=4,
        factor_names=names,
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sampler(spec: str, images: Images) -> Partners:
    found = partners(spec, images)
    assert found is not None
    return found


def draws(found: Partners, image: int, times: int, seed: int = 0) -> Tensor:
    return found.sample(torch.full((times,), image), generator=seeded(seed))


def test_views_have_no_sampler() -> None:
    assert partners("views", images_of()) is None
    assert partners("views+wrong:0", images_of()) is None


@pytest.mark.parametrize("image", range(len(LABELS)))
def test_labels_pair_an_image_with_every_other_of_its_class_and_no_other(image: int) -> None:
    others = {k for k, label in enumerate(LABELS) if label == LABELS[image] >= 0 and k != image}
    drawn = draws(sampler("labels", images_of()), image, 200)
    assert set(drawn.tolist()) == (
        others or {image}
    )  # the unlabelled and the only one of its class are alone


@pytest.mark.parametrize(("name", "column"), [("parity", 0), ("third", 1)])
def test_a_factor_pairs_images_of_its_level_whatever_their_class(name: str, column: int) -> None:
    found = sampler(f"factor:{name}", images_of(factors=FACTORS))
    index = torch.arange(len(LABELS)).repeat(300)
    drawn = found.sample(index, generator=seeded())
    levels = torch.tensor(FACTORS)[:, column]
    assert torch.equal(levels[drawn], levels[index])
    assert not (drawn == index).any()
    labels = torch.tensor(LABELS)
    assert (labels[drawn] != labels[index]).any()


def test_partners_are_uniform_over_the_rest_of_the_group() -> None:
    counts = torch.bincount(draws(sampler("labels", images_of()), 4, 4000), minlength=len(LABELS))
    members = [0, 5, 8, 10]  # class 2 without image 4
    assert counts.sum() == counts[members].sum() == 4000
    assert chisquare(counts[members].numpy()).pvalue > 0.01
    # The check can fail: of a sampler that prefers the next image these counts would not be believed.
    assert chisquare([1100, 960, 970, 970]).pvalue < 0.01


def test_a_large_groups_last_member_is_drawn_and_nothing_beyond() -> None:
    n = 1000
    found = sampler("labels", images_of([0] * n + [1, 1]))
    drawn = draws(found, 0, 40_000)
    assert (drawn.min(), drawn.max()) == (1, n - 1)
    assert chisquare(torch.bincount(drawn, minlength=n)[1:n].numpy()).pvalue > 0.01


@pytest.mark.parametrize("wrong", [0.2, 0.5, 1.0])
def test_wrong_pairs_are_as_many_as_asked_for_and_go_anywhere_else(wrong: float) -> None:
    labels = [0] * 10 + [1] * 30
    drawn = draws(sampler(f"labels+wrong:{wrong}", images_of(labels)), 3, 20_000)
    assert not (drawn == 3).any()
    # A wrong partner is one of the 39 others, 9 of which are of the class all the same.
    share = wrong * 30 / 39
    strangers = int((drawn >= 10).sum())
    assert abs(strangers - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5
    assert len(drawn[drawn >= 10].unique()) == 30


def test_the_lonely_have_wrong_partners_too() -> None:
    drawn = draws(sampler("views+wrong:0.5", images_of([0, 1, 2, 3, 4])), 2, 4000)
    counts = torch.bincount(drawn, minlength=5).numpy()
    assert chisquare(counts, 4000 * np.array([0.125, 0.125, 0.5, 0.125, 0.125])).pvalue > 0.01
    unlabelled = draws(sampler("labels+wrong:0.5", images_of([-1, -1, 0, 0])), 0, 400)
    assert set(unlabelled.tolist()) == {0, 1, 2, 3}


def test_neighbours_are_the_rows_of_the_graph() -> None:
    pixels = torch.randint(256, (12, 1, 3, 3), generator=seeded(3)).to(torch.uint8)
    graph = neighbours_graph(pixels.flatten(1).double().numpy(), 2)
    found = sampler("neighbours:2", images_of([0] * 12, pixels=pixels))
    sizes = np.diff(graph.indptr)
    assert len(set(sizes)) > 1  # joined either way, so that rows differ in length
    for image in range(12):
        near = graph.indices[graph.indptr[image] : graph.indptr[image + 1]]
        drawn = draws(found, image, 600, seed=image)
        counts = torch.bincount(drawn, minlength=12).numpy()
        assert counts[near].sum() == 600
        assert len(near) == 1 or chisquare(counts[near]).pvalue > 1e-3
        # By hand: the nearest two by a full table of distances are among them.
        distance = (pixels.flatten(1).double() - pixels[image].flatten().double()).norm(dim=1)
        distance[image] = torch.inf
        assert set(distance.argsort()[:2].tolist()) <= set(near.tolist())


def test_memory_is_linear_in_the_images() -> None:
    n = 20_000  # two hundred million pairs of one class
    found = sampler("labels", images_of([0] * n))
    assert [len(part) for part in (found.members, found.start, found.size, found.place)] == [n] * 4
    assert sorted(found.members.tolist()) == list(range(n))


def test_partners_among_a_million_are_even() -> None:
    n = 1_300_000
    found = sampler("labels", images_of([0] * n))
    drawn = found.sample(torch.zeros(n, dtype=torch.long), generator=seeded())
    counts = torch.bincount(drawn, minlength=n)[1:].double()
    # Float32 has 2^24 values from 0 to 1: 12 of them for some candidates, 13 or 14 for others.
    values = torch.bincount((torch.arange(2**24).float() / 2**24 * (n - 1)).long(), minlength=n - 1)
    for few in (True, False):
        some = counts[(values <= 12) == few]
        uneven = (values[(values <= 12) == few].double().mean() / values.double().mean()).item()
        error = 4 * len(some) ** -0.5
        assert some.mean().item() == pytest.approx(1, abs=error)
        assert uneven != pytest.approx(1, abs=error)  # what float32 would have drawn


def test_neighbours_that_memory_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: 12 * 9 * 8 - 1)
    pixels = torch.randint(256, (12, 1, 3, 3), generator=seeded(3)).to(torch.uint8)
    with pytest.raises(UserError) as caught:
        partners("neighbours:2", images_of([0] * 12, pixels=pixels))
    assert str(caught.value) == (
        "neighbours among 12 images of 9 numbers need 0.0 GiB of memory, and 0.0 GiB are free; "
        "set data.train_limit or choose the relation 'labels'"
    )
    monkeypatch.setattr(module, "free_memory", lambda device: 12 * 9 * 8)
    monkeypatch.setattr(module, "_BLOCK", 5)
    found, whole = sampler("neighbours:2", images_of([0] * 12, pixels=pixels)), pixels.flatten(1).double()
    assert np.array_equal(found.members.numpy(), neighbours_graph(whole.numpy(), 2).indices)


def test_the_generator_decides_and_nothing_else_does() -> None:
    found, index = sampler("labels+wrong:0.3", images_of()), torch.arange(len(LABELS)).repeat(20)
    before = torch.random.get_rng_state()
    first, again, other = (found.sample(index, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("spec", "factors", "said"),
    [
        (
            "factor:shape",
            None,
            "relation 'factor:shape' needs a data set with known factors, and this one has none; "
            "use the data set 'factors', or the relation 'labels'",
        ),
        ("factor:parety", FACTORS, "unknown factor 'parety'; did you mean 'parity'? known: parity, third"),
        ("neighbours:14", None, "k = 14 neighbours among 14 samples: choose k from 1 to 13"),
        ("lables", None, "relation 'lables' is not understood; accepted: "),
    ],
)
def test_a_relation_that_the_data_set_lacks_is_refused(
    spec: str, factors: list[list[int]] | None, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        partners(spec, images_of(factors=factors))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
