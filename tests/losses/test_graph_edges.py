"""Graphs in every form, one set of edges; what is no graph is refused in one line."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from spectral_ssl.errors import UserError
from spectral_ssl.losses.graph import get_graph_loss, graph_loss_names
from spectral_ssl.losses.graph.edges import augmentation_edges, relation_edges

DENSE = np.array([[0, 2.0, 0, 0], [2.0, 0, 0.5, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]])
FORMS = {
    "list": lambda a: a.tolist(),
    "integers": lambda a: np.rint(a * 2).astype(int),
    "tensor": torch.from_numpy,
    "bfloat16": lambda a: torch.from_numpy(a).bfloat16(),
    "torch coo": lambda a: torch.from_numpy(a).to_sparse_coo(),
    "scipy csr": sp.csr_array,
    "scipy coo": sp.coo_matrix,
    "stored zeros": lambda a: sp.csr_array((a.ravel(), np.tile(np.arange(4), 4), np.arange(0, 17, 4))),
    "duplicates": lambda a: sp.coo_array(
        (np.tile(a[a != 0] / 2, 2), tuple(np.tile(index, 2) for index in np.nonzero(a))), shape=a.shape
    ),
    "torch csr": lambda a: torch.from_numpy(a).to_sparse_csr(),
    "torch duplicates": lambda a: torch.sparse_coo_tensor(
        torch.from_numpy(np.tile(np.array(np.nonzero(a)), 2)),
        torch.from_numpy(np.tile(a[a != 0] / 2, 2)),
        a.shape,
    ),
}
# torch's own remark to whoever makes such a tensor
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
some_forms = pytest.mark.parametrize("form", ["tensor", "torch coo", "scipy csr", "list"])


@pytest.fixture(autouse=True)
def _sparse_tensors_are_checked():
    with torch.sparse.check_sparse_tensor_invariants():
        yield


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_edges(form):
    edges = relation_edges(FORMS[form](DENSE))
    assert edges.nodes == 4
    assert edges.rows.tolist() == [0, 1, 1, 2]
    assert edges.columns.tolist() == [1, 0, 2, 1]
    factor = 2 if form == "integers" else 1
    assert edges.weights.tolist() == [factor * weight for weight in (2.0, 2.0, 0.5, 0.5)]
    assert edges.degrees.tolist() == [factor * degree for degree in (2.0, 2.5, 0.5, 0.0)]
    assert edges.weights.dtype == torch.float64


def test_the_callers_graph_is_left_as_it_was():
    stored = FORMS["stored zeros"](DENSE)
    relation_edges(stored)
    assert stored.nnz == 16


def test_augmentation_edges_keep_the_diagonal_and_sum_to_1():
    w = DENSE[:3, :3] + np.eye(3)
    edges = augmentation_edges(torch.from_numpy(w))
    assert edges.weights.sum().item() == pytest.approx(1)
    assert edges.degrees.tolist() == pytest.approx((w.sum(axis=1) / w.sum()).tolist())
    assert len(edges.weights) == 7


def test_edges_move_and_change_precision():
    edges = relation_edges(DENSE).to("cpu", torch.float32)
    assert edges.weights.dtype == edges.degrees.dtype == torch.float32
    assert edges.rows.dtype == torch.int64


def changed(row: int, column: int, value: float, both: bool = True) -> np.ndarray:
    G = DENSE.copy()
    G[row, column] = value
    if both:
        G[column, row] = value
    return G


@some_forms
@pytest.mark.parametrize("name", graph_loss_names())
@pytest.mark.parametrize(
    ("graph", "relation", "augmentation"),
    [
        (changed(0, 2, 1.0, both=False), "G[0, 2] = 1 but G[2, 0] = 0", "w is not symmetric"),
        (changed(0, 1, -1.0), "G[0, 1] = -1 is negative", "w has a negative weight (-1)"),
        (changed(0, 1, np.nan), "G[0, 1] = nan is not finite", "w has 2 NaN or infinite weights"),
        (changed(1, 1, 3.0), "G[1, 1] = 3 lies on the diagonal", "w has 1 nodes of degree 0 (3)"),
        (DENSE[:3], "shape (3, 4): expected a square matrix", "w has shape (3, 4): expected a square"),
    ],
)
def test_what_is_no_graph_is_refused(name, form, graph, relation, augmentation):
    with pytest.raises(UserError, match=re.escape(augmentation if name == "spectral" else relation)) as error:
        get_graph_loss(name)(torch.ones(4, 2), FORMS[form](graph))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", graph_loss_names())
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 2), r"embeddings of 3 samples and a graph of 4 nodes: expected as many"),
        ((4, 2, 1), r"matrix .*: found shape \(4, 2, 1\)"),
    ],
)
def test_embeddings_of_the_wrong_shape_are_refused(name, shape, message):
    graph = DENSE + np.eye(4) if name == "spectral" else DENSE
    with pytest.raises(UserError, match=message):
        get_graph_loss(name)(torch.ones(shape), graph)


@pytest.mark.parametrize("name", graph_loss_names())
def test_other_mistakes(name):
    loss, Z = get_graph_loss(name), torch.ones(4, 2)
    with pytest.raises(UserError, match="is not numeric: pass an"):
        loss(Z, [["a", "b"], ["c", "d"]])
    with pytest.raises(UserError, match=r"a graph of shape \(4, 4, 4\): expected a square matrix"):
        loss(Z, torch.ones(4, 4, 4))
    with pytest.raises(UserError, match=r"1 sample\(s\), expected at least 2"):
        loss(Z[:1], [[1.0 if name == "spectral" else 0.0]])
    kind, other = ("augmentation", "relation") if name == "spectral" else ("relation", "augmentation")
    edges = {"relation": relation_edges(DENSE), "augmentation": augmentation_edges(DENSE + np.eye(4))}
    with pytest.raises(UserError, match=f"an? {other} graph, expected those of {kind}: use {kind}_edges"):
        loss(Z, edges[other])
