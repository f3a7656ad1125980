from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.contrastive import normalise_embeddings

PHI = {"": lambda s: s, "_sq": lambda s: s * s, "_abs": abs}


def unit(row: list[float]) -> list[float]:
    norm = math.sqrt(sum(x * x for x in row))
    return [x / norm for x in row]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def printed(views, name: str, tau: float, negatives: str) -> float:
    """Entry by entry: the mean over 2N anchors of -log(exp(positive) / sum of candidates)."""
    family, phi = name.split("_")[0], PHI[name.removeprefix("simclr").removeprefix("dcl")]
    rows = [[unit(row) for row in z.tolist()] for z in views]
    total = 0.0
    for view in (0, 1):
        for i, anchor in enumerate(rows[view]):
            positive = math.exp(dot(anchor, rows[1 - view][i]) / tau)
            candidates = positive if family == "simclr" else 0.0
            for other in (0, 1):
                if negatives == "full" or (other == view) == (negatives == "same_view"):
                    for j, row in enumerate(rows[other]):
                        if j != i:
                            candidates += math.exp(phi(dot(anchor, row)) / tau)
            total -= math.log(positive / candidates)
    return total / (2 * len(rows[0]))


@pytest.mark.parametrize("negatives", ["full", "same_view", "cross_view"])
@pytest.mark.parametrize("name", ["simclr", "simclr_sq", "simclr_abs", "dcl", "dcl_sq", "dcl_abs"])
@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_the_printed_equation_entry_by_entry(name, negatives, tau, views):
    total = get_loss(name)(*views, temperature=tau, negatives=negatives).total
    assert total.item() == pytest.approx(printed(views, name, tau, negatives), rel=1e-12)


def garrido(k: Tensor, k_prime: Tensor, tau: float, positive_too: bool, negatives: Tensor) -> float:
    """The sum over view 1's N anchors, of columns of k (M, N), as Garrido et al. (2023) print it."""
    total = 0.0
    samples = k.shape[1]
    for i in range(samples):
        s = (k[:, i] @ k_prime[:, i] / tau).item()
        terms = [(k[:, i] @ negatives[:, j] / tau).item() for j in range(samples) if j != i]
        total += -s + math.log(sum(map(math.exp, terms)) + positive_too * math.exp(s))
    return total


def test_sums_over_one_views_anchors_are_related_by_2n(views):
    tau = 0.3
    k, k_prime = (torch.nn.functional.normalize(z, dim=1).T for z in views)
    samples = k.shape[1]

    def symmetrised(positive_too: bool, same: bool) -> float:
        one = garrido(k, k_prime, tau, positive_too, k if same else k_prime)
        return one + garrido(k_prime, k, tau, positive_too, k_prime if same else k)

    for name, positive_too in (("simclr", True), ("dcl", False)):
        for negatives in ("same_view", "cross_view"):
            ours = get_loss(name)(*views, temperature=tau, negatives=negatives).total
            expected = symmetrised(positive_too, negatives == "same_view")
            assert 2 * samples * ours.item() == pytest.approx(expected, rel=1e-12)


def test_negatives_of_the_same_and_of_the_other_view_are_two_losses(views):
    """The two lines of the printed DCL equation agree only when the views are equal."""
    dcl = get_loss("dcl")
    same, cross = (dcl(*views, negatives=kind).total.item() for kind in ("same_view", "cross_view"))
    assert abs(same - cross) > 0.1
    z = views[0]
    same, cross = (dcl(z, z, negatives=kind).total.item() for kind in ("same_view", "cross_view"))
    assert same == pytest.approx(cross, rel=1e-14)


def test_known_values_at_collapse_and_at_orthogonality():
    tau, n, k = 0.5, 4, 8
    equal = torch.ones(n, k, dtype=torch.float64)
    simclr, dcl = get_loss("simclr"), get_loss("dcl")
    assert simclr(equal, equal, temperature=tau).total.item() == pytest.approx(math.log(2 * n - 1))
    assert dcl(equal, equal, temperature=tau).total.item() == pytest.approx(math.log(2 * n - 2))
    orthonormal = torch.eye(k, dtype=torch.float64)[:n]
    expected = math.log(math.exp(1 / tau) + 2 * n - 2) - 1 / tau
    assert simclr(orthonormal, orthonormal, temperature=tau).total.item() == pytest.approx(expected)
    assert dcl(orthonormal, orthonormal, temperature=tau).total.item() == pytest.approx(
        math.log(2 * n - 2) - 1 / tau
    )


def test_the_variants_act_on_negatives_only_and_prefer_orthogonal_to_opposite():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    tau = 1.0
    plain, squared, absolute = (
        get_loss(f"dcl{suffix}")(z, z, temperature=tau, negatives="same_view") for suffix in PHI
    )
    assert plain["invariance"] == squared["invariance"] == absolute["invariance"] == -1
    assert plain["repulsion"] == -1, "opposite embeddings are as far as they can be"
    assert squared["repulsion"] == absolute["repulsion"] == 1, "and as similar as they can be, to s^2 and |s|"


def test_center_and_standardise_give_the_norms_of_table_1(views):
    z = views[0]
    samples, dimensions = z.shape
    plain = normalise_embeddings(z)
    centered = normalise_embeddings(z, center=True)
    standardised = normalise_embeddings(z, standardise=True)
    for unit_rows in (plain, centered):
        torch.testing.assert_close(unit_rows.norm(dim=1), torch.ones(samples, dtype=z.dtype))
    assert plain.mean(0).abs().max() > 0.1
    torch.testing.assert_close(
        centered, torch.nn.functional.normalize(z - z.mean(0), dim=1), rtol=1e-14, atol=1e-15
    )
    assert standardised.mean(0).abs().max() < 1e-15
    norm = torch.full((dimensions,), math.sqrt(samples / dimensions), dtype=z.dtype)
    torch.testing.assert_close(standardised.norm(dim=0), norm)
    assert standardised.square().sum(1).mean().item() == pytest.approx(1, rel=1e-14)
    assert standardised.norm(dim=1).std() > 0.05, "rows are not normalised as well"


@pytest.mark.parametrize("name", ["simclr", "dcl_abs"])
def test_center_and_standardise_are_what_the_loss_uses(name, views):
    loss = get_loss(name)
    centered = [z - z.mean(0) for z in views]
    expected = loss(*centered, temperature=0.3)
    torch.testing.assert_close(loss(*views, temperature=0.3, center=True).total, expected.total)
    assert not torch.isclose(loss(*views, temperature=0.3).total, expected.total, rtol=1e-2)

    k1, k2 = (normalise_embeddings(z, standardise=True) for z in views)
    terms = loss(*views, temperature=0.3, standardise=True, negatives="same_view")
    assert terms["invariance"].item() == pytest.approx(-(k1 * k2).sum(1).mean().item() / 0.3)
    both = loss(*views, temperature=0.3, standardise=True, center=True, negatives="same_view")
    assert both.total == pytest.approx(terms.total.item(), rel=1e-14)
