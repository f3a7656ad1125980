"""Barlow Twins on the pairs of a relation graph (Balestriero & LeCun 2022)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses.algebra import normalise_columns, off_diagonal
from spectral_ssl.losses.graph.edges import Edges, graph_loss


@graph_loss("relation")
def barlow_twins(
    z: Tensor, edges: Edges, *, lambda_: float = 0.0051, center: bool = False
) -> dict[str, Tensor]:
    """sum_k (1 - C_kk)^2 + lambda_ sum_{k != l} C_kl^2, C (K, K) the column cosines of two views made from G.

    The views have one row for each non-zero G_ij, in both directions: z_i on the left, z_j on the right, both
    scaled by sqrt(G_ij), so that a weight of 2 is a pair that occurs twice. Nodes without an edge are in no
    pair and VANISH from the loss: their gradient is 0. The cosine is uncentred, as printed; `center` subtracts
    the mean over the pairs' rows first, which weights nodes by degree. Printed C_kk^2 stands for C_kl^2. A
    column's norm is kept from falling below 1e-6. `lambda_` is the pair loss's.
    On the graph of two views it is the pair loss of (z1 above z2) and (z2 above z1).
    Terms: `invariance`, the diagonal; `redundancy`, the weighted off-diagonal. UserError if G has no edge.
    """
    if len(edges.weights) == 0:
        raise UserError("G has no edge: expected at least one pair of views")
    if center:
        degrees = edges.degrees
        z = z - degrees @ z / degrees.sum()
    root = edges.weights.sqrt()[:, None]
    left, right = (normalise_columns(root * z[nodes]) for nodes in (edges.rows, edges.columns))
    correlation = left.T @ right
    return {
        "invariance": (1 - correlation.diagonal()).square().sum(),
        "redundancy": lambda_ * off_diagonal(correlation).square().sum(),
    }
