"""Every registered statement, and the proof that its check can fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spectral_ssl import closed_form as cf
from spectral_ssl.closed_form import augmentation, canonical, gram, laplacian
from spectral_ssl.theorems import run, statements
from spectral_ssl.theorems.garrido2023 import criteria


@pytest.mark.parametrize("identifier", statements())
def test_the_statement_stands_and_its_control_falls(identifier: str) -> None:
    result = run(identifier, seed=1)
    assert result.ok, result
    assert result.control_verdict == "fails", result
    assert result.text["title"]
    assert result.text["control"]
    assert "\n" in result.text["statement"]


def wrong_factor(eigenvalues: np.ndarray, n: int, scale: float, alpha: float, gamma: float) -> np.ndarray:
    return np.maximum(0.0, 1.0 - 2 * gamma * scale * eigenvalues / (alpha * n))


def wrong_sign(eigenvalues: np.ndarray, n: int, scale: float, alpha: float, gamma: float) -> np.ndarray:
    finite = np.isfinite(eigenvalues)  # a dimension that does not exist has none
    return np.where(finite, 1.0 + gamma * scale * np.where(finite, eigenvalues, 0.0) / (alpha * n), 0.0)


def no_divisor(eigenvalues: np.ndarray, n: int, scale: float, alpha: float, gamma: float) -> np.ndarray:
    return np.maximum(0.0, 1.0 - gamma * eigenvalues / alpha)


@pytest.mark.parametrize("mutant", [wrong_factor, wrong_sign, no_divisor])
@pytest.mark.parametrize("identifier", ["balestriero2022/vicreg-optimum", "balestriero2022/lpp"])
def test_a_wrong_shrinkage_is_found(
    identifier: str, mutant: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laplacian, "shrinkage", mutant)
    assert run(identifier).verdict == "fails"


@pytest.mark.parametrize("identifier", ["balestriero2022/simclr-mds", "balestriero2022/simclr-linear"])
def test_wrong_scales_of_the_gram_factor_are_found(identifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(gram, "factor_loss", lambda norm, values: norm - (values**2).sum() / 2)
        assert run(identifier).verdict == "fails"
    monkeypatch.setattr(gram, "scales", lambda values: np.maximum(values, 0.0))
    assert run(identifier).verdict == "fails"


def test_the_wrong_end_of_the_spectrum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def smallest(A: np.ndarray, k: int, which: str) -> tuple[np.ndarray, np.ndarray]:
        return cf.extremal_eigenpairs(A, k, "smallest")

    monkeypatch.setattr(augmentation, "extremal_eigenpairs", smallest)
    assert run("haochen2021/eckart-young").verdict == "fails"
    monkeypatch.setattr(gram, "extremal_eigenpairs", smallest)
    assert run("balestriero2022/simclr-mds").verdict == "fails"
    assert run("balestriero2022/simclr-linear").verdict == "fails"
    assert run("balestriero2022/nnclr-mds").verdict == "fails"


def test_wrong_scales_of_the_spectral_factor_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "scales", lambda values: np.maximum(values, 0.0))
    assert run("haochen2021/eckart-young").verdict == "fails"


def test_a_wrong_canonical_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def smallest(A: np.ndarray, k: int, which: str) -> tuple[np.ndarray, np.ndarray]:
        return cf.extremal_eigenpairs(A, k, "smallest")

    monkeypatch.setattr(canonical, "extremal_eigenpairs", smallest)
    for name in ("barlow-cca", "barlow-kernel-cca", "barlow-lda"):
        assert run(f"balestriero2022/{name}", instances=1).verdict == "fails"


def test_a_wrong_criterion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = criteria.sample_contrastive
    monkeypatch.setattr(criteria, "sample_contrastive", lambda z, **options: right(z, **options) / 2)
    for identifier in ("theorem-3.3", "double-normalisation", "gradient-equivalence", "corollary-3.4.1"):
        assert run(f"garrido2023/{identifier}").verdict == "fails"
