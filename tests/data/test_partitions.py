import numpy as np
import pytest
from scipy import sparse

from spectral_ssl.data import partitions
from spectral_ssl.errors import UserError

KINDS = [np.asarray, sparse.csr_array, sparse.coo_matrix]


def random_graph(seed=0, n=9):
    upper = np.triu(np.random.default_rng(seed).uniform(size=(n, n)), 1)
    return upper + upper.T


@pytest.mark.parametrize("kind", KINDS)
def test_conductance_counts_crossing_weight(kind):
    g = random_graph(seed=3) + np.eye(9)
    subset = [1, 4, 5]
    rest = [i for i in range(9) if i not in subset]
    expected = sum(g[i, j] for i in subset for j in rest) / sum(g[i, j] for i in subset for j in range(9))
    assert partitions.conductance(kind(g), subset) == pytest.approx(expected, rel=1e-14)
    assert partitions.conductance(kind(g), np.isin(np.arange(9), subset)) == partitions.conductance(
        kind(g), subset
    )
    assert partitions.conductance(kind(g), range(9)) == 0


@pytest.mark.parametrize("subset", [[], [9], [-1], [0.5], [True, False]])
def test_conductance_refuses_a_subset_that_is_none(subset):
    with pytest.raises(UserError, match="subset"):
        partitions.conductance(random_graph(), subset)


def test_conductance_of_isolated_nodes_is_undefined():
    with pytest.raises(UserError, match="degree zero"):
        partitions.conductance(np.zeros((3, 3)), [1])


def set_partitions(n):
    """Every partition of n nodes, as labels in order of first appearance."""
    grown = [(0,)]
    for _ in range(n - 1):
        grown = [(*labels, new) for labels in grown for new in range(max(labels) + 2)]
    return [np.array(labels) for labels in grown]


def least_by_enumeration(w, m):
    return min(
        max(partitions.conductance(w, labels == part) for part in range(m))
        for labels in set_partitions(len(w))
        if labels.max() == m - 1
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1, 2, 3, 5, 7])
def test_sparsest_partition_is_the_best_of_all(kind, m):
    w = random_graph(seed=4, n=7) ** 4 + np.diag(np.linspace(0, 0.4, 7))
    found = partitions.sparsest_partition(kind(w), m)
    expected = least_by_enumeration(w, m)
    assert found.conductance == pytest.approx(expected, rel=1e-12)
    assert partitions.partition_conductances(kind(w))[m - 1] == found.conductance
    assert max(partitions.conductance(w, part) for part in found.sets) == pytest.approx(expected, rel=1e-12)
    assert len(found.sets) == m
    np.testing.assert_array_equal(np.sort(np.concatenate(found.sets)), np.arange(7))
    assert 0 <= found.lower <= found.conductance + 1e-15
    assert [part[0] for part in found.sets] == sorted(part[0] for part in found.sets)


def test_lower_bound_is_half_an_eigenvalue():
    w = random_graph(seed=5, n=6) + np.eye(6)
    root = np.sqrt(w.sum(axis=1))
    lambdas = np.sort(1 - np.linalg.eigvalsh(w / np.outer(root, root)))
    assert partitions.sparsest_partition(w, 3).lower == pytest.approx(lambdas[2] / 2, rel=1e-12)


def planted(seed=6, sizes=(5, 4, 3), leak=1e-3):
    """Dense blocks, nodes shuffled, with little weight between them; and the block of each node."""
    rng = np.random.default_rng(seed)
    block = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    drawn = np.triu(rng.uniform(0.5, 1, (block.size, block.size)))
    same = block[:, None] == block
    return (drawn + drawn.T) * np.where(same, 1.0, leak), block


