from __future__ import annotations

import itertools
import math

import pytest
import torch

from spectral_ssl.losses import get_loss

spectral = get_loss("spectral")


def project(row: list[float], radius: float, projection: str) -> list[float]:
    norm = math.sqrt(sum(x * x for x in row))
    if projection == "none" or (projection == "ball" and norm <= radius):
        return row
    return [radius * x / norm for x in row]


@pytest.mark.parametrize("projection", ["ball", "sphere", "none"])
@pytest.mark.parametrize("mu", [1.0, 3.0, 10.0])
def test_the_printed_equation_entry_by_entry(projection, mu, views):
    norms = torch.cat(views).norm(dim=1)
    assert norms.min() < math.sqrt(3) < norms.max(), "the ball of radius sqrt(3) must clip some rows, not all"
    z1, z2 = ([project(row, math.sqrt(mu), projection) for row in z.tolist()] for z in views)
    n = len(z1)
    inner = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in z2] for a in z1]
    positive = -2 * sum(inner[i][i] for i in range(n)) / n / mu
    negative = sum(inner[i][j] ** 2 for i in range(n) for j in range(n) if i != j) / (n * (n - 1)) / mu
    terms = spectral(*views, mu=mu, projection=projection)
    assert terms["invariance"].item() == pytest.approx(positive, rel=1e-12)
    assert terms["repulsion"].item() == pytest.approx(negative, rel=1e-12)


def test_ball_and_sphere_differ_exactly_inside_the_ball(views):
    outside = [10 * z for z in views]
    assert min(z.norm(dim=1).min() for z in outside) > 1
    ball, sphere = (spectral(*outside, projection=p).total.item() for p in ("ball", "sphere"))
    assert ball == pytest.approx(sphere, rel=1e-12)
    inside = [0.01 * z for z in views]
    ball, sphere, none = (spectral(*inside, projection=p).total.item() for p in ("ball", "sphere", "none"))
    assert ball == none, "rows inside the ball stay as they are"
    assert abs(ball - sphere) > 0.1


def test_the_gradient_has_no_radial_part_outside_the_ball_only(views):
    def radial_part(scale: float) -> torch.Tensor:
        z1 = (scale * views[0]).requires_grad_()
        (gradient,) = torch.autograd.grad(spectral(z1, views[1]).total, z1)
        return torch.cosine_similarity(gradient, z1.detach(), dim=1).abs()

    assert radial_part(10.0).max() < 1e-12
    assert radial_part(0.01).min() > 0.1


TOY = torch.tensor([[2, 1, 0, 0], [1, 0.5, 0, 0], [0, 0, 2, 1], [0, 0, 1, 0.5]], dtype=torch.float64) / 9
# The lightning-and-cloud graph: w is 2/9, 1/9, 1/18 in each block, degrees 1/3 and 1/6.


def test_it_is_unbiased_for_the_population_loss_and_so_for_the_factorisation(views):
    """Lemma 3.2, by enumerating every batch of N = 2 positive pairs drawn from the toy graph."""
    f = views[0][:4, :3]
    expectation = sum(
        (TOY[a, b] * TOY[c, d] * spectral(f[[a, c]], f[[b, d]], projection="none").total).item()
        for a, b, c, d in itertools.product(range(4), repeat=4)
        if TOY[a, b] > 0 and TOY[c, d] > 0
    )
    degree = TOY.sum(1)
    scale = (degree[:, None] * degree).sqrt()
    factors = degree.sqrt()[:, None] * f
    error = (TOY / scale - factors @ factors.T).square().sum()
    constant = (TOY / scale).square().sum()
    assert expectation == pytest.approx((error - constant).item(), rel=1e-12)
    without_square = -2 * (TOY * (f @ f.T)).sum() + (degree[:, None] * degree * (f @ f.T)).sum()
    assert abs(expectation - without_square.item()) > 0.1
