"""Families of graphs: every one is what its name says, real ones among them."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.data.graph import check_relation_graph, connected_components, laplacian
from spectral_ssl.theorems import families, real
from spectral_ssl.theorems.families import RELATIONS, TASKS, Task


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("n", [4, 5, 11, 12])
def test_every_family_gives_relation_graphs_without_isolated_nodes(name: str, n: int) -> None:
    G = RELATIONS[name](np.random.default_rng(n), n)
    check_relation_graph(G)
    assert G.shape == ((n, n) if name not in ("digits", "factors") else (n // 2 * 2,) * 2)
    assert (G.sum(axis=1) > 0).all()
    again = RELATIONS[name](np.random.default_rng(n), n)
    np.testing.assert_array_equal(G, again)


def test_each_family_is_what_it_is_called() -> None:
    rng = np.random.default_rng(0)
    values = np.linalg.eigvalsh(laplacian(families.complete(rng, 9)))
    assert values[-1] - values[1] < 1e-12 * values[-1]
    degree = families.regular(rng, 10).sum(axis=1)
    assert np.ptp(degree) < 1e-12 * degree.max()
    assert connected_components(families.disconnected(rng, 9))[0] in (2, 3)
    assert connected_components(families.disconnected(rng, 4))[0] == 2
    values = np.linalg.eigvalsh(laplacian(families.near_degenerate(rng, 9)))
    spread = (values[-1] - values[1]) / values[-1]
    assert 1e-6 < spread < 0.02
    pairs = families.linked_views(rng, 8)
    assert all(pairs[i, i + 4] >= 1 for i in range(4))
    assert connected_components(pairs)[0] == 1


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_alpha_is_its_labellings_error(name: str) -> None:
    task = TASKS[name](np.random.default_rng(3))
    np.testing.assert_allclose(task.p.sum(axis=1), 1)
    wrong = sum(
        task.p[image, node]
        for image in range(len(task.labels))
        for node in range(len(task.node_labels))
        if task.labels[image] != task.node_labels[node]
    )
    assert task.alpha == pytest.approx(wrong / len(task.labels), abs=1e-12)
    np.testing.assert_allclose(task.w, augmentation_graph(task.p).w)
    cf.spectral(task.w, 2)


def test_alpha_vanishes_where_no_augmentation_leaves_its_class() -> None:
    assert TASKS["disconnected"](np.random.default_rng(0)).alpha == 0.0
    assert TASKS["complete"](np.random.default_rng(0)).alpha >= 0.5 - 1e-12


def test_real_kernels_meet_and_real_images_are_real() -> None:
    pixels, labels, _ = real.images("digits", 30, generator=np.random.default_rng(0), classes=3)
    assert pixels.shape == (30, 8, 8, 1)
    assert set(labels.tolist()) == {0, 1, 2}
    drawn, labels, codes = real.images("factors", 30, generator=np.random.default_rng(0))
    assert drawn.shape == (30, 8, 8, 3)
    np.testing.assert_array_equal(labels, codes[:, 0])
    for name in real.AUGMENTATIONS:
        p, _ = real.kernel(name, generator=np.random.default_rng(1))
        assert ((p > 0).sum(axis=0) > 1).mean() > 0.1  # many points are reached by two images


def test_iterators_cycle_through_all_families() -> None:
    rng = np.random.default_rng(0)
    names = [name for name, _ in families.relation_graphs(rng, len(RELATIONS) + 1)]
    assert names == [*RELATIONS, next(iter(RELATIONS))]
    seen = list(families.tasks(rng, len(TASKS)))
    assert [name for name, _ in seen] == list(TASKS)
    assert all(isinstance(task, Task) for _, task in seen)
    drawn = {families.dimension(rng, 7) for _ in range(200)}
    assert drawn == {1, 2, 3, 4, 5, 7}
