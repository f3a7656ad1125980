"""The groups that leave a loss unchanged, measured, and for each a neighbouring one that does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss

QUADRATIC = {"variance_kind": "quadratic", "reduction": "sum", "variance": 1.0, "covariance": 1.0}
K = 4


def _orthogonal(fixing_ones: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    q = torch.linalg.qr(torch.randn(K, K, generator=generator, dtype=torch.float64))[0]
    if not fixing_ones:
        return q
    basis = torch.eye(K, dtype=torch.float64)
    basis[:, 0] = 1
    basis = torch.linalg.qr(basis)[0]  # first column along 1
    inner = torch.eye(K, dtype=torch.float64)
    inner[1:, 1:] = torch.linalg.qr(torch.randn(K - 1, K - 1, generator=generator, dtype=torch.float64))[0]
    return basis @ inner @ basis.T


PERMUTATION = torch.eye(K, dtype=torch.float64)[[2, 0, 3, 1]]
SIGNS = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
SCALES = torch.diag(torch.tensor([0.5, 2.0, 3.0, 0.1], dtype=torch.float64))
MAPS = {
    "permutation": PERMUTATION,
    "signed permutation": PERMUTATION @ SIGNS,
    "column scaling": SCALES,
    "rotation": _orthogonal(),
    "rotation fixing 1": _orthogonal(fixing_ones=True),
}
ROTATIONS = ["permutation", "signed permutation", "rotation", "rotation fixing 1"]
CASES = [
    *((name, {}, ROTATIONS) for name in ("simclr", "simclr_abs", "dcl", "dcl_sq", "tcr", "spectral")),
    ("negative_cosine", {}, ROTATIONS),
    ("simclr", {"center": True}, ROTATIONS),
    ("simclr", {"standardise": True}, ["permutation", "signed permutation", "column scaling"]),
    ("vicreg", {}, ["permutation", "signed permutation"]),
    ("vicreg", QUADRATIC, ROTATIONS),
    ("vicreg_exp", {}, ["permutation"]),
    ("vicreg_ctr", {}, ROTATIONS),
    ("vicreg_ctr", {"centering": "none"}, ROTATIONS),
    ("vicreg_ctr", {"centering": "embedding"}, ["permutation", "rotation fixing 1"]),
    ("barlow_twins", {}, ["permutation", "signed permutation", "column scaling"]),
    ("barlow_twins", {"center": False}, ["permutation", "signed permutation", "column scaling"]),
]


@pytest.mark.parametrize(("name", "options", "kept"), CASES)
@pytest.mark.parametrize("kind", MAPS)
def test_right_multiplications(name, options, kept, kind, views):
    loss = get_loss(name)
    before = loss(*views, **options).total.item()
    after = loss(*(z @ MAPS[kind] for z in views), **options).total.item()
    if kind in kept:
        assert after == pytest.approx(before, rel=1e-12)
    else:
        assert abs(after - before) > 1e-3 * abs(before)


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, _ in CASES])
def test_samples_may_be_reordered_together_only(name, options, views):
    loss = get_loss(name)
    before = loss(*views, **options).total.item()
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    together = loss(*(z[order] for z in views), **options).total.item()
    assert together == pytest.approx(before, rel=1e-12)
    assert abs(loss(views[0], views[1][order], **options).total.item() - before) > 1e-3 * abs(before)


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, _ in CASES])
def test_views_may_be_exchanged(name, options, views):
    loss = get_loss(name)
    there, back = loss(*views, **options), loss(*views[::-1], **options)
    assert back.total.item() == pytest.approx(there.total.item(), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["simclr", "dcl_abs", "tcr", "negative_cosine", "vicreg", "spectral", "barlow_twins"]
)
def test_lengths_of_embeddings_matter_only_to_losses_that_do_not_normalise_them(name, views):
    lengths = torch.linspace(0.2, 0.9, 7, dtype=torch.float64)[:, None]
    before = get_loss(name)(*views).total.item()
    after = get_loss(name)(*(lengths * z for z in views)).total.item()
    if name in ("simclr", "dcl_abs", "tcr", "negative_cosine"):
        assert after == pytest.approx(before, rel=1e-12)
    else:
        assert abs(after - before) > 1e-2 * abs(before)
