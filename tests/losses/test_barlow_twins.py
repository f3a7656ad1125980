from __future__ import annotations

import math

import pytest
import torch

from spectral_ssl.losses import get_loss


def correlation(a: list[float], b: list[float], center: bool) -> float:
    n = len(a)
    mean_a, mean_b = (sum(a) / n, sum(b) / n) if center else (0.0, 0.0)
    inner = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return inner / math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))


@pytest.mark.parametrize("center", [True, False])
def test_the_printed_equation_entry_by_entry(center, views):
    terms = get_loss("barlow_twins")(*views, lambda_=0.3, center=center)
    columns = [z.T.tolist() for z in views]
    c = [[correlation(a, b, center) for b in columns[1]] for a in columns[0]]
    on = sum((1 - c[k][k]) ** 2 for k in range(4))
    off = sum(c[k][m] ** 2 for k in range(4) for m in range(4) if m != k)
    assert terms["invariance"].item() == pytest.approx(on, rel=1e-12)
    assert terms["redundancy"].item() == pytest.approx(0.3 * off, rel=1e-12)


def test_it_standardises_with_the_biased_deviation(views):
    """The unbiased deviation shrinks C by (N - 1)/N, and identical views no longer reach C_kk = 1."""
    z = views[0]
    biased, unbiased = ((z - z.mean(0)) / z.std(0, correction=c) for c in (0, 1))
    terms = get_loss("barlow_twins")(z, z, lambda_=1.0)
    c = biased.T @ biased / len(z)
    assert terms["invariance"].item() == pytest.approx(0, abs=1e-28)
    assert terms["redundancy"].item() == pytest.approx(
        (c.square().sum() - c.diagonal().square().sum()).item()
    )
    shrunk = unbiased.T @ unbiased / len(z)
    assert (1 - shrunk.diagonal()).square().sum().item() == pytest.approx(4 / len(z) ** 2)


def test_centring_matters_and_only_to_embeddings_that_are_not_centred(views):
    loss = get_loss("barlow_twins")
    assert abs(loss(*views).total - loss(*views, center=False).total) > 0.05
    centered = [z - z.mean(0) for z in views]
    torch.testing.assert_close(loss(*centered, center=False).total, loss(*views).total, rtol=1e-12, atol=0)


def test_lambda_weighs_the_redundancy_alone(views):
    light, heavy = (get_loss("barlow_twins")(*views, lambda_=value) for value in (0.1, 0.2))
    assert heavy["invariance"] == light["invariance"]
    assert heavy["redundancy"].item() == pytest.approx(2 * light["redundancy"].item(), rel=1e-14)
