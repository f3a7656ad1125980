"""The losses of self-supervised learning as pure functions of embeddings: named terms and their sum."""

from spectral_ssl.losses.registry import Loss, get_loss, loss_names

__all__ = ["Loss", "get_loss", "loss_names"]
