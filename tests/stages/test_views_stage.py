"""Views that the views stage writes one after the other are those that it would hold together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectral_ssl.data.sources import ingest, load
from spectral_ssl.stages.views import Drawn


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "digits"
    ingest("digits", folder, train_limit=40, test_limit=10)
    return Drawn(load(folder), np.arange(0, 40, 8), "digits_affine")


def test_saved_views_are_the_drawn_ones(drawn, tmp_path):
    drawn.save(tmp_path / "views.npy", 3, torch.Generator().manual_seed(0))
    saved = np.load(tmp_path / "views.npy")
    generator = torch.Generator().manual_seed(0)
    views = torch.cat([drawn.view(generator) for _ in range(3)])
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, views.numpy())
    assert not np.array_equal(saved[:5], saved[5:10])
