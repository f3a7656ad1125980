"""SimCLR over a relation graph (Balestriero & LeCun 2022)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.algebra import normalise_rows, off_diagonal
from spectral_ssl.losses.graph.edges import Edges, graph_loss
from spectral_ssl.losses.terms import check_positive


@graph_loss("relation")
def simclr(z: Tensor, edges: Edges, *, temperature: float = 0.15) -> dict[str, Tensor]:
    """-sum_ij G_ij log Ghat_ij, the cross-entropy of G and its estimate from cosine similarities s.

    Ghat_ij = exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau) for i != j and 0 for i = j, tau = `temperature`
    (> 0): right-stochastic. The indicator is printed as 1{i = j}, with which every term would be infinite.
    The other positives of an anchor are among its candidates. A sum, as printed: on the graph of two views of
    N images it is 2N times the pair loss `simclr` with "full" negatives. Isolated nodes are candidates only.
    O(N^2 K) time and O(N^2) memory whatever the graph.
    Terms: `invariance`, -sum G_ij s_ij / tau; `repulsion`, the degree times each anchor's log-sum-exp.
    """
    check_positive("temperature", temperature)
    z = normalise_rows(z)
    positive = (z[edges.rows] * z[edges.columns]).sum(dim=1) / temperature
    candidates = off_diagonal(z @ z.T / temperature).logsumexp(dim=1)
    return {"invariance": -edges.weights @ positive, "repulsion": edges.degrees @ candidates}
