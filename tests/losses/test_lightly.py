"""Our losses against lightly 1.6's in float64: where conventions differ, the difference is a formula here."""

from __future__ import annotations

import math
import warnings
from types import ModuleType

import pytest
import torch

from spectral_ssl.losses import get_loss


@pytest.fixture(scope="module")
def lightly() -> ModuleType:
    """lightly.loss, whose import may warn about its own dependencies; its calls may not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lightly.loss", exc_type=ImportError)


@pytest.fixture
def large() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(64, 16, generator=generator, dtype=torch.float64) + 0.2
    return 0.7 * z, 0.6 * z + 0.3 * torch.randn(64, 16, generator=generator, dtype=torch.float64)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_simclr_is_ntxent(lightly, large, tau):
    same(get_loss("simclr")(*large, temperature=tau).total, lightly.NTXentLoss(temperature=tau)(*large))


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_dcl(lightly, large, tau):
    """Negatives from both views, in one log-sum-exp an anchor."""
    theirs = lightly.DCLLoss(temperature=tau)(*large)
    same(get_loss("dcl")(*large, temperature=tau).total, theirs)
    same_view = get_loss("dcl")(*large, temperature=tau, negatives="same_view").total
    assert abs(same_view - theirs) > 0.1


def test_vicreg_with_its_variance_halved(lightly, large):
    """lightly takes the MEAN of the two views' hinges: its mu is twice our `variance` weight."""
    ours = get_loss("vicreg")(*large, invariance=25.0, variance=25.0, covariance=2.0)
    assert ours["variance"] > 0.1
    same(ours.total, lightly.VICRegLoss(lambda_param=25.0, mu_param=2 * 25.0, nu_param=2.0)(*large))
    assert abs(lightly.VICRegLoss(lambda_param=25.0, mu_param=25.0, nu_param=2.0)(*large) - ours.total) > 0.1


def test_barlow_twins_with_the_epsilon_of_batch_normalisation(lightly, large):
    """lightly divides by sqrt(var + 1e-5), biased: a column's squared norm grows by N 1e-5.

    Adding to each view one row of sqrt(N 1e-5), opposite a row of zeros in the other view, does the same to
    the uncentred cosine: the norms grow by that much and the inner products do not change.
    """
    n, k = large[0].shape
    row, zero = torch.full((1, k), math.sqrt(n * 1e-5), dtype=torch.float64), torch.zeros(1, k).double()
    left, right = (z - z.mean(0) for z in large)
    theirs = lightly.BarlowTwinsLoss(lambda_param=0.01)(*large)
    extended = torch.cat([left, row, zero]), torch.cat([right, zero, row])
    same(get_loss("barlow_twins")(*extended, lambda_=0.01, center=False).total, theirs)
    ours = get_loss("barlow_twins")(*large, lambda_=0.01).total
    assert 0 < abs(ours - theirs) < 1e-3 * theirs, "without the epsilon the two are close and not equal"


def test_negative_cosine(lightly, large):
    """torch's cosine keeps norms from falling below 1e-8, ours below 1e-6: equal for these."""
    same(get_loss("negative_cosine")(*large).total, lightly.NegativeCosineSimilarity()(*large))


def test_coding_rate(lightly, large):
    """lightly's tcr_loss is PLUS the mean rate of the views, of embeddings that its caller has normalised.

    (Added to an invariance that is minimised, as in EMPSSLLoss, it rewards collapse; Li et al. subtract it.)
    """
    from lightly.loss.emp_ssl_loss import tcr_loss

    units = torch.stack([torch.nn.functional.normalize(z, dim=1) for z in large])
    same(get_loss("tcr")(*large, distortion=0.2)["coding_rate"], -tcr_loss(units, eps=0.2))


def test_gradients_agree_too(lightly, large):
    z1, z2 = (z.clone().requires_grad_() for z in large)
    pairs = [
        (get_loss("simclr")(z1, z2, temperature=0.2).total, lightly.NTXentLoss(temperature=0.2)(z1, z2)),
        (get_loss("dcl")(z1, z2, temperature=0.2).total, lightly.DCLLoss(temperature=0.2)(z1, z2)),
        (get_loss("vicreg")(z1, z2).total, lightly.VICRegLoss(mu_param=50.0)(z1, z2)),
        (get_loss("negative_cosine")(z1, z2).total, lightly.NegativeCosineSimilarity()(z1, z2)),
    ]
    for ours, theirs in pairs:
        for mine, other in zip(
            *(torch.autograd.grad(loss, (z1, z2)) for loss in (ours, theirs)), strict=True
        ):
            same(mine, other)
