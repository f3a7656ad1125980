"""The one entry to all probes: its keys, and that it passes on what the probes say."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate import PROBES, evaluate_features
from spectral_ssl.evaluate.few_label import few_label
from spectral_ssl.evaluate.knn import knn
from spectral_ssl.evaluate.probe import linear_lbfgs, linear_sgd


@pytest.fixture
def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    labels = torch.arange(300) % 3
    noise = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    x = 2.0 * torch.eye(3, 5)[labels] + noise
    return x[:200], labels[:200], x[200:], labels[200:]


def test_every_probe(data: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    found = evaluate_features(*data, probes=PROBES, seed=4)
    assert json.loads(json.dumps(found)) == found
    sgd, few = linear_sgd(*data, seed=4), few_label(*data, seed=4)
    expected = {
        "linear_last": sgd.last,
        "linear_best": sgd.best,
        "linear_train": sgd.train,
        "lbfgs": linear_lbfgs(*data).test,
        "lbfgs_converged": 1.0,
        "knn": knn(*data),
        "few1": few[1].mean,
        "few1_std": few[1].std,
        "few5": few[5].mean,
        "few10": few[10].mean,
    }
    assert expected.items() <= found.items()
    assert found["effective_rank"] <= 5.001


def test_only_what_was_asked_for(data: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    assert set(evaluate_features(*data, probes=["knn", "few3"], seed=0)) == {"knn", "few3", "few3_std"}


def test_unknown_probes(data: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="unknown probe 'linaer'; did you mean 'linear'"):
        evaluate_features(*data, probes=["knn", "linaer"], seed=0)
    with pytest.raises(UserError, match="unknown probe 'few0'"):
        evaluate_features(*data, probes=["few0"], seed=0)
    with pytest.raises(UserError, match="no probe asked for"):
        evaluate_features(*data, probes=[], seed=0)
