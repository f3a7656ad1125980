"""The machinery: verdicts, controls, determinism, names."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.theorems import run, statements
from spectral_ssl.theorems.check import COLUMNS, MODULES, Check, Outcome, Verdict, check, evaluate


def made(outcome: Outcome, expected: float = 0.0, tolerance: float = 1e-9, known: Verdict = "holds") -> Check:
    @check(
        paper="somebody1999",
        statement="lemma-1",
        kind="identity",
        title="Two and two",
        control="five",
        tolerance=tolerance,
        expected=expected,
        instances=3,
        known=known,
    )
    def lemma(rng: np.random.Generator, instances: int) -> Outcome:
        """Two and two are four."""
        return outcome

    return lemma


def square_identity(factor: float) -> Check:
    """(a + b)^2 = a^2 + factor a b + b^2: right with factor 2."""

    @check(
        paper="euclid",
        statement="ii-4",
        kind="identity",
        title="Square of a sum",
        control="no cross term",
        tolerance=1e-12,
        instances=20,
    )
    def identity(rng: np.random.Generator, instances: int) -> Outcome:
        """(a + b)^2 = a^2 + 2 a b + b^2."""
        a, b = rng.uniform(1, 2, (2, instances))
        left = (a + b) ** 2
        worst = np.abs(left - a**2 - factor * a * b - b**2).max()
        return Outcome(float(worst), {"no cross term": float(np.abs(left - a**2 - b**2).min())})

    return identity


def test_a_true_statement_holds_and_its_control_fails() -> None:
    result = evaluate(square_identity(2.0))
    assert (result.verdict, result.control_verdict, result.ok) == ("holds", "fails", True)
    assert result.instances == 20


def test_a_deliberately_broken_statement_is_reported_as_fails() -> None:
    result = evaluate(square_identity(2.001))
    assert (result.verdict, result.ok, result.broken) == ("fails", False, False)


def test_a_check_whose_control_holds_is_reported_as_broken() -> None:
    result = evaluate(made(Outcome(0.0, {"real": 1.0, "vacuous": 1e-12})))
    assert (result.verdict, result.control_verdict) == ("holds", "holds")
    assert result.broken
    assert not result.ok
    assert json.loads(result.to_json())["broken"] is True


def test_printed_forms() -> None:
    assert evaluate(made(Outcome(0.0, {"c": 1.0}, printed=0.5))).verdict == "differs"
    assert evaluate(made(Outcome(0.0, {"c": 1.0}, printed=0.0))).verdict == "holds"
    assert evaluate(made(Outcome(0.1, {"c": 1.0}, printed=0.5))).verdict == "fails"


def test_only_the_known_verdict_is_in_order() -> None:
    misprint = Outcome(0.0, {"c": 1.0}, printed=0.5)
    assert evaluate(made(misprint, known="differs")).ok
    assert not evaluate(made(misprint)).ok
    assert not evaluate(made(Outcome(0.0, {"c": 1.0}, printed=0.0), known="differs")).ok
    assert json.loads(evaluate(made(misprint)).to_json())["ok"] is False


def test_edges_of_the_decision() -> None:
    assert evaluate(made(Outcome(1.0, {}), expected=1.0)).control_verdict == "none"
    assert evaluate(made(Outcome(float("nan"), {"c": float("nan")}))).verdict == "fails"
    # A control that was not measured has not failed.
    assert evaluate(made(Outcome(float("nan"), {"c": float("nan")}))).control_verdict == "holds"
    assert evaluate(made(Outcome(2.0, {}), expected=1.0, tolerance=1.0)).verdict == "holds"
    assert evaluate(made(Outcome(-2.0, {}), expected=1.0, tolerance=1.0)).verdict == "fails"


def test_the_record() -> None:
    result = evaluate(made(Outcome(0.0, {"c": float("inf")}, detail={"gap": np.float64(0.5)})))
    assert tuple(result.row()) == COLUMNS
    record = json.loads(result.to_json())
    assert record["detail"] == {"control: c": "inf", "gap": 0.5}
    assert record["text"] == {
        "title": "Two and two",
        "statement": "Two and two are four.",
        "control": "five",
    }


def test_unknown_names_and_counts() -> None:
    with pytest.raises(UserError, match=r"did you mean 'garrido2023/theorem-3.3'"):
        run("garrido2023/theorem-33")
    with pytest.raises(UserError, match="at least 1"):
        run("haochen2021/toy-graph", instances=0)
    with pytest.raises(UserError, match="unknown kind of check"):
        check(paper="p", statement="s", kind="guess", title="", control="", tolerance=0, instances=1)  # type: ignore[arg-type]


def test_names_are_known_without_importing_a_check() -> None:
    code = (
        "import sys; from spectral_ssl.theorems import statements; names = statements();"
        "assert 'garrido2023/theorem-3.3' in names;"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})


def test_same_seed_same_numbers_whatever_ran_before() -> None:
    name = "balestriero2022/simclr-mds"
    first = run(name, instances=2, seed=3)
    run("haochen2021/lemma-3.1", instances=2, seed=3)
    again, other = run(name, instances=2, seed=3), run(name, instances=2, seed=4)
    assert again.detail == first.detail
    assert other.detail != first.detail
    assert statements() == sorted(set(statements()))


def test_the_table_of_modules_is_complete() -> None:
    for module, names in MODULES.items():
        members = vars(importlib.import_module(f"spectral_ssl.theorems.{module}")).values()
        assert {one.statement for one in members if isinstance(one, Check)} == set(names)
