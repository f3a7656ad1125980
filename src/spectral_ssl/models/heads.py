"""Projectors and predictors, built from their specification."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from spectral_ssl.models.initialise import build
from spectral_ssl.models.specification import HeadSpecification, parse_head


class Head(nn.Sequential):
    """Layers from a representation (N, input_dim) to an embedding (N, output_dim)."""

    def __init__(self, layers: list[nn.Module], output_dim: int) -> None:
        super().__init__(*layers)
        self.output_dim = output_dim


def get_head(spec: str, input_dim: int, embedding_dim: int | None, *, generator: torch.Generator) -> Head:
    """Builds the head that `spec` names (`specification.parse_head` says which there are).

    Between the linear layers of every head stand batch norm and ReLU. The ends differ as they do in the
    papers' code: chains of widths end in a linear layer without bias (Bardes et al. 2022), `spectral` ends
    in batch norm (HaoChen et al. 2021), `simsiam` in batch norm without scale and shift, and `predictor` in
    a plain linear layer (Chen & He 2021). A linear layer that batch norm follows has a bias in the chains
    and in `spectral`, and none in SimSiam's two.

    Raises UserError for a spec outside the grammar and for impossible sizes. Weights are drawn from
    `generator` (CPU).
    """
    specification = parse_head(spec, input_dim, embedding_dim)
    head = build(lambda: Head(_layers(specification), specification.output_dim), generator=generator)
    assert isinstance(head, Head)
    return head


def _layers(specification: HeadSpecification) -> list[nn.Module]:
    kind, widths = specification.kind, specification.widths
    if kind == "none":
        return []
    *hidden, last = pairwise(widths)
    layers: list[nn.Module] = []
    for wide, narrow in hidden:
        bias = kind not in ("simsiam", "predictor")
        layers += [nn.Linear(wide, narrow, bias=bias), nn.BatchNorm1d(narrow), nn.ReLU(inplace=True)]
    layers.append(nn.Linear(*last, bias=kind not in ("mlp", "simsiam")))
    if kind in ("spectral", "simsiam"):
        layers.append(nn.BatchNorm1d(last[1], affine=kind == "spectral"))
    return layers


def parameter_count(module: nn.Module) -> int:
    """The count of trainable scalars in `module`; a shared one counts once, batch norm's averages never."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
