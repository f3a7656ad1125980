"""Where a result comes from: the code it depends on, the machine it ran on, files written all or nothing.

Imports no torch, so that the workflow can ask for code hashes cheaply.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from spectral_ssl.errors import UserError
from spectral_ssl.locks import locked

PACKAGE = Path(__file__).parent
HOLDERS = (ast.stmt, ast.excepthandler, ast.match_case)  # what statements stand in
REPORTED = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas")


def code_hash(modules: Iterable[str], texts: Iterable[str] = (), picked: Iterable[object] = ()) -> str:
    """A hash of what the code means: the syntax trees, docstrings out, of the modules' import closure.

    Comments, layout and docstrings do not change it. Tables of names (modules called `table`) do not count
    and what they name is not followed, so that adding a line to one changes nothing: `modules` and `picked`
    hold what a job took from them. `texts` are package data files (`papers/x.yaml`) whose parsed content counts.
    """
    closure = import_closure(modules)
    parts = [f"{module} {_meaning(module)}" for module in closure if not module.endswith(".table")]
    parts += [repr(entry) for entry in picked]
    parts += [f"{text} {_text_meaning(PACKAGE / text)}" for text in sorted(texts)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def import_closure(modules: Iterable[str]) -> list[str]:
    """The modules and all of this package's that they import, sorted."""
    return sorted(set().union(*(_closure(module) for module in modules)))


def strings(module: str) -> set[str]:
    """The string constants in a module's code: the names that it may look up in a table."""
    constants = (node for node in ast.walk(_tree(module)) if isinstance(node, ast.Constant))
    return {node.value for node in constants if isinstance(node.value, str)}


@cache
def _closure(module: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imports(name)
    return frozenset(seen)


@cache
def _tree(module: str) -> ast.Module:
    """A module's syntax tree without docstrings."""
    tree = ast.parse(module_file(module).read_text(encoding="utf-8"))
    for node in (tree, *_statements(tree)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [child for child in node.body if not _is_docstring(child)]
    return tree


def _statements(tree: ast.AST, running: bool = False) -> Iterator[ast.AST]:
    """The statements within; with `running`, none for the type checker alone. Expressions hold none: not looked at."""
    waiting = [tree]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if isinstance(child, HOLDERS) and not (running and _is_for_types(child)):
                waiting.append(child)
                yield child


def module_file(module: str) -> Path:
    """The source file of a module of this package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(module: str) -> frozenset[str]:
    """The package's own modules that a module imports, at its top or inside a function, with their parents.

    Imports for the type checker alone do not count: they run nothing.
    """
    names: set[str] = set()
    for node in _statements(_tree(module), running=True):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    parts = [name.split(".") for name in names if name.split(".")[0] == "spectral_ssl"]
    modules = {".".join(words[:end]) for words in parts for end in range(1, len(words) + 1)}
    return frozenset(name for name in modules if module_file(name).is_file())


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def _meaning(module: str) -> str:
    """Of the tree in words that do not depend on Python's version: 3.12's has a list more, empty here."""
    return hashlib.sha256(ast.dump(_tree(module)).replace(", type_params=[]", "").encode()).hexdigest()


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _text_meaning(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
        text = json.dumps(yaml.load(text, loader), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` at the end, on the disk by then; makes the folder.

    After an error it is gone and `path` as it was. It lies beside `path` as `.<name>.part`: what a killed process
    leaves there the next one writes over, and of several that write at once each waits for the one before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    file = locked(part, wait=True)
    assert file is not None
    try:
        with file:
            try:
                file.truncate(0)
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave an empty file under the name
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = os.fspath(path)  # writing to an open file names none
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (see `replacing`)."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; UserError naming it where it holds none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError, too
        raise UserError(
            f"{path} cannot be read as JSON ({error}); delete it and run its stage again"
        ) from None


def environment() -> dict[str, Any]:
    """Package versions, commit, machine: what a result's provenance.json records besides its settings."""
    versions = {}
    for name in REPORTED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": platform.python_version(),
        "packages": versions,
        "commit": commit(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def nvidia_driver(told: Path = Path("/proc/driver/nvidia/version")) -> str:
    """The version of NVIDIA's driver as the kernel has it; "unknown" where it tells none."""
    try:
        words = told.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "unknown"
    return next((word for word in words if re.fullmatch(r"\d+(\.\d+)+", word)), "unknown")


@cache
def commit() -> str:
    """The checkout's commit, with `+` if tracked files differ from it; "unknown" outside a checkout."""
    try:
        git = ["git", "-C", str(PACKAGE)]
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed.stdout.strip() else "")
