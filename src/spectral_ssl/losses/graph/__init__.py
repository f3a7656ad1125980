"""Losses of embeddings Z (N, K) on a graph of N nodes, as Balestriero & LeCun (2022) write them.

The losses of two views, one folder up, know pairs only; these take any symmetric weights between samples.
`edges.relation_edges` and `edges.augmentation_edges` validate a graph once, for a loop that calls a loss often.
"""

from spectral_ssl.losses.graph.registry import GraphLoss, get_graph_loss, graph_loss_names

__all__ = ["GraphLoss", "get_graph_loss", "graph_loss_names"]
