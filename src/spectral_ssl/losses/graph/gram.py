"""SimCLR's Gram-matching form (Balestriero & LeCun 2022, section 4)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.graph.edges import Edges, graph_loss


@graph_loss("relation")
def gram(z: Tensor, edges: Edges) -> dict[str, Tensor]:
    """|G - Z Z^T|_F^2, embeddings as they are: neither centred nor normalised.

    In three terms, so that nothing of size N x N is made where K < N: `invariance`, -2 sum_ij G_ij <z_i,
    z_j>; `repulsion`, |Z^T Z|_F^2 = sum_ij <z_i, z_j>^2, i = j included; `graph`, the constant |G|_F^2. The
    total is a difference of large numbers near a perfect match: its error is a few roundings of |G|_F^2.
    """
    second = z.T @ z if z.shape[1] < len(z) else z @ z.T
    return {
        "invariance": -2 * edges.weights @ (z[edges.rows] * z[edges.columns]).sum(dim=1),
        "repulsion": second.square().sum(),
        "graph": edges.weights.square().sum(),
    }
