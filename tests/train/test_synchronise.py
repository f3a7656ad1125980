"""Batch norm over processes where it asks none of the others: in evaluation mode."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spectral_ssl.train.synchronise import SynchronisedBatchNorm, synchronise


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_evaluation_is_torchs_with_and_without_running_statistics(
    layer: type[nn.BatchNorm1d | nn.BatchNorm2d], tracked: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 3 + torch.randn(6, 4, *((2, 2) if layer is nn.BatchNorm2d else ()), generator=generator)
    network = nn.Sequential(layer(4, track_running_stats=tracked)).eval()
    replaced = copy.deepcopy(network)
    synchronise(replaced, torch.device("cpu"))
    assert isinstance(replaced[0], SynchronisedBatchNorm)
    assert torch.equal(replaced(x), network(x))
    assert (replaced(x).mean().abs() < 1e-6) != tracked, "running means start at 0"
