"""Projectors and predictors, built from their specification."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from spectral_ssl.models.initialise import build
from spectral_ssl.models.specification import HeadSpecification, parse_head


class Head(nn.Sequential):
    """Layers from a representation (N, input_dim) to an embedding (N, output_dim)."""

    def __init__(self, specification: HeadSpecification) -> None:
        super().__init__(*_layers(specification))
        self.output_dim = specification.output_dim


def get_head(spec: str, input_dim: int, embedding_dim: int | None, *, generator: torch.Generator) -> Head:
    """Builds the head that `spec` names (`specification.parse_head` says which there are).

    Between the linear layers of every head stand batch norm and ReLU, but for `moco`, which has ReLU alone (Chen et
    al. 2020). The ends differ as they do in the papers' code: chains of widths, `byol` among them, end in a
    linear layer without bias (Bardes et al. 2022, Grill et al. 2020), `spectral` and `nnclr` in batch norm (HaoChen et
    al. 2021, Dwibedi et al. 2021), `simsiam` in batch norm without scale and shift, `predictor` and `moco` in a
    plain linear layer (Chen & He 2021, Chen et al. 2020). A linear layer that batch norm follows has a bias in the
    chains and in `spectral`, and none elsewhere, where batch norm subtracts it again.

    Raises UserError for a spec outside the grammar and for impossible sizes. Weights are drawn from
    `generator` (CPU).
    """
    specification = parse_head(spec, input_dim, embedding_dim)
    head = build(lambda: Head(specification), generator=generator)
    assert isinstance(head, Head)
    return head


def _layers(specification: HeadSpecification) -> list[nn.Module]:
    kind, widths = specification.kind, specification.widths
    if kind == "none":
        return []
    *hidden, last = pairwise(widths)
    layers: list[nn.Module] = []
    for wide, narrow in hidden:
        layers.append(nn.Linear(wide, narrow, bias=kind in ("mlp", "spectral", "moco")))
        if kind != "moco":
            layers.append(nn.BatchNorm1d(narrow))
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(*last, bias=kind in ("linear", "spectral", "predictor", "moco")))
    if kind in ("spectral", "simsiam", "nnclr"):
        layers.append(nn.BatchNorm1d(last[1], affine=kind != "simsiam"))
    return layers


def parameter_count(module: nn.Module) -> int:
    """The count of trainable scalars in `module`; a shared one counts once, batch norm's averages never."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
