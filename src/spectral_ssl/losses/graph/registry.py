"""Names of graph losses -> the functions that compute them, imported (torch with them) when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectral_ssl.errors import unknown
from spectral_ssl.losses.graph.table import GRAPH_LOSSES
from spectral_ssl.losses.registry import Loss

if TYPE_CHECKING:
    from torch import Tensor

    from spectral_ssl.losses.terms import Terms


@dataclass(frozen=True)
class GraphLoss(Loss):
    """A graph loss by its name: `loss(z, graph, **hyperparameters)` gives its weighted terms."""

    # A graph in the place of the second view is no use of the pair losses' type: hence the ignored override.
    def __call__(self, z: Tensor, graph: Any, **hyperparameters: Any) -> Terms:  # type: ignore[override]
        """Weighted terms of the loss for embeddings z (N, K), row i that of node i of the graph (N, N).

        The graph: an array, tensor or scipy or torch sparse matrix, validated at every call, or what
        `relation_edges` (for "spectral": `augmentation_edges`) made of it, validated once. It is data: no
        gradient reaches it. Raises UserError for a graph that is not symmetric, non-negative and of zero
        diagonal, as many rows as embeddings, and as the losses of two views do.
        """
        return super().__call__(z, graph, **hyperparameters)


def get_graph_loss(name: str) -> GraphLoss:
    """The graph loss of that name; UserError, naming the nearest, when there is none."""
    if name not in GRAPH_LOSSES:
        raise unknown("graph loss", name, GRAPH_LOSSES)
    module, function, fixed = GRAPH_LOSSES[name]
    return GraphLoss(name, f"{__package__}.{module}", function, dict(fixed))


def graph_loss_names() -> list[str]:
    """The names that `get_graph_loss` knows."""
    return list(GRAPH_LOSSES)
