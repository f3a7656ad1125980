"""Every sign, constant and end of a spectrum in the closed forms matters: change one, and a check must fail.

Mutants are made of the syntax trees, one change each, and put into the functions themselves.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import warnings
from collections.abc import Iterator
from functools import cache
from types import CodeType, ModuleType

import numpy as np
import pytest

from spectral_ssl.theorems import run

INSTANCES = (2, 10)
"""Few at first, which find most mutants; then every family of graphs."""

CHECKED_BY: dict[str, tuple[str, ...]] = {
    "closed_form.laplacian": (
        "balestriero2022/vicreg-optimum",
        "balestriero2022/lpp",
        "balestriero2022/vicreg-rank",
        "balestriero2022/laplacian-eigenmaps",
    ),
    "closed_form.gram": (
        "balestriero2022/simclr-mds",
        "balestriero2022/simclr-linear",
        "balestriero2022/rank",
    ),
    "closed_form.canonical": (
        "balestriero2022/barlow-cca",
        "balestriero2022/barlow-kernel-cca",
        "balestriero2022/barlow-lda",
    ),
    "closed_form.augmentation": (
        "haochen2021/eckart-young",
        "haochen2021/lemma-3.2",
        "haochen2021/zero-error",
        "haochen2021/theorem-4.1",
    ),
    "losses.criteria": ("garrido2023/theorem-3.3", "garrido2023/corollary-3.4.1", "garrido2023/equation-8"),
}
"""Module (below the package) to the statements that see it, the likeliest to notice first."""

REFUSED = "only what is refused changes: tests/closed_form/test_validation.py and test_bad_numbers.py"
EQUIVALENT: dict[str, str] = {
    "vicreg: 0.0 -> 1'": "in the place of an infinite eigenvalue, whose scale is zero",
    "barlow_twins: linked.size - 1 -> linked.size + 1": REFUSED,
    "barlow_twins: 1 -> 2": REFUSED,
    "_resolved: 2 * degree -> 2 / degree": REFUSED,
    "_resolved: 2 -> 4": REFUSED,
    "vicreg: gamma / alpha -> gamma * alpha": REFUSED,
    "barlow_twins_objective: FEATURE_RANK_TOLERANCE * max(singular[0], np.finfo(float).tiny) -> "
    "FEATURE_RANK_TOLERANCE / max(singular[0], np.finfo(float).tiny)": REFUSED,
}
"""Mutants that change nothing a statement is about, and why."""

SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
ENDS = {"smallest": "largest", "largest": "smallest"}


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may be put in a node's place, with a word for it."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        swapped = SWAPPED[type(node.op)]
        yield swapped.__name__, ast.BinOp(node.left, swapped(), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "no minus", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant", ast.Constant(2 * node.value if node.value else 1)
    elif isinstance(node, ast.Constant) and node.value in ENDS:
        yield "other end", ast.Constant(ENDS[node.value])


def _sites(
    node: ast.AST, path: tuple[tuple[str, int | None], ...] = ()
) -> Iterator[tuple[tuple[str, int | None], ...]]:
    """Paths to every node of a function's body that computes: not errors, annotations, indices or text."""
    for name, value in ast.iter_fields(node):
        if name in ("decorator_list", "returns", "annotation", "slice", "args") and not isinstance(
            node, ast.Call
        ):
            continue
        children = (
            [(None, value)]
            if isinstance(value, ast.AST)
            else enumerate(value)
            if isinstance(value, list)
            else []
        )
        for index, child in children:
            if isinstance(child, ast.AST) and not isinstance(
                child, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
            ):
                yield (*path, (name, index))
                yield from _sites(child, (*path, (name, index)))


def _at(tree: ast.AST, path: tuple[tuple[str, int | None], ...]) -> ast.AST:
    for name, index in path:
        value = getattr(tree, name)
        tree = value if index is None else value[index]
    return tree


def _put(tree: ast.AST, path: tuple[tuple[str, int | None], ...], new: ast.AST) -> None:
    parent, (name, index) = _at(tree, path[:-1]), path[-1]
    if index is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[index] = new


@cache
def mutants(module: str) -> dict[str, tuple[str, CodeType]]:
    """What was changed, `function: old -> new`, to the function's name and its changed code."""
    home = importlib.import_module(f"spectral_ssl.{module}")
    text = inspect.getsource(home)
    found: dict[str, tuple[str, CodeType]] = {}
    for number, part in enumerate(ast.parse(text).body):
        if not isinstance(part, ast.FunctionDef):
            continue
        for path in _sites(part):
            for word, _ in _changes(_at(part, path)):
                function = ast.parse(text).body[number]
                old = _at(function, path)
                new = dict(_changes(old))[word]
                name = f"{part.name}: {ast.unparse(old)} -> {ast.unparse(new)}"
                while name in found:
                    name += "'"
                _put(function, path, new)
                found[name] = part.name, _code(function, home)
    return found


def _code(function: ast.FunctionDef, home: ModuleType) -> CodeType:
    function.decorator_list = []
    tree = ast.fix_missing_locations(ast.Module([function], []))
    flags = __future__.annotations.compiler_flag
    space = dict(vars(home))
    exec(compile(tree, f"a mutant of {function.name}", "exec", flags=flags, dont_inherit=True), space)
    return space[function.name].__code__


def survives(module: str, function: str, code: CodeType) -> bool:
    """Whether every statement still stands with the changed code in the function; an error is a failure too."""
    target = getattr(importlib.import_module(f"spectral_ssl.{module}"), function)
    right = target.__code__
    target.__code__ = code  # in place: whoever holds the function calls the mutant
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return all(
                run(identifier, instances=instances, seed=1).ok
                for instances in INSTANCES
                for identifier in CHECKED_BY[module]
            )
    except Exception:
        return False
    finally:
        target.__code__ = right


@pytest.mark.parametrize("module", CHECKED_BY)
def test_the_unchanged_module_passes(module: str) -> None:
    function, _ = next(iter(mutants(module).values()))
    home = importlib.import_module(f"spectral_ssl.{module}")
    assert survives(module, function, getattr(home, function).__code__)


def test_every_equivalent_mutant_exists() -> None:
    assert set(EQUIVALENT) <= {name for module in CHECKED_BY for name in mutants(module)}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in CHECKED_BY for name in mutants(module)]
)
def test_a_mutant_is_found(module: str, name: str) -> None:
    if name in EQUIVALENT:
        pytest.skip(EQUIVALENT[name])
    assert not survives(module, *mutants(module)[name])
