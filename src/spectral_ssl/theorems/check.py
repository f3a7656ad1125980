"""What a check of a statement is, and the list of those there are.

A check measures one number over many random instances, and the same number for its negative control: the
statement with one hypothesis dropped or a known misprint put in. The statement must pass and the control must
fail; a check that passes its control cannot tell right from wrong and is reported as broken.

Kinds: identity (residual relative to the terms' size), optimum (closed form against random-restart
optimisers, loss and subspace both), bound (number of violations), rate (a fitted exponent), monte-carlo
(distance in standard errors).
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import numpy as np

from spectral_ssl.errors import UserError, unknown

Kind = Literal["identity", "optimum", "bound", "rate", "monte-carlo"]
Verdict = Literal["holds", "differs", "fails"]
ControlVerdict = Literal["fails", "holds", "none"]
Detail = Mapping[str, float | int | str]

COLUMNS = (
    "paper",
    "statement",
    "kind",
    "measured",
    "expected",
    "tolerance",
    "instances",
    "verdict",
    "control_verdict",
    "seconds",
)
"""The fields of `CheckResult.row`, in the order of theorems.csv."""


@dataclass(frozen=True)
class Outcome:
    """What one check measured: all numbers are compared with the check's `expected` and `tolerance`.

    measured: the statement, at its worst instance.
    controls: each negative control: at the instance where it comes closest to passing, or, where violations are
        counted, how many instances violate. Empty: there is none.
    printed: the form that the paper prints, where this project corrects it; None where the paper is right.
    """

    measured: float
    controls: Mapping[str, float]
    printed: float | None = None
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A check: what is to be measured, and what it must come to."""

    paper: str
    statement: str
    kind: Kind
    title: str
    control: str
    expected: float
    tolerance: float
    instances: int
    measure: Callable[[np.random.Generator, int], Outcome]
    known: Verdict = "holds"

    @property
    def identifier(self) -> str:
        """`paper/statement`."""
        return f"{self.paper}/{self.statement}"

    def passes(self, value: float) -> bool:
        """Whether a measured number is the expected one within tolerance; never for NaN."""
        return bool(abs(value - self.expected) <= self.tolerance)

    def refutes(self, value: float) -> bool:
        """Whether a control, or a printed form, was measured and failed: NaN says nothing, and so is no failure."""
        return not np.isnan(value) and not self.passes(value)