@pytest.mark.parametrize("leak", [0.0, 1e-3])
@pytest.mark.parametrize("kind", KINDS)
def test_planted_blocks_are_found_by_both_searches(kind, leak):
    w, block = planted(leak=leak)
    exact = partitions.sparsest_partition(kind(w), 3)
    spectral = partitions.spectral_partition(kind(w), 3, generator=np.random.default_rng(0))
    for found in (exact, spectral):
        sets = {tuple(part) for part in found.sets}
        assert sets == {tuple(np.flatnonzero(block == b)) for b in range(3)}
    assert spectral.conductance == pytest.approx(exact.conductance, rel=1e-12)
    assert (exact.conductance == 0) == (leak == 0)


@pytest.mark.parametrize("m", range(1, 11))
def test_spectral_partition_is_an_upper_bound(m):
    w = random_graph(seed=m, n=10) ** 6
    exact = partitions.sparsest_partition(w, m)
    found = partitions.spectral_partition(w, m, generator=np.random.default_rng(m))
    assert exact.lower == found.lower <= exact.conductance + 1e-15
    assert exact.conductance <= found.conductance + 1e-15
    assert found.conductance == pytest.approx(max(partitions.conductance(w, part) for part in found.sets))
    assert len(found.sets) == m
    np.testing.assert_array_equal(np.sort(np.concatenate(found.sets)), np.arange(10))


def test_spectral_partition_of_a_graph_that_the_exact_search_cannot_take():
    w, block = planted(sizes=(40, 30, 20, 10))
    with pytest.raises(UserError, match="sparsest partition of 100 nodes: the exact search takes at most 16"):
        partitions.sparsest_partition(w, 4)
    found = partitions.spectral_partition(w, 4, generator=np.random.default_rng(1))
    assert {tuple(part) for part in found.sets} == {tuple(np.flatnonzero(block == b)) for b in range(4)}
    assert found.lower <= found.conductance < 0.05


def test_more_components_than_sets_cost_nothing():
    w = np.kron(np.eye(6), [[2.0, 1.0], [1.0, 3.0]])
    found = partitions.spectral_partition(w, 4, generator=np.random.default_rng(2))
    assert found.conductance == 0
    assert found.lower == pytest.approx(0, abs=1e-15)


def test_more_restarts_find_sparser_partitions():
    w = random_graph(seed=2, n=30) ** 6
    found = [
        partitions.spectral_partition(w, 5, generator=np.random.default_rng(0), restarts=restarts).conductance
        for restarts in (1, 4, 16)  # the first of each draw are the same
    ]
    assert found == sorted(found, reverse=True)
    assert found[2] < found[0]


def test_nodes_that_cannot_be_told_apart_are_parted_all_the_same():
    found = partitions.spectral_partition(np.ones((6, 6)), 3, generator=np.random.default_rng(3))
    assert len(found.sets) == 3
    assert all(part.size for part in found.sets)


def test_the_same_generator_gives_the_same_partition():
    w = random_graph(seed=8, n=30)
    first, again = (partitions.spectral_partition(w, 5, generator=np.random.default_rng(9)) for _ in range(2))
    assert first.conductance == again.conductance
    for one, other in zip(first.sets, again.sets, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("m", [0, 10, 1.5, True])
def test_searches_refuse_a_number_of_sets_that_is_none(m):
    with pytest.raises(UserError, match=f"9 nodes into m = {m} sets: choose m from 1 to 9"):
        partitions.sparsest_partition(random_graph(), m)
    with pytest.raises(UserError, match=f"9 nodes into m = {m} sets: choose m from 1 to 9"):
        partitions.spectral_partition(random_graph(), m, generator=np.random.default_rng(0))


def test_searches_refuse_a_bad_graph():
    w = random_graph()
    w[2, 5] += 1
    with pytest.raises(UserError, match="w is not symmetric"):
        partitions.sparsest_partition(w, 2)
    with pytest.raises(UserError, match=r"degree 0 \(3\)"):
        partitions.partition_conductances(np.diag([1.0, 1, 1, 0]))
    with pytest.raises(UserError, match="restarts is 0"):
        partitions.spectral_partition(random_graph(), 2, generator=np.random.default_rng(0), restarts=0)
