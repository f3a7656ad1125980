"""The population spectral contrastive loss on an augmentation graph (HaoChen et al. 2021)."""

from __future__ import annotations

from torch import Tensor

from spectral_ssl.losses.graph.edges import Edges, graph_loss


@graph_loss("augmentation")
def spectral(f: Tensor, edges: Edges) -> dict[str, Tensor]:
    """-2 sum_xx' w_xx' <f(x), f(x')> + sum_xx' w_x w_x' <f(x), f(x')>^2: equation 6, expectations as sums.

    The graph is HaoChen et al.'s w (N, N), diagonal included, scaled to sum 1, with degrees w_x > 0; f (N, K)
    are the embeddings themselves, without sqrt(w_x). Pairs x = x' count in both sums. At least minus
    sum_xx' w_xx'^2 / (w_x w_x'), as `closed_form.spectral_contrastive_loss`, of which this is the
    differentiable form. The second sum is |f^T diag(w_x) f|_F^2, on the smaller of its two sides.
    Terms: `invariance`; `repulsion`.
    """
    scaled = edges.degrees.sqrt()[:, None] * f
    second = scaled.T @ scaled if f.shape[1] < len(f) else scaled @ scaled.T
    return {
        "invariance": -2 * edges.weights @ (f[edges.rows] * f[edges.columns]).sum(dim=1),
        "repulsion": second.square().sum(),
    }
