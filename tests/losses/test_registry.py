from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spectral_ssl
from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss, loss_names


def test_the_names_are_those_that_users_call():
    assert set(loss_names()) >= {
        *("simclr", "simclr_sq", "simclr_abs", "dcl", "dcl_sq", "dcl_abs", "spectral", "tcr"),
        *("vicreg", "vicreg_exp", "vicreg_ctr", "barlow_twins", "negative_cosine"),
        "info_nce",
    }


@pytest.mark.parametrize("name", loss_names())
def test_terms_are_scalars_that_sum_to_the_total(name, views):
    loss = get_loss(name)
    terms = loss(*views)
    assert loss.name == name
    assert all(term.ndim == 0 for term in terms.values())
    assert terms.total.item() == pytest.approx(sum(term.item() for term in dict(terms).values()), rel=1e-14)
    torch.testing.assert_close(loss(*views, **loss.hyperparameters).total, terms.total, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("simclr_sq", ["invariance", "repulsion"]),
        ("dcl", ["invariance", "repulsion"]),
        ("info_nce", ["invariance", "repulsion"]),
        ("spectral", ["invariance", "repulsion"]),
        ("vicreg", ["invariance", "variance", "covariance"]),
        ("vicreg_exp", ["invariance", "variance", "covariance"]),
        ("vicreg_ctr", ["invariance", "variance", "covariance"]),
        ("barlow_twins", ["invariance", "redundancy"]),
        ("tcr", ["invariance", "coding_rate"]),
        ("negative_cosine", ["invariance"]),
    ],
)
def test_names_of_the_terms(name, names, views):
    terms = get_loss(name)(*views)
    assert list(terms) == names
    assert len(terms) == len(names)
    assert all(f"{term}=" in repr(terms) for term in names)


@pytest.mark.parametrize("name", ["vicreg", "vicreg_exp", "vicreg_ctr"])
@pytest.mark.parametrize("term", ["invariance", "variance", "covariance"])
def test_terms_carry_their_weight(name, term, views):
    weights = {"invariance": 1.0, "variance": 1.0, "covariance": 1.0}
    terms, heavier = get_loss(name)(*views, **weights), get_loss(name)(*views, **{**weights, term: 3.0})
    for key in terms:
        expected = terms[key] * (3 if key == term else 1)
        torch.testing.assert_close(heavier[key], expected, rtol=1e-14, atol=0)


def test_hyperparameters_and_defaults():
    assert dict(get_loss("dcl_sq").hyperparameters) == {
        "temperature": 0.1,
        "negatives": "full",
        "center": False,
        "standardise": False,
    }
    assert get_loss("barlow_twins").hyperparameters["lambda_"] == 0.0051
    weights = get_loss("vicreg").hyperparameters
    assert [weights[name] for name in ("invariance", "variance", "covariance", "epsilon")] == [
        25,
        25,
        1,
        1e-4,
    ]


def test_a_loss_is_a_value(views):
    """Losses of one name are equal, travel to other processes, and lend out no state."""
    loss = get_loss("simclr_sq")
    loss.hyperparameters["temperature"] = 100.0
    assert loss.hyperparameters["temperature"] == 0.15
    assert {loss, get_loss("simclr_sq")} == {loss}
    assert loss != get_loss("simclr_abs")
    copy = pickle.loads(pickle.dumps(loss))
    assert copy(*views).total == loss(*views).total


def test_unknown_names_are_told_the_nearest(views):
    with pytest.raises(UserError, match=r"unknown loss 'simcrl'; did you mean 'simclr'\?"):
        get_loss("simcrl")
    with pytest.raises(
        UserError, match=r"unknown hyperparameter of simclr 'temprature'; did you mean 'temperature'\?"
    ):
        get_loss("simclr")(*views, temprature=0.1)


def test_what_the_name_settles_is_not_a_hyperparameter(views):
    with pytest.raises(UserError, match="unknown hyperparameter of simclr_sq 'similarity'"):
        get_loss("simclr_sq")(*views, similarity="plain")


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [
        ("simclr", {"negatives": "same"}, "cross_view, full, same_view"),
        ("vicreg", {"reduction": "average"}, "mean, sum"),
        ("vicreg", {"invariance_kind": "l1"}, "cosine, mse"),
        ("vicreg", {"variance_kind": "squared"}, "hinge, quadratic"),
        ("vicreg_ctr", {"centering": "batch"}, "dimension, embedding, none"),
        ("vicreg_ctr", {"scaling": "unit"}, "deviation, norm"),
        ("spectral", {"projection": "cube"}, "ball, none, sphere"),
    ],
)
def test_unknown_option_values_are_refused(name, option, known, views):
    ((key, value),) = option.items()
    with pytest.raises(UserError, match=f"unknown value of {key} '{value}';.* known: {known}$"):
        get_loss(name)(*views, **option)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, "temperature") for name in ("simclr", "dcl_abs", "info_nce", "vicreg_exp", "vicreg_ctr")),
        ("spectral", "mu"),
        ("tcr", "distortion"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf")])
def test_values_that_must_be_positive(name, key, value, views):
    with pytest.raises(UserError, match=f"{key} must be a finite number above 0: found {value}"):
        get_loss(name)(*views, **{key: value})


def test_a_negative_epsilon_is_refused(views):
    with pytest.raises(UserError, match=r"epsilon .* at least 0: found -0.1"):
        get_loss("vicreg")(*views, epsilon=-0.1)


@pytest.mark.parametrize("name", loss_names())
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (5, 3)), r"found \(4, 3\) and \(5, 3\)"),
        (((4, 3), (4, 2)), r"found \(4, 3\) and \(4, 2\)"),
        (((4, 3, 1), (4, 3, 1)), r"matrix .*: found shape \(4, 3, 1\)"),
        (((1, 3), (1, 3)), r"embeddings of 1 sample\(s\), expected at least 2"),
    ],
)
def test_embeddings_of_the_wrong_shape_are_refused(name, shapes, message):
    with pytest.raises(UserError, match=message):
        get_loss(name)(*(torch.ones(shape) for shape in shapes))


@pytest.mark.parametrize("name", ["vicreg_exp", "vicreg_ctr"])
def test_one_dimension_cannot_be_decorrelated(name):
    with pytest.raises(UserError, match="embeddings of 1 dimension, expected at least 2"):
        get_loss(name)(torch.ones(4, 1), torch.ones(4, 1))


def test_importing_the_registry_imports_neither_torch_nor_a_loss():
    script = (
        "import sys; from spectral_ssl.losses import get_loss; loss = get_loss('vicreg')\n"
        "assert 'torch' not in sys.modules and loss.module not in sys.modules\n"
        "loss.hyperparameters\n"
        "assert loss.module in sys.modules and 'spectral_ssl.losses.contrastive' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(spectral_ssl.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
