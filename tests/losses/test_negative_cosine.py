from __future__ import annotations

import math

import pytest

from spectral_ssl.losses import get_loss


def test_the_printed_equation_entry_by_entry(views):
    p, z = (v.tolist() for v in views)
    cosines = [
        sum(a * b for a, b in zip(r, s, strict=True))
        / math.sqrt(sum(a * a for a in r) * sum(b * b for b in s))
        for r, s in zip(p, z, strict=True)
    ]
    value = get_loss("negative_cosine")(*views).total.item()
    assert value == pytest.approx(-sum(cosines) / len(p), rel=1e-12)


def test_it_ranges_from_minus_one_to_one(views):
    z = views[0]
    assert get_loss("negative_cosine")(z, 3 * z).total.item() == pytest.approx(-1)
    assert get_loss("negative_cosine")(z, -z).total.item() == pytest.approx(1)


def test_stopping_the_gradient_is_the_callers(views):
    p, z = (v.clone().requires_grad_() for v in views)
    get_loss("negative_cosine")(p, z.detach()).total.backward()
    assert p.grad is not None
    assert z.grad is None
    get_loss("negative_cosine")(p, z).total.backward()
    assert z.grad is not None
