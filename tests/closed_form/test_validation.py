from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from spectral_ssl import closed_form as cf
from spectral_ssl.errors import UserError

GOOD = np.ones((4, 4)) - np.eye(4)
FORMS: list[Callable[..., cf.Result]] = [cf.vicreg, cf.simclr, cf.barlow_twins, cf.spectral]


def changed(row: int, column: int, value: float, both: bool = True) -> np.ndarray:
    G = GOOD.copy()
    G[row, column] = value
    if both:
        G[column, row] = value
    return G


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (changed(0, 1, 2.0, both=False), "symmetric"),
        (changed(0, 1, -1.0), "negative"),
        (changed(0, 1, np.nan), "finite"),
        (changed(0, 1, np.inf), "finite"),
        (np.ones((3, 4)), r"\(3, 4\)"),
    ],
)
def test_bad_graphs_are_refused(
    form: Callable[..., cf.Result], graph: np.ndarray, words: str, sparse: bool
) -> None:
    with pytest.raises(UserError, match=words):
        form(sp.csr_array(graph) if sparse else graph, 2)


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_diagonal_is_refused_where_the_graph_has_none(
    form: Callable[..., cf.Result], kind: Callable
) -> None:
    with pytest.raises(UserError, match=r"^G\[0, 0\] = 1 lies on the diagonal, which must be zero: .*$"):
        form(kind(GOOD + np.eye(4)), 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_refusal_is_one_line_that_names_the_hypothesis(
    form: Callable[..., cf.Result], kind: Callable
) -> None:
    for graph, k, words in (
        (changed(0, 1, 2.0, both=False), 2, "symmetric"),
        (changed(0, 1, -1.0), 2, "negative"),
        (changed(0, 1, np.nan), 2, "finite"),
        (GOOD, 5, "more than the N samples"),
    ):
        with pytest.raises(UserError, match=words) as refusal:
            form(kind(graph), k)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_isolated_nodes_are_refused_by_spectral_and_allowed_elsewhere(kind: Callable) -> None:
    lonely = np.zeros((5, 5))
    lonely[:4, :4] = GOOD
    lonely = kind(lonely)
    with pytest.raises(UserError, match=r"degree 0 \(4\): drop"):
        cf.spectral(lonely, 2)
    for form in FORMS[:3]:
        assert np.isfinite(form(lonely, 2).embedding).all()
    with pytest.raises(UserError, match="no edge"):
        cf.barlow_twins(kind(np.zeros((4, 4))), 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("k", [0, -1, 5, 1.5, True])
def test_bad_dimensions_are_refused(form: Callable[..., cf.Result], k: int) -> None:
    with pytest.raises(UserError, match=r"^k is "):
        form(GOOD, k)


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize(
    "X", [np.ones((3, 2)), np.ones(4), np.full((4, 2), np.nan), np.ones((4, 0)), [["a"], ["b"], ["c"], ["d"]]]
)
def test_bad_features_are_refused(form: Callable[..., cf.Result], X: object) -> None:
    with pytest.raises(UserError, match=r"^X "):
        form(GOOD, 2, X=X)


def test_bad_hyperparameters_are_refused() -> None:
    with pytest.raises(UserError, match="divisor"):
        cf.vicreg(GOOD, 2, divisor="N")
    with pytest.raises(UserError, match="at least 2 samples"):
        cf.vicreg(np.zeros((1, 1)), 1)
    for value in (0.0, -1.0, np.nan):
        with pytest.raises(UserError, match="variance"):
            cf.vicreg(GOOD, 2, variance=value)
    for value in (-0.1, np.inf):
        with pytest.raises(UserError, match="invariance"):
            cf.vicreg(GOOD, 2, invariance=value)
    with pytest.raises(UserError, match="alpha"):
        cf.barlow_twins(GOOD, 2, alpha=0.5)
    with pytest.raises(UserError, match="rank of the centred X"):
        cf.barlow_twins(GOOD, 2, X=np.ones((4, 2)))
    with pytest.raises(UserError, match="not numeric"):
        cf.spectral([["a", "b"], ["c", "d"]], 1)


def test_sparse_and_dense_inputs_give_the_same_result() -> None:
    rng = np.random.default_rng(0)
    G = np.triu(rng.random((8, 8)), 1)
    G = G + G.T
    X = rng.standard_normal((8, 3))
    for form in FORMS:
        kwargs: list[dict[str, object]] = [{}] if form is cf.spectral else [{}, {"X": X}]
        for more in kwargs:
            dense, sparse = form(G, 2, **more), form(sp.csr_array(G), 2, **more)
            assert pytest.approx(dense.embedding, abs=1e-12) == sparse.embedding
            assert pytest.approx(dense.loss) == sparse.loss


def test_constant_features_leave_vicreg_nothing() -> None:
    result = cf.vicreg(GOOD, 2, X=np.ones((4, 2)))
    assert np.array_equal(result.embedding, np.zeros((4, 2)))
    assert result.loss == 2
    assert np.array_equal(cf.simclr(GOOD, 2, X=np.zeros((4, 2))).embedding, np.zeros((4, 2)))
