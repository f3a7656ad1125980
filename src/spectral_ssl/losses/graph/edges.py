"""The form in which the graph losses hold a graph, and the care that each of them takes of its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from spectral_ssl.closed_form import validate
from spectral_ssl.errors import UserError
from spectral_ssl.losses.terms import Terms, check_embeddings, full_precision, promote

P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Edges:
    """The non-zero weights of a graph of `nodes` nodes, row by row; each edge stands there in both directions.

    kind: "relation" (Balestriero & LeCun 2022) or "augmentation" (HaoChen et al. 2021; sum 1, with diagonal).
    rows, columns: (E,) int64. weights: (E,) float64.
    """

    kind: str
    nodes: int
    rows: Tensor
    columns: Tensor
    weights: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Edges:
        """The same edges on a device, weights in another precision."""
        rows, columns = self.rows.to(device), self.columns.to(device)
        return replace(self, rows=rows, columns=columns, weights=self.weights.to(device, dtype))

    @property
    def degrees(self) -> Tensor:
        """Row sums of the graph (N,); 0 for isolated nodes."""
        return self.weights.new_zeros(self.nodes).index_add(0, self.rows, self.weights)


def relation_edges(G: Any) -> Edges:
    """Edges of a relation graph G (N, N): symmetric, finite, non-negative, zero diagonal, else UserError.

    G may be an array, a tensor, or scipy or torch sparse. The edges are on the CPU: `.to(device)` them once.
    """
    return _edges("relation", validate.relation_graph(_array(G)))


def augmentation_edges(w: Any) -> Edges:
    """Edges of augmentation-graph weights w (N, N), scaled to sum 1; as `relation_edges`, with a diagonal.

    Raises UserError for a node of degree 0 as well.
    """
    matrix = validate.augmentation_weights(_array(w))
    return _edges("augmentation", matrix / matrix.sum())


PREPARE = {"relation": relation_edges, "augmentation": augmentation_edges}


def graph_loss(
    kind: str,
) -> Callable[
    [Callable[Concatenate[Tensor, Edges, P], dict[str, Tensor]]], Callable[Concatenate[Tensor, Any, P], Terms]
]:
    """Make a loss of embeddings and edges of this kind check both and compute as `pair_loss` does.

    That is outside autocast, in float32 or float64; the weights take the embeddings' precision and device.
    """

    def decorate(
        function: Callable[Concatenate[Tensor, Edges, P], dict[str, Tensor]],
    ) -> Callable[Concatenate[Tensor, Any, P], Terms]:
        @wraps(function)
        def compute(z: Tensor, graph: Any, /, *args: P.args, **kwargs: P.kwargs) -> Terms:
            check_embeddings(z)
            edges = graph if isinstance(graph, Edges) else PREPARE[kind](graph)
            if edges.kind != kind:
                raise UserError(
                    f"found the edges of an {edges.kind} graph, expected those of {kind}: use {kind}_edges"
                )
            if len(z) != edges.nodes:
                raise UserError(
                    f"found embeddings of {len(z)} samples and a graph of {edges.nodes} nodes: expected as many; "
                    "row i must embed node i"
                )
            if len(z) < 2:
                raise UserError(
                    f"found embeddings of {len(z)} sample(s), expected at least 2: fewer have no pairs"
                )
            (z,) = promote(z)
            with full_precision(z):
                return Terms(function(z, edges.to(z.device, z.dtype), *args, **kwargs))

        return compute

    return decorate


def _array(graph: Any) -> Any:
    """The weights of a tensor as an array or scipy sparse one; anything else as it is."""
    if not isinstance(graph, Tensor):
        return graph
    if graph.ndim != 2:
        raise UserError(f"a graph of shape {tuple(graph.shape)}: expected a square matrix of weights")
    weights = graph.detach().to("cpu", torch.float64)  # numpy has no bfloat16
    if weights.layout == torch.strided:
        return weights.numpy()
    entries = weights.to_sparse_coo().coalesce()
    return sp.csr_array((entries.values().numpy(), entries.indices().numpy()), shape=tuple(graph.shape))


def _edges(kind: str, matrix: validate.Matrix) -> Edges:
    entries = sp.coo_array(matrix)
    present = entries.data != 0  # a sparse matrix may store zeros
    rows, columns = (torch.from_numpy(i[present].astype(np.int64)) for i in (entries.row, entries.col))
    return Edges(kind, matrix.shape[0], rows, columns, torch.from_numpy(entries.data[present]))
