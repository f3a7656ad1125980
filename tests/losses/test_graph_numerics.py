"""Every graph loss where losses break, and what must leave it unchanged."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import spectral_ssl
from spectral_ssl.data.graph import views_graph
from spectral_ssl.errors import UserError
from spectral_ssl.losses.graph import get_graph_loss, graph_loss_names

CASES = [
    *((name, {}) for name in graph_loss_names()),
    ("vicreg", {"variance_kind": "quadratic"}),
    ("simclr", {"temperature": 0.05}),
    ("barlow_twins", {"center": True}),
]
every_case = pytest.mark.parametrize(("name", "options"), CASES)
TERMS = {
    "vicreg": ["invariance", "variance", "covariance"],
    "simclr": ["invariance", "repulsion"],
    "gram": ["invariance", "repulsion", "graph"],
    "barlow_twins": ["invariance", "redundancy"],
    "spectral": ["invariance", "repulsion"],
}


@pytest.fixture
def G() -> np.ndarray:
    upper = np.triu(np.random.default_rng(2).uniform(0.1, 1.0, (7, 7)), 1)
    upper[1, 3] = upper[0, 6] = 0
    return upper + upper.T


@pytest.fixture
def Z() -> Tensor:
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def test_names_and_terms(G, Z):
    assert set(graph_loss_names()) == set(TERMS)
    for name in graph_loss_names():
        loss = get_graph_loss(name)
        terms = loss(Z, G)
        assert list(terms) == TERMS[name]
        assert all(term.ndim == 0 for term in terms.values())
        torch.testing.assert_close(loss(Z, G, **loss.hyperparameters).total, terms.total, rtol=0, atol=0)
        assert pickle.loads(pickle.dumps(loss)) == loss == get_graph_loss(name)


def test_hyperparameters_are_told_apart_from_the_graph():
    assert get_graph_loss("simclr").hyperparameters == {"temperature": 0.15}
    assert get_graph_loss("barlow_twins").hyperparameters == {"lambda_": 0.0051, "center": False}
    assert get_graph_loss("gram").hyperparameters == {}


@every_case
def test_gradients_are_those_of_the_loss(name, options, G, Z):
    z = (0.5 * Z).requires_grad_()  # below variance 1 the hinge is smooth and not 0
    assert torch.autograd.gradcheck(lambda z: get_graph_loss(name)(z, G, **options).total, [z])


@every_case
def test_nodes_may_be_reordered_with_the_graph_only(name, options, G, Z):
    loss = get_graph_loss(name)
    before, order = loss(Z, G, **options).total.item(), [4, 0, 6, 2, 1, 5, 3]
    assert loss(Z[order], G[np.ix_(order, order)], **options).total.item() == pytest.approx(before, rel=1e-12)
    assert abs(loss(Z[order], G, **options).total.item() - before) > 1e-4 * abs(before)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("simclr", {}, True),
        ("gram", {}, True),
        ("spectral", {}, True),
        ("vicreg", {"variance_kind": "quadratic"}, True),
        ("vicreg", {}, False),
        ("barlow_twins", {}, False),
    ],
)
def test_rotations(name, options, kept, G, Z):
    rotation = torch.linalg.qr(torch.arange(9.0, dtype=torch.float64).reshape(3, 3).sin())[0]
    loss = get_graph_loss(name)
    before, after = (loss(z, G, **options).total.item() for z in (Z, Z @ rotation))
    assert (after == pytest.approx(before, rel=1e-12)) is kept


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["equal rows", "zero", "one dimension", "far apart"])
def test_loss_and_gradient_are_finite_at_collapse(name, options, dtype, kind):
    row = torch.tensor([0.1, -2.7, 0.3], dtype=dtype)
    z = {
        "equal rows": row.repeat(8, 1),
        "zero": torch.zeros(8, 3, dtype=dtype),
        "one dimension": row * torch.arange(8, dtype=dtype)[:, None],
        "far apart": 1e4 * torch.cat([row.repeat(4, 1), -row.repeat(4, 1)]),
    }[kind].requires_grad_()
    total = get_graph_loss(name)(z, views_graph(4, 2), **options).total
    (gradient,) = torch.autograd.grad(total, z)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_promoted_also_under_autocast(name, options, dtype, G, Z):
    half = Z.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = get_graph_loss(name)(half, G, **options)
    floats = get_graph_loss(name)(half.detach().float(), G, **options)
    for key, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, floats[key], rtol=0, atol=0)
    terms.total.backward()
    assert half.grad is not None
    assert half.grad.dtype == dtype
    assert get_graph_loss(name)(Z, G, **options).total.dtype == torch.float64


@every_case
def test_no_gradient_reaches_the_graph(name, options, G, Z):
    weights = torch.from_numpy(G).requires_grad_()
    assert not get_graph_loss(name)(Z, weights, **options).total.requires_grad


def test_unknown_names_and_values_are_refused(G, Z):
    with pytest.raises(UserError, match=r"unknown graph loss 'vicrge'; did you mean 'vicreg'\?"):
        get_graph_loss("vicrge")
    with pytest.raises(UserError, match=r"unknown hyperparameter of simclr 'tau'; known: temperature"):
        get_graph_loss("simclr")(Z, G, tau=0.1)
    with pytest.raises(UserError, match=r"unknown value of variance_kind 'squared'; .*hinge, quadratic$"):
        get_graph_loss("vicreg")(Z, G, variance_kind="squared")
    for value in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match=f"temperature must be a finite number above 0: found {value}"):
            get_graph_loss("simclr")(Z, G, temperature=value)


def test_the_registry_imports_neither_torch_nor_a_loss():
    script = (
        "import sys; from spectral_ssl.losses.graph import get_graph_loss; loss = get_graph_loss('vicreg')\n"
        "assert 'torch' not in sys.modules and loss.module not in sys.modules\n"
        "loss.hyperparameters\n"
        "assert loss.module in sys.modules and 'spectral_ssl.losses.graph.simclr' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(spectral_ssl.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
