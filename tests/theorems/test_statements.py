"""Every registered statement, and the proof that its check can fail."""

from __future__ import annotations

import pytest

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


def test_a_wrong_criterion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = criteria.sample_contrastive
    monkeypatch.setattr(criteria, "sample_contrastive", lambda z, **options: right(z, **options) / 2)
    for identifier in ("theorem-3.3", "double-normalisation", "gradient-equivalence", "corollary-3.4.1"):
        assert run(f"garrido2023/{identifier}").verdict == "fails"
