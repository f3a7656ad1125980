"""Embeddings that the tests of the losses share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    """Two correlated views' embeddings (7, 4) in float64, neither centred nor normalised."""
    generator = torch.Generator().manual_seed(20)
    z1 = 0.3 + torch.randn(7, 4, generator=generator, dtype=torch.float64)
    return z1, 0.8 * z1 + 0.5 * torch.randn(7, 4, generator=generator, dtype=torch.float64)
