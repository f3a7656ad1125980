"""Numbers that no closed form can work with: refused in one line, or solved, but never answered with NaN."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from spectral_ssl import closed_form as cf
from spectral_ssl.errors import UserError

GOOD = np.ones((6, 6)) - np.eye(6)


@pytest.mark.parametrize("form", ["vicreg", "simclr", "barlow_twins", "spectral"])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_complex_graphs_are_refused(form: str, kind: type) -> None:
    with pytest.raises(UserError, match="complex"):
        cf.solve(form, kind(GOOD + 1j * GOOD), 2)


@pytest.mark.parametrize("factor", [1e154, 1e300, 1.7e308, 5e-320])
def test_weights_whose_squares_overflow_are_refused_or_solved(factor: float) -> None:
    for form in cf.names():
        try:
            result = cf.solve(form, factor * GOOD, 2)
        except UserError:
            continue
        assert np.isfinite(result.loss), form
        assert np.isfinite(result.embedding).all(), form


@pytest.mark.parametrize("value", ["1", None, [1.0], 1j])
def test_hyperparameters_that_are_no_numbers_are_refused(value: object) -> None:
    for form, option in (("vicreg", "variance"), ("vicreg", "invariance"), ("barlow_twins", "alpha")):
        with pytest.raises(UserError, match=option):
            cf.solve(form, GOOD, 2, **{option: value})


@pytest.mark.parametrize(
    ("form", "option", "value"),
    [
        ("vicreg", "variance", np.nan),
        ("vicreg", "variance", -1.0),
        ("vicreg", "invariance", -1.0),
        ("barlow_twins", "alpha", np.nan),
    ],
)
def test_objectives_refuse_what_the_closed_forms_refuse(form: str, option: str, value: float) -> None:
    Z = np.random.default_rng(0).standard_normal((6, 2))
    with pytest.raises(UserError, match=option):
        cf.objective(form, Z, GOOD, **{option: value})


@pytest.mark.parametrize("invariance", [1e12, 1.0])
def test_weights_that_drown_the_small_eigenvalues_are_refused(invariance: float) -> None:
    """Two cliques of weight 1e16 / invariance and one link: its eigenvalue is below the rounding of the others'."""
    G = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3)) * 1e16 / invariance
    G[0, 3] = G[3, 0] = 1.0
    with pytest.raises(UserError, match=r"largest degree .* times invariance / variance .* beyond float64"):
        cf.vicreg(G, 2, invariance=invariance)
    moderate = G / 1e8
    result = cf.vicreg(moderate, 2, invariance=invariance)
    assert cf.vicreg_objective(result.embedding, moderate, invariance=invariance) == pytest.approx(
        result.loss, rel=1e-6
    )