@dataclass(frozen=True)
class CheckResult:
    """A check's verdicts, its numbers, and the words that a report prints beside them.

    verdict: holds; differs (the printed form fails, the corrected one holds); fails.
    known: the verdict that this project has found before, with a proof or a counterexample.
    control_verdict: fails (as it must), holds (the check is broken), none.
    text: title, statement (hypotheses, convention, source, proof of constants), control.
    """

    paper: str
    statement: str
    kind: Kind
    measured: float
    expected: float
    tolerance: float
    instances: int
    verdict: Verdict
    control_verdict: ControlVerdict
    seconds: float
    detail: Detail
    text: Mapping[str, str]
    known: Verdict = "holds"

    @property
    def broken(self) -> bool:
        """The check passes its own negative control, so its verdict says nothing."""
        return self.control_verdict == "holds"

    @property
    def ok(self) -> bool:
        """The verdict is the known one, so that a misprint that suddenly holds is told too, and the check can tell."""
        return self.verdict == self.known and not self.broken

    def row(self) -> dict[str, str | float | int]:
        """The columns of theorems.csv (all but the tier)."""
        return {name: getattr(self, name) for name in COLUMNS}

    def to_json(self) -> str:
        """One JSON object with sorted keys; non-finite numbers as the strings "nan", "inf" and "-inf"."""
        plain = asdict(self) | {"broken": self.broken, "ok": self.ok}
        return json.dumps(_finite(plain), indent=2, sort_keys=True, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value.item() if isinstance(value, np.generic) else value


MODULES: Mapping[str, tuple[str, ...]] = {
    "haochen2021.population": ("toy-graph", "lemma-3.1", "lemma-3.2", "eckart-young"),
    "haochen2021.probe": ("theorem-3.8", "zero-error"),
    "haochen2021.near": ("theorem-4.2",),
    "haochen2021.manifold": ("theorem-3.11",),
    "haochen2021.conductance": ("singleton-conductance", "cheeger"),
    "haochen2021.sampling": ("theorem-4.1",),
    "haochen2021.excess": ("theorem-4.1-excess",),
    "haochen2021.head": ("theorem-5.1",),
    "haochen2021.labels": ("theorem-5.1-labels",),
    "haochen2021.network": ("network-recovers-eigenspace",),
    "garrido2023.criteria": ("theorem-3.3", "double-normalisation", "gradient-equivalence"),
    "garrido2023.norms": ("lemma-3.4", "corollary-3.4.1"),
    "garrido2023.welch": ("welch",),
    "garrido2023.losses": ("equation-8", "equation-10"),
    "garrido2023.disguises": ("proposition-3.2",),
    "garrido2023.exponential": ("equations-11-13",),
    "garrido2023.sphere": ("proposition-3.1",),
    "garrido2023.normalisation": ("table-1",),
    "balestriero2022.vicreg": ("dirichlet", "vicreg-optimum", "lpp"),
    "balestriero2022.simclr": ("simclr-mds", "simclr-linear"),
    "balestriero2022.graph_step": ("simclr-graph-step",),
    "balestriero2022.neighbours": ("nnclr-mds",),
    "balestriero2022.correlation": ("barlow-kernel-cca", "barlow-lda"),
    "balestriero2022.task": ("downstream",),
    "balestriero2022.rank": ("vicreg-rank", "rank"),
    "balestriero2022.barlow": ("pairs-from-graph", "barlow-cca"),
    "balestriero2022.singular": ("left-singular-vectors",),
    "balestriero2022.complexity": ("complexity",),
    "balestriero2022.hinge": ("laplacian-eigenmaps-hinge",),
    "balestriero2022.eigenmaps": ("laplacian-eigenmaps",),
    "balestriero2022.linear": ("lda", "kernel-lpp"),
}
"""Module (below this package) to the statements it checks: names are known without importing torch or a
check.
"""


def check(
    *,
    paper: str,
    statement: str,
    kind: Kind,
    title: str,
    control: str,
    tolerance: float,
    instances: int,
    expected: float = 0.0,
    known: Verdict = "holds",
) -> Callable[[Callable[[np.random.Generator, int], Outcome]], Check]:
    """Make `measure(rng, instances) -> Outcome` the check of `paper/statement`, to be listed in `MODULES`.

    `title` and `control` say in one line what is claimed and what must fail; the function's docstring holds
    the statement itself. `instances` is the default number. `known` is the verdict that the statement is known to
    have: "differs" where the printed form is wrong. The name is bound to the `Check`, not to the function.
    """
    if kind not in get_args(Kind):
        raise unknown("kind of check", kind, get_args(Kind))

    def register(measure: Callable[[np.random.Generator, int], Outcome]) -> Check:
        return Check(paper, statement, kind, title, control, expected, tolerance, instances, measure, known)

    return register


def statements() -> list[str]:
    """The identifiers `paper/statement` of every check, sorted; imports none of them."""
    return sorted(f"{module.split('.')[0]}/{name}" for module, names in MODULES.items() for name in names)


def find(identifier: str) -> Check:
    """The check of that name; imports its module. UserError for an unknown name."""
    for module, names in MODULES.items():
        paper = module.split(".")[0]
        if any(identifier == f"{paper}/{name}" for name in names):
            members = vars(importlib.import_module(f"spectral_ssl.theorems.{module}")).values()
            return next(one for one in members if isinstance(one, Check) and one.identifier == identifier)
    raise unknown("statement", identifier, statements())


def run(identifier: str, *, instances: int | None = None, seed: int = 0) -> CheckResult:
    """Run the check `paper/statement` on `instances` random instances (None: the check's own number).

    The same seed gives the same numbers, whatever else ran before. UserError for an unknown statement or
    instances < 1.
    """
    return evaluate(find(identifier), instances=instances, seed=seed)


def evaluate(one: Check, *, instances: int | None = None, seed: int = 0) -> CheckResult:
    """Run a check and decide."""
    count = one.instances if instances is None else instances
    if count < 1:
        raise UserError(f"instances is {count}: expected at least 1 for {one.identifier}")
    started = time.perf_counter()
    outcome = one.measure(np.random.default_rng([seed, zlib.crc32(one.identifier.encode())]), count)
    seconds = time.perf_counter() - started
    verdict: Verdict = "fails"
    if one.passes(outcome.measured):
        verdict = "differs" if outcome.printed is not None and one.refutes(outcome.printed) else "holds"
    control: ControlVerdict = "none"
    if outcome.controls:
        control = "fails" if all(one.refutes(value) for value in outcome.controls.values()) else "holds"
    detail: dict[str, float | int | str] = {f"control: {name}": v for name, v in outcome.controls.items()}
    if outcome.printed is not None:
        detail["printed form"] = outcome.printed
    return CheckResult(
        paper=one.paper,
        statement=one.statement,
        kind=one.kind,
        measured=float(outcome.measured),
        expected=one.expected,
        tolerance=one.tolerance,
        instances=count,
        verdict=verdict,
        control_verdict=control,
        seconds=seconds,
        detail=detail | dict(outcome.detail),
        text={"title": one.title, "statement": inspect.getdoc(one.measure) or "", "control": one.control},
        known=one.known,
    )
